package throttle

import (
	"context"
	"io"
	"net/http"
	"runtime"
	"sync/atomic"

	"github.com/penstock/penstock/internal/drain"
)

// body returns the response's body, which ends the attempt. What is an [io.Writer], as after 101
// Switching Protocols, stays one.
func (a *attempt) body(resp *http.Response) io.ReadCloser {
	rc := resp.Body
	if rc == nil || rc == http.NoBody { // there is nothing to read, so some do not close it
		a.release()
		return rc
	}
	b := &body{ReadCloser: rc, attempt: a}
	if w, ok := rc.(io.Writer); ok {
		return struct {
			*body
			io.Writer
		}{b, w}
	}
	if resp.ProtoMajor == 1 && !resp.Close && resp.ContentLength <= drain.MaxBytes {
		b.state.Store(bodyIdle)
	}
	// When the context ends Base closes the connection, without a call of the body's Close.
	if a.timer != nil || a.req.Context().Done() != nil {
		a.unhook = context.AfterFunc(a.ctx, func() {
			if a.timer != nil {
				a.timer.Stop()
			}
			a.permit.Release()
		})
	}
	// In a synctest bubble, which shows by times without a monotonic reading, a cleanup would run
	// outside of it and crash.
	if a.start != a.start.Round(0) {
		b.cleanup = runtime.AddCleanup(b, (*attempt).leaked, a)
	}
	return b
}

// leaked ends an attempt whose body is garbage.
func (a *attempt) leaked() {
	if !a.permit.ended.Load() {
		a.release()
		go a.observe(Event{Kind: EventLeaked}) // other cleanups wait for this one
	}
}

type body struct {
	io.ReadCloser
	attempt *attempt
	cleanup runtime.Cleanup
	state   atomic.Uint32
}

// The states of a body. Only an idle one is drained: Close ends a Read that is under way.
const (
	bodyDone    = iota // it has ended, or its connection would be closed in any case
	bodyIdle           // it may have more to read
	bodyReading        // the same, and Read is under way
	bodyClosed
)

func (b *body) end() {
	b.attempt.release()
	b.cleanup.Stop()
}

func (b *body) Read(p []byte) (int, error) {
	if b.state.Load() == bodyClosed {
		return 0, http.ErrBodyReadAfterClose
	}
	b.state.CompareAndSwap(bodyIdle, bodyReading)
	n, err := b.ReadCloser.Read(p)
	if err == nil {
		b.state.CompareAndSwap(bodyReading, bodyIdle)
		return n, nil
	}
	b.state.CompareAndSwap(bodyReading, bodyDone)
	if err != io.EOF {
		err = b.attempt.timeout(err)
	}
	b.end()
	return n, err
}

func (b *body) Close() error {
	if b.state.Swap(bodyClosed) == bodyIdle {
		b.attempt.permit.Release() // its place is free now, whatever the rest takes
		err := drain.Close(b.ReadCloser)
		b.end()
		return err
	}
	err := b.ReadCloser.Close()
	b.end()
	return err
}
