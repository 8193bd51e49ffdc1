package wire

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// A watched transport ends a request of HTTP/2 for which nothing moves. A connection of HTTP/1 has
// one request at a time and sees to that itself; one of HTTP/2 is alive as long as the server says
// so, whatever becomes of its requests.
type watched struct {
	*http.Transport
	limit time.Duration
}

func (t *watched) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "https" {
		return t.Transport.RoundTrip(req)
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	w := &watch{limit: t.limit, clock: clock{time.Now()}}
	w.timer = time.AfterFunc(t.limit, func() {
		switch {
		case w.over.Load():
		case w.late(&w.due):
			w.wait(secondLook)
		default:
			stall := &StallError{Limit: t.limit}
			if w.sent.Load() {
				stall.State = NoAnswer
			}
			cancel(stall)
		}
	})
	w.timer.Stop()
	trace := &httptrace.ClientTrace{WroteRequest: w.wrote}
	if outer := httptrace.ContextClientTrace(ctx); outer != nil {
		// A hook of those above may wait for its turn, which is no stall.
		*trace, ctx = *outer, unhooked{ctx}
		trace.WroteRequest = func(info httptrace.WroteRequestInfo) {
			w.wrote(info)
			if outer.WroteRequest != nil {
				outer.WroteRequest(info)
			}
		}
		trace.WroteHeaderField = func(key string, value []string) {
			if outer.WroteHeaderField != nil { // perhaps only by now
				outer.WroteHeaderField(key, value)
			}
		}
	}
	gotConn := trace.GotConn
	trace.GotConn = func(info httptrace.GotConnInfo) {
		w.timer.Stop()
		if gotConn != nil {
			gotConn(info)
		}
		w.moved()
	}
	r := req.WithContext(httptrace.WithClientTrace(ctx, trace))
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = &watchedBody{r.Body, w}
		if get := r.GetBody; get != nil {
			r.GetBody = func() (io.ReadCloser, error) {
				body, err := get()
				if err != nil {
					return nil, err
				}
				return &watchedBody{body, w}, nil
			}
		}
	}
	resp, err := t.Transport.RoundTrip(r)
	w.over.Store(true)
	w.timer.Stop()
	if err != nil {
		if stall := (*StallError)(nil); errors.As(context.Cause(ctx), &stall) {
			err = stall
		}
		cancel(nil)
		return nil, err
	}
	resp.Body = &answerBody{resp.Body, cancel}
	return resp, nil
}

// unhooked hides a trace whose hooks are called already.
type unhooked struct{ context.Context }

func (c unhooked) Value(key any) any {
	v := c.Context.Value(key)
	if _, ok := v.(*httptrace.ClientTrace); ok {
		return nil
	}
	return v
}

// A watch is a timer that runs while the server is waited for.
type watch struct {
	limit time.Duration
	clock
	timer *time.Timer
	due   atomic.Int64 // when it goes off: much later if the process was stopped
	sent  atomic.Bool  // the whole request was
	over  atomic.Bool
}

func (w *watch) moved() {
	if !w.over.Load() {
		w.wait(w.limit)
	}
}

func (w *watch) wrote(info httptrace.WroteRequestInfo) {
	w.sent.Store(info.Err == nil)
	w.moved()
}

func (w *watch) wait(d time.Duration) {
	w.due.Store(w.now() + int64(d))
	w.timer.Reset(d)
}

// A watchedBody is read when there is room for more of it at the server.
type watchedBody struct {
	io.ReadCloser
	watch *watch
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.watch.timer.Stop() // to read may take its time, where the bandwidth is limited
	defer b.watch.moved()
	return b.ReadCloser.Read(p)
}

// An answerBody ends its request's context when it is closed.
type answerBody struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
}

func (b *answerBody) Close() error {
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err
}
