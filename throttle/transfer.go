package throttle

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/internal/acked"
	"github.com/penstock/penstock/internal/adaptive"
)

const (
	// longBody is the size from which on a body's progress is followed: a smaller one is in the
	// buffers of the connection at once.
	longBody = 256 << 10

	// sampleEvery is how often connections are asked how far they are.
	sampleEvery = adaptive.ProgressEvery

	// pieceBytes is how much is read at once of a body whose progress is what was read of it: what
	// is read is not sent yet.
	pieceBytes = 16 << 10
)

// A sampler asks the connections on which long bodies are sent how far they are, while there are
// any. To count where a body is read would cost an [os.File] its way by sendfile.
type sampler struct {
	mu      sync.Mutex
	samples []*sample
	timer   *time.Timer // nil before the first sample
	running bool
}

// A sample is one body on its way.
type sample struct {
	permit *Permit
	size   int64
	acked  func() int64
}

func (s *sampler) add(one *sample) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.samples = append(s.samples, one)
	switch {
	case s.running:
		return
	case s.timer == nil:
		s.timer = time.AfterFunc(sampleEvery, s.tick)
	default:
		s.timer.Reset(sampleEvery)
	}
	s.running = true
}

func (s *sampler) remove(p *Permit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.samples = slices.DeleteFunc(s.samples, func(one *sample) bool { return one.permit == p })
}

// tick takes all samples, and drops those of requests that have ended.
func (s *sampler) tick() {
	s.mu.Lock()
	s.samples = slices.DeleteFunc(s.samples,
		func(one *sample) bool { return one.permit.told.Load() })
	samples := slices.Clone(s.samples)
	s.mu.Unlock()
	for _, one := range samples {
		one.permit.Progress(one.acked(), one.size)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running = len(s.samples) > 0; s.running {
		s.timer.Reset(sampleEvery)
	}
}

// connected is called with each connection that the attempt gets.
func (a *attempt) connected(info httptrace.GotConnInfo) {
	if a.conns > 0 { // the last one is dead
		a.u.sampler.remove(&a.permit)
	}
	a.gotConn(info)
	a.follow(info)
}

// follow has the connection sampled if the body is long.
func (a *attempt) follow(info httptrace.GotConnInfo) {
	size := bodySize(a.req)
	if a.refuse != nil || !long(size) {
		return
	}
	before, ok := acked.Bytes(info.Conn)
	switch {
	case ok && !shared(info):
		a.u.sampler.add(&sample{&a.permit, size, func() int64 {
			now, _ := acked.Bytes(info.Conn)
			return now - before
		}})
	case a.counted:
		a.u.sampler.add(&sample{&a.permit, size, a.read.Load})
	}
}

// shared reports whether other requests may be on the same connection.
func shared(info httptrace.GotConnInfo) bool {
	c, ok := info.Conn.(interface{ ConnectionState() tls.ConnectionState })
	return ok && c.ConnectionState().NegotiatedProtocol == "h2" || info.Reused && !info.WasIdle
}

// bodySize returns the length of the request's body; below 0: not known.
func bodySize(req *http.Request) int64 {
	if req.ContentLength == 0 && req.Body != nil && req.Body != http.NoBody {
		return -1
	}
	return req.ContentLength
}

// long reports whether a body of that size is followed.
func long(size int64) bool { return size < 0 || size >= longBody }

// A countedBody counts what is read of it. That is all that is known of a body that shares its
// connection, and one that is wrapped anyway, or goes by TLS, does not go by sendfile.
type countedBody struct {
	io.Reader
	io.Closer
	read *atomic.Int64
}

func (b *countedBody) Read(p []byte) (int, error) {
	// HTTP/2 of net/http reads half a MiB at once and then sends it piece by piece.
	n, err := b.Reader.Read(p[:min(len(p), pieceBytes)])
	b.read.Add(int64(n))
	return n, err
}
