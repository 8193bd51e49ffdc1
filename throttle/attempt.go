package throttle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/penstock/penstock/internal/nethttp"
)

// An attempt is one request between its token and the end of its answer.
type attempt struct {
	t      *Transport
	u      *Upstream
	key    string
	req    *http.Request // the caller's
	weight int
	permit Permit
	begin  time.Time     // the token's instant
	queued time.Duration // that MaxQueue has counted

	ctx     context.Context // &traced
	traced  nethttp.Traced
	cancel  context.CancelCauseFunc // ends ctx, so that gotConn can refuse
	trace   httptrace.ClientTrace
	timer   *time.Timer  // of Timeout; if nil, none
	limited bool         // the body is sent under a bandwidth limit
	counted bool         // whether read is counted
	read    atomic.Int64 // bytes of the body
	wanted  bool         // net/http looked for a connection
	conns   int          // connections got; net/http gets them one after the other
	last    httptrace.GotConnInfo
	fresh   int           // of these, the new ones
	start   time.Time     // the first begin
	waited  time.Duration // before
	wrote   atomic.Int64  // when all of the request was written, since start; if zero, it was not
	refuse  error         // why gotConn refused to send; if nil, it did not
	// the connection that was refused; another goroutine looks at it
	unwanted atomic.Pointer[httptrace.GotConnInfo]
	unhook   func() bool // ends the watch over ctx while the body is read
}

// request returns the request to send: the caller's must not be changed.
func (a *attempt) request() *http.Request {
	ctx, cancel := context.WithCancelCause(a.req.Context())
	a.cancel = cancel
	if d := a.t.Timeout; d > 0 {
		a.timer = time.AfterFunc(d, func() { a.cancel(&TimeoutError{After: d}) })
	}
	if outer := httptrace.ContextClientTrace(ctx); outer != nil {
		a.trace = *outer
	}
	a.trace.GetConn = nethttp.Both(func(string) { a.wanted = true }, a.trace.GetConn)
	a.trace.GotConn = nethttp.Both(a.connected, a.trace.GotConn)
	a.trace.WroteHeaders = nethttp.BothPlain(a.wroteHeaders, a.trace.WroteHeaders)
	a.trace.WroteRequest = nethttp.Both(a.wroteRequest, a.trace.WroteRequest)
	a.traced = nethttp.Traced{Context: ctx, Trace: &a.trace}
	a.ctx = &a.traced
	r := a.req.WithContext(a.ctx)
	if r.Body == nil || r.Body == http.NoBody {
		return r
	}
	// Otherwise the body passes untouched, which lets files go by sendfile.
	a.limited = a.u.bandwidth.limited()
	if a.counted = a.limited || r.URL.Scheme == "https" && long(bodySize(r)); !a.counted {
		return r
	}
	r.Body = a.wrap(r.Body)
	if get := r.GetBody; get != nil {
		r.GetBody = func() (io.ReadCloser, error) {
			body, err := get()
			if err != nil {
				return nil, err
			}
			return a.wrap(body), nil
		}
	}
	return r
}

// wrap returns a body that counts what is read of it, and reads no faster than the bandwidth
// allows.
func (a *attempt) wrap(body io.ReadCloser) io.ReadCloser {
	var r io.Reader = body
	if a.limited {
		r = a.u.bandwidth.Reader(a.ctx, body)
	}
	a.read.Store(0)
	return &countedBody{r, body, &a.read}
}

// maxFresh is how many new connections one attempt gets. With HTTP/1 it is one at most, the last;
// with HTTP/2 net/http sends again as often as a server goes away before it has processed the
// request, which may be forever.
const maxFresh = 10

var errGoneAway = fmt.Errorf("throttle: the server ended %d new connections without an answer: %w",
	maxFresh, syscall.ECONNRESET)

// gotConn sees each try of net/http to send the request. The first was paid for, unless a cool-down
// has begun since, while the connection was made. What is not to be sent it refuses by ending the
// attempt's context.
func (a *attempt) gotConn(info httptrace.GotConnInfo) {
	// To send again on the same connection, or after a new one has ended, means that the server did
	// not want the request. A connection that was idle may just have been dead.
	refused := a.conns > 0 && (!a.last.Reused || info.Conn != nil && info.Conn == a.last.Conn)
	a.last = info
	a.conns++
	if !info.Reused {
		a.fresh++
	}
	if a.conns == 1 && !a.u.line.paused() {
		return
	}
	if a.timer != nil {
		a.timer.Stop()
	}
	err := errGoneAway
	if a.fresh <= maxFresh {
		err = a.queue(a.ctx, func(ctx context.Context) error {
			return a.u.again(ctx, &a.permit, a.weight, refused)
		})
	}
	if err != nil {
		unwanted := info // a copy: the argument would be allocated in any case
		a.unwanted.Store(&unwanted)
		switch {
		case err == errGoneAway:
		case a.conns > 1 && nethttp.ResendsAnyway(a.req):
			err = notResent(err)
		case a.req.Context().Err() != nil:
			err = a.u.waitError(err)
		}
		a.refuse = err
		a.cancel(err)
		return
	}
	a.begin = time.Now()
	if a.timer != nil {
		a.timer.Reset(a.t.Timeout)
	}
	if a.conns > 1 {
		a.u.resent()
		e := Event{Kind: EventResent, Signal: SignalIgnored, Token: a.permit.token}
		if refused {
			e.Signal = SignalOverloaded
		}
		a.observe(e)
	}
}

// wroteHeaders is called when the headers were written. With HTTP/2 they are not once the context
// has ended. With HTTP/1 another goroutine writes meanwhile, until that end closes the connection:
// so it is closed here, while the end of the headers is still in a buffer.
func (a *attempt) wroteHeaders() {
	if info := a.unwanted.Load(); info != nil && info.Conn != nil {
		info.Conn.SetWriteDeadline(time.Unix(1, 0)) // for a Close that writes
		info.Conn.Close()
	}
}

// wroteRequest is called when all of the request was written, or could not be.
func (a *attempt) wroteRequest(info httptrace.WroteRequestInfo) {
	if info.Err == nil {
		a.wrote.Store(max(int64(time.Since(a.start)), 1))
	}
}

// timeout returns our own error where it was our timeout that ended the attempt.
func (a *attempt) timeout(err error) error {
	var ours *TimeoutError
	if a.timer != nil && errors.As(context.Cause(a.ctx), &ours) {
		return ours
	}
	return err
}

func (a *attempt) observe(e Event) {
	if a.t.Observe != nil {
		e.Key, e.Request = a.key, a.req
		a.t.Observe(e)
	}
}

// release ends the attempt.
func (a *attempt) release() {
	if a.timer != nil {
		a.timer.Stop()
	}
	if a.unhook != nil {
		a.unhook()
	}
	if a.cancel != nil { // if nil, Observe has panicked
		a.cancel(nil)
	}
	a.permit.Release()
}
