package retry

import (
	"net/url"
	"strings"
	"sync/atomic"
)

// maxOrigins bounds what a Client remembers. To forget an origin costs little: its next
// misconfigured call is final, its next three large bodies wait for a 100 Continue.
const maxOrigins = 1024

// originKey is an origin as RFC 6454 defines it: scheme, host and port.
type originKey struct{ scheme, host, port string }

func originOf(u *url.URL) originKey {
	if u == nil {
		return originKey{}
	}
	key := originKey{strings.ToLower(u.Scheme), strings.ToLower(u.Hostname()), u.Port()}
	if key.port == "" {
		switch key.scheme {
		case "http":
			key.port = "80"
		case "https":
			key.port = "443"
		}
	}
	return key
}

// origin is what the calls of one Client to one origin know together.
type origin struct {
	accepted       atomic.Int64 // requests that were accepted
	refused        atomic.Int64 // refusals, those of one request included each time
	answered       atomic.Bool  // there was an answer once, of whatever kind
	expectsIgnored atomic.Int32 // in a row, see expect.go
}

func (c *Client) origin(key originKey) *origin {
	c.mu.Lock()
	defer c.mu.Unlock()
	if o := c.mu.origins[key]; o != nil {
		return o
	}
	if c.mu.origins == nil {
		c.mu.origins = make(map[originKey]*origin)
	}
	for old := range c.mu.origins { // any one
		if len(c.mu.origins) < maxOrigins {
			break
		}
		delete(c.mu.origins, old)
	}
	o := new(origin)
	c.mu.origins[key] = o
	return o
}
