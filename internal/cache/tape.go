package cache

import (
	"context"
	"io"
	"net/http"
	"sync"
)

// A tape is the body of an answer as it comes: one goroutine records it, at the server's pace, and
// any number read along.
type tape struct {
	mu struct {
		sync.Mutex
		buf     []byte
		end     error         // io.EOF if the body is whole; nil while it is being recorded
		rest    io.Reader     // what follows, for the first reader, if recording was given up
		trailer http.Header   // with the end
		changed chan struct{} // closed at the next change
	}
}

func newTape() *tape {
	t := &tape{}
	t.mu.changed = make(chan struct{})
	return t
}

// set changes the tape and wakes its readers.
func (t *tape) set(change func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change()
	close(t.mu.changed)
	t.mu.changed = make(chan struct{})
}

// A reader reads a tape from its beginning. It is the body of an answer.
type reader struct {
	ctx    context.Context
	tape   *tape
	at     int
	first  bool
	resp   *http.Response // gets the trailers
	leave  func()         // called once
	closed chan struct{}
	once   sync.Once
	stop   func() bool
}

// newReader returns a reader for an answer to a request with this context. leave is called when the
// reader needs the tape no longer: it was closed, or the context has ended.
func newReader(ctx context.Context, t *tape, first bool, resp *http.Response, leave func(),
) *reader {
	r := &reader{ctx: ctx, tape: t, first: first, resp: resp, closed: make(chan struct{})}
	r.leave = sync.OnceFunc(leave)
	r.stop = context.AfterFunc(ctx, r.leave)
	return r
}

func (r *reader) Read(p []byte) (int, error) {
	for {
		select {
		case <-r.closed:
			return 0, http.ErrBodyReadAfterClose
		default:
		}
		t := r.tape
		t.mu.Lock()
		buf, end, rest := t.mu.buf, t.mu.end, t.mu.rest
		trailer, changed := t.mu.trailer, t.mu.changed
		t.mu.Unlock()
		switch {
		case r.at < len(buf):
			n := copy(p, buf[r.at:])
			r.at += n
			return n, nil
		case r.first && rest != nil:
			return rest.Read(p)
		case end == io.EOF:
			for name, values := range trailer {
				if r.resp.Trailer == nil {
					r.resp.Trailer = http.Header{}
				}
				r.resp.Trailer[name] = values
			}
			return 0, io.EOF
		case end != nil:
			return 0, end
		}
		select {
		case <-changed:
		case <-r.closed:
		case <-r.ctx.Done():
			return 0, context.Cause(r.ctx)
		}
	}
}

func (r *reader) Close() error {
	r.once.Do(func() {
		close(r.closed)
		r.stop()
		r.leave()
	})
	return nil
}
