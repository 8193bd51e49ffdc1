package wire

import (
	"cmp"
	"context"
	"crypto/tls"
	"net/http/httptrace"
	"slices"
	"sync"
	"time"

	"github.com/penstock/penstock/internal/acked"
)

// Uploads counts the bytes of requests that are under way. It asks their connections, because
// counting what is read of a body would prevent sendfile. A key stands for one thing to send,
// however often it is tried. The zero value is ready to use, by several goroutines.
type Uploads[K comparable] struct {
	mu sync.Mutex
	of map[K]upload

	// the last large one that was sent again from its beginning
	fallen struct {
		name, why string
		at        time.Time
	}
}

const (
	// Large is the size from which on the bytes of a file are worth following: a smaller one
	// arrives before the progress is drawn again.
	Large = 1 << 20
	// tellFallen is for how long a file that is sent again is named. The bytes shown have fallen
	// back by what was sent of it.
	tellFallen = 10 * time.Second
)

// An Upload is a thing to send, and how much of it has arrived.
type Upload struct {
	Name       string
	Done, Size int64
	Origin     string // of its server
}

type upload struct {
	Upload
	acked func() int64 // on its connection
	start int64        // what was acknowledged before
	since time.Time
}

// now returns the upload with what the server has acknowledged of it.
func (u *upload) now() Upload {
	u.Done = max(0, min(u.acked()-u.start, u.Size))
	return u.Upload
}

// Watch returns ctx with a hook that follows the bytes of key on each connection that its requests
// get. What it is is asked for then.
func (u *Uploads[K]) Watch(ctx context.Context, key K, what func() Upload) context.Context {
	connected := func(info httptrace.GotConnInfo) {
		conn := info.Conn
		if c, ok := conn.(*tls.Conn); ok && c.ConnectionState().NegotiatedProtocol == "h2" {
			return // the connection carries others' bytes as well
		}
		start, ok := acked.Bytes(conn)
		if !ok {
			return
		}
		up := upload{Upload: what(), start: start, since: time.Now()}
		up.acked = func() int64 {
			n, _ := acked.Bytes(conn)
			return n
		}
		u.mu.Lock()
		defer u.mu.Unlock()
		if u.of == nil {
			u.of = make(map[K]upload)
		}
		u.of[key] = up
	}
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: connected})
}

// End ends what Watch began. If settle is not nil, it is called in the same step, so that it can
// count the bytes: no [Uploads.List] has them twice, or not at all.
func (u *Uploads[K]) End(key K, settle func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.of, key)
	if settle != nil {
		settle()
	}
}

// Again records that what is under way for key is sent once more, and why, if much of it had
// arrived.
func (u *Uploads[K]) Again(key K, why string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if up, ok := u.of[key]; ok && up.now().Done >= Large {
		u.fallen.name, u.fallen.why, u.fallen.at = up.Name, why, time.Now()
	}
}

// Fallen returns which file is sent again from its beginning, and why, if that began a short time
// ago: fewer bytes are shown than before.
func (u *Uploads[K]) Fallen(now time.Time) (name, why string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if now.Sub(u.fallen.at) >= tellFallen {
		return "", ""
	}
	return u.fallen.name, u.fallen.why
}

// Reaches reports whether a server acknowledges bytes of what was begun after an instant.
func (u *Uploads[K]) Reaches(origin string, after time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, up := range u.of {
		if up.Origin == origin && up.since.After(after) && up.now().Done > 0 {
			return true
		}
	}
	return false
}

// List returns what is under way, the largest first, and how many bytes of it have arrived. If with
// is not nil, it is called in the same step.
func (u *Uploads[K]) List(with func()) (all []Upload, bytes int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if with != nil {
		with()
	}
	for _, up := range u.of {
		now := up.now()
		all = append(all, now)
		bytes += now.Done
	}
	slices.SortFunc(all, func(a, b Upload) int {
		return cmp.Or(cmp.Compare(b.Size, a.Size), cmp.Compare(a.Name, b.Name))
	})
	return all, bytes
}
