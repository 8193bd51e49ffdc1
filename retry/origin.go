package retry

import "sync/atomic"

// maxOrigins bounds what a Client remembers. To forget an origin costs little: its next
// misconfigured call is final, its next three large bodies wait for a 100 Continue.
const maxOrigins = 1024

// origin is what the calls of one Client to one origin know together.
type origin struct {
	answered       atomic.Bool  // there was an answer once, of whatever kind
	expectsIgnored atomic.Int32 // in a row, see expect.go
	protocol       atomic.Int32 // the major version of HTTP in the last answer; if zero, there was none
}

func (c *Client) origin(key string) *origin {
	c.mu.Lock()
	defer c.mu.Unlock()
	return remembered(&c.mu.origins, key, maxOrigins)
}

// remembered returns what m has of a key; if it has nothing it makes room for it: of more than most
// it forgets any one.
func remembered[K comparable, V any](m *map[K]*V, key K, most int) *V {
	if v := (*m)[key]; v != nil {
		return v
	}
	if *m == nil {
		*m = make(map[K]*V)
	}
	for old := range *m {
		if len(*m) < most {
			break
		}
		delete(*m, old)
	}
	v := new(V)
	(*m)[key] = v
	return v
}
