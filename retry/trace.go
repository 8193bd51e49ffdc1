package retry

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// marks are the stages that one try was seen to reach.
type marks uint32

const (
	gettingConn marks = 1 << iota
	handshakeFailed
	gotConn
	gotConnAgain // for a redirect, or because net/http sends once more by itself
	waitedForContinue
	gotContinue
	wroteRequest // whole, without an error
	cutShort     // the writing ended before that
	asks         // for a 100 Continue
	readBody     // of a request that asks
	framed       // its header went out by HTTP/2
)

// attempt watches one try. Each has its own, because net/http may call hooks after the try that
// they belong to is over.
type attempt struct {
	kind      *kind        // nil: of a hop
	careful   bool         // net/http sends it again by itself only if it knows that it was not processed
	began     atomic.Int64 // see kind.begins
	seen      atomic.Uint32
	bodyErr   atomic.Pointer[error]         // why the caller's body could not be read or opened
	waiter    atomic.Pointer[chan struct{}] // for the end of the writing
	refuse    context.CancelCauseFunc       // of a request that must not be repeated
	repeating atomic.Bool                   // net/http is about to repeat it, although it may have been processed
	conn      net.Conn                      // of such a request, the last one
}

func (a *attempt) mark(m marks) { a.seen.Or(uint32(m)) }
func (a *attempt) marks() marks { return marks(a.seen.Load()) }

// sentOnce reports whether the request was sent whole, and only once: net/http is done with its body.
func (a *attempt) sentOnce() bool { return a.marks()&(wroteRequest|gotConnAgain) == wroteRequest }

// trace returns c with hooks that fill a. A trace that the caller put there goes on working.
func (a *attempt) trace(c *call) context.Context {
	hooks := &httptrace.ClientTrace{
		GetConn: a.connecting,
		GotConn: a.connected,
	}
	if c.req.URL != nil && c.req.URL.Scheme == "https" {
		hooks.TLSHandshakeDone = func(_ tls.ConnectionState, err error) {
			if err != nil {
				a.mark(handshakeFailed)
			}
		}
	}
	if c.expecting {
		hooks.Wait100Continue = func() { a.mark(waitedForContinue) }
		hooks.Got100Continue = func() { a.mark(gotContinue) }
	}
	if hasBody(c.req) {
		hooks.WroteRequest = a.wrote
	}
	var ctx context.Context = c
	if !c.repeatable {
		hooks.WroteHeaderField = func(name string, _ []string) { a.header(c.origin, name) }
		ctx, a.refuse = context.WithCancelCause(c)
	}
	return httptrace.WithClientTrace(ctx, hooks)
}

// traceHop returns ctx with hooks that fill a, beside those that are there. The writing of one hop
// may end when the next has begun, so that a redirect needs an attempt that no other hop fills.
func (a *attempt) traceHop(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: a.connected, WroteRequest: a.wrote})
}

// header notes by the first field of a header, which with HTTP/2 is a pseudo-header, how it goes out.
func (a *attempt) header(o *origin, name string) {
	switch {
	case strings.HasPrefix(name, ":"):
		a.mark(framed)
		o.http1.Store(false)
	case a.marks()&framed == 0:
		o.http1.Store(true)
	}
}

// doubtful reports whether net/http is about to repeat by HTTP/2 a request that must not be repeated. For one without a
// body, such as an empty file, it needs no GetBody, see once.
func (a *attempt) doubtful() bool { return a.refuse != nil && a.marks()&framed != 0 }

func (a *attempt) connecting(string) {
	if a.doubtful() {
		a.repeating.Store(true)
		return
	}
	if a.careful && a.marks()&gotConn != 0 {
		a.unprocessed()
	}
	a.mark(gettingConn)
}

// unprocessed records that what was sent until now was not processed, and that the request is to be sent anew: from here
// on it counts as sent when there is another connection for it.
func (a *attempt) unprocessed() {
	a.mark(gotConnAgain)
	a.seen.And(^uint32(gotConn | wroteRequest | cutShort | readBody | framed))
}

func (a *attempt) connected(info httptrace.GotConnInfo) {
	if a.doubtful() {
		// After a PROTOCOL_ERROR net/http does not use the connection again, so that the same one proves a
		// REFUSED_STREAM. After a GOAWAY there is no such proof.
		if info.Conn == nil || info.Conn != a.conn {
			a.repeating.Store(true)
			a.refuse(errNotAgain) // with HTTP/2 nothing is sent once the context has ended
			return
		}
		a.repeating.Store(false)
		a.unprocessed()
	}
	a.conn = info.Conn
	if a.kind != nil { // a limiter may have held it until now
		a.began.Store(a.kind.begins())
	}
	if marks(a.seen.Or(uint32(gotConn)))&gotConn != 0 {
		a.mark(gotConnAgain)
		a.seen.And(^uint32(wroteRequest | cutShort | readBody)) // it is written anew
	}
}

func (a *attempt) wrote(info httptrace.WroteRequestInfo) {
	// When an answer comes instead of the 100 Continue net/http may keep the body, and calls that
	// no error.
	if info.Err != nil || a.marks()&(asks|readBody) == asks {
		a.mark(cutShort)
	} else {
		a.mark(wroteRequest)
	}
	if w := a.waiter.Load(); w != nil {
		select {
		case *w <- struct{}{}:
		default:
		}
	}
}

// maxWriteWait is how long an answer may wait for the end of its request. Where net/http does not
// close the connection a server that reads no more would hold the call forever.
const maxWriteWait = 10 * time.Second

// sentWhole reports whether the request that was answered was written whole. The answer often comes a
// moment before the hook is called, so it waits. A transport that tells of no connection is believed.
func (a *attempt) sentWhole(ctx context.Context) bool {
	const ended = wroteRequest | cutShort
	seen := a.marks()
	if seen&gotConn != 0 && seen&ended == 0 {
		woken := make(chan struct{}, 1)
		a.waiter.Store(&woken)
		if a.marks()&ended == 0 {
			timeout := time.NewTimer(maxWriteWait)
			defer timeout.Stop()
			select {
			case <-woken:
			case <-ctx.Done():
			case <-timeout.C:
			}
		}
		seen = a.marks()
	}
	return seen&gotConn == 0 || seen&wroteRequest != 0
}

// watchBody returns a copy of a request that asks for a 100 Continue, which notes whether its body is read.
func (a *attempt) watchBody(req *http.Request) *http.Request {
	a.mark(asks)
	out := req.WithContext(req.Context()) // a RoundTripper must not change its request
	out.Body = a.watched(req.Body)
	if req.GetBody != nil { // net/http's own, for when it sends again by itself
		out.GetBody = func() (io.ReadCloser, error) {
			body, err := req.GetBody()
			if err != nil {
				return nil, err
			}
			return a.watched(body), nil
		}
	}
	return out
}

func (a *attempt) watched(body io.ReadCloser) io.ReadCloser {
	b := watchedBody{body, a}
	if conn, ok := body.(syscall.Conn); ok {
		return watchedFile{b, conn}
	}
	return b
}

type watchedBody struct {
	io.ReadCloser
	attempt *attempt
}

func (b watchedBody) Read(p []byte) (int, error) {
	b.attempt.mark(readBody)
	return b.ReadCloser.Read(p)
}

// watchedFile goes out by sendfile, as what is in it does.
type watchedFile struct {
	watchedBody
	conn syscall.Conn
}

func (b watchedFile) SyscallConn() (syscall.RawConn, error) {
	b.attempt.mark(readBody)
	return b.conn.SyscallConn()
}
