package retry

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
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
	wroteHeader  // at least to a buffer
	answered     // by a first byte, perhaps that of an interim response
	interim      // there was such a response (1xx), which says nothing of the outcome
)

// again are the marks that a request loses when it is sent again.
const again = wroteRequest | cutShort | readBody | framed | wroteHeader | answered | interim

// attempt watches one try. Each has its own, because net/http may call hooks after the try that
// they belong to is over.
type attempt struct {
	kind *kind // if nil, of a hop
	// net/http sends it again by itself only if it knows that it was not processed
	careful bool
	began   atomic.Int64 // see kind.begins
	seen    atomic.Uint32
	bodyErr atomic.Pointer[error]         // why the caller's body could not be read or opened
	waiter  atomic.Pointer[chan struct{}] // for the end of the writing
	hooks   httptrace.ClientTrace

	// What net/http sends again by itself.
	origin *origin // that the request goes to
	gated  bool    // it cannot do so without another body
	// ends the try before something is sent again; if nil, HTTP/2 is not possible
	refuse context.CancelCauseFunc
	why    atomic.Pointer[error] // the reason for that
	conn   net.Conn              // the last one
	conns  int                   // how many there were
	// how often it may be sent again after it may have been processed
	left   int32
	budget *Budget      // if not nil, pays for that
	resent atomic.Int32 // how often it was

	interimBytes atomic.Int64 // of the headers of interim responses
}

func (a *attempt) mark(m marks) { a.seen.Or(uint32(m)) }
func (a *attempt) marks() marks { return marks(a.seen.Load()) }

// sentOnce reports whether the request was sent whole, and only once: net/http is done with its
// body.
func (a *attempt) sentOnce() bool { return a.marks()&(wroteRequest|gotConnAgain) == wroteRequest }

// trace returns c with hooks that fill a. A trace that the caller put there goes on working.
func (a *attempt) trace(c *call) context.Context {
	hooks := &a.hooks
	hooks.GetConn = a.connecting
	hooks.GotConn = a.connected
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
	if !a.gated {
		hooks.WroteHeaders, hooks.GotFirstResponseByte, hooks.Got1xxResponse = a.wroteHeaders, a.gotByte, a.gotInterim
		protocol := a.origin.protocol.Load()
		if protocol == 0 { // the hook costs an allocation for each field of the header
			hooks.WroteHeaderField = a.header
		}
		if a.perhapsHTTP2(c.req.URL) {
			ctx, a.refuse = context.WithCancelCause(c)
		}
	}
	return httptrace.WithClientTrace(ctx, hooks)
}

// traceHop returns ctx with hooks that fill a, beside those that are there. The writing of one hop
// may end when the next has begun, so that a redirect needs an attempt that no other hop fills.
func (a *attempt) traceHop(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: a.connected, WroteRequest: a.wrote})
}

// watchHop returns the request of a redirect as one that can be refused, see trace, also if the
// first server speaks HTTP/1.
func (a *attempt) watchHop(req *http.Request) *http.Request {
	if a.gated || !a.perhapsHTTP2(req.URL) {
		return req
	}
	ctx := req.Context()
	if a.refuse == nil {
		ctx, a.refuse = context.WithCancelCause(ctx)
	}
	if a.origin.protocol.Load() == 0 {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaderField: a.header})
	}
	return req.WithContext(ctx)
}

// perhapsHTTP2 reports whether a request to u may go out by HTTP/2. With TLS each connection is
// negotiated, and behind one name there may be servers of both protocols.
func (a *attempt) perhapsHTTP2(u *url.URL) bool {
	return a.origin.protocol.Load() != 1 || u != nil && u.Scheme == "https"
}

// header notes by the first field of a header, which with HTTP/2 is a pseudo-header, how it goes
// out.
func (a *attempt) header(name string, _ []string) {
	if strings.HasPrefix(name, ":") {
		a.mark(framed)
	}
}

func (a *attempt) wroteHeaders() { a.mark(wroteHeader) }
func (a *attempt) gotByte()      { a.mark(answered) }

// maxInterim bounds the headers of a try's interim responses, in bytes. It is the bound of
// net/http, which leaves it to the hook if there is one.
const maxInterim = 10 << 20

var errInterim = fmt.Errorf("the server sent more than %d MiB of interim responses (1xx) and no final one", maxInterim>>20)

func (a *attempt) gotInterim(_ int, h textproto.MIMEHeader) error {
	a.mark(interim)
	size := int64(len("HTTP/1.1 100 \r\n\r\n"))
	for name, values := range h {
		for _, value := range values {
			size += int64(len(name) + len(value) + len(": \r\n"))
		}
	}
	if a.interimBytes.Add(size) > maxInterim {
		return errInterim
	}
	return nil
}

// http2 reports whether the last connection speaks HTTP/2.
func (a *attempt) http2() bool {
	if a.marks()&framed != 0 {
		return true
	}
	if http2, ok := negotiatedHTTP2(a.conn); ok {
		return http2
	}
	return a.origin.protocol.Load() == 2
}

// negotiatedHTTP2 reports whether conn speaks HTTP/2, if it has TLS.
func negotiatedHTTP2(conn net.Conn) (http2, ok bool) {
	secure, ok := conn.(interface{ ConnectionState() tls.ConnectionState })
	return ok && secure.ConnectionState().NegotiatedProtocol == "h2", ok
}

// maxConns bounds how often one try is sent by HTTP/2. net/http itself goes on without end as long
// as a server ends each connection.
const maxConns = 10

// doubtful reports whether the server may have processed the request if net/http is about to send
// it again by itself.
func (a *attempt) doubtful() bool {
	seen := a.marks()
	if seen&gotConn == 0 || !a.gated && seen&wroteHeader == 0 {
		return false
	}
	http2 := a.http2()
	// With HTTP/1 net/http sends nothing again once something was answered.
	if seen&answered != 0 && !(http2 && seen&interim != 0) {
		// a transport around net/http's own sends it once more, or something else before
		return false
	}
	return !a.careful || http2
}

// proven records that nothing was processed where net/http sends again by itself only then.
func (a *attempt) proven() {
	if a.careful && a.marks()&gotConn != 0 {
		a.unprocessed()
	}
}

func (a *attempt) connecting(string) {
	switch {
	case a.gated || !a.doubtful():
		a.proven()
	case a.refuse != nil && a.http2():
		a.why.Store(&errStreamReset) // also if there is no other connection
	}
	a.mark(gettingConn)
}

// unprocessed records that what was sent until now was not processed, and that the request is to be
// sent anew: from here on it counts as sent when there is another connection for it.
func (a *attempt) unprocessed() {
	a.mark(gotConnAgain)
	a.seen.And(^uint32(gotConn | again))
}

func (a *attempt) connected(info httptrace.GotConnInfo) {
	a.conns++
	if !a.gated && a.doubtful() {
		switch {
		case info.Conn != nil && info.Conn == a.conn:
			// After a PROTOCOL_ERROR net/http does not use the connection again, so that the same
			// one proves a REFUSED_STREAM. After a GOAWAY there is no such proof.
			a.why.Store(nil)
			a.unprocessed()
		case a.refuse != nil && a.http2():
			a.refuse(errStreamReset) // with HTTP/2 nothing is sent once the context has ended
			return
		case a.resent.Load() >= a.left || a.budget != nil && !a.budget.takeNow(time.Now()):
			a.why.Store(&errConnEnded)
			if a.refuse != nil {
				a.refuse(errConnEnded)
			}
			if http2, _ := negotiatedHTTP2(info.Conn); !http2 && info.Conn != nil {
				// with HTTP/1 it has no other request, and another goroutine may be about to write
				info.Conn.Close()
			}
			return
		default:
			a.resent.Add(1)
		}
	} else if a.conns > maxConns && a.refuse != nil && a.http2() {
		a.why.Store(&errStreamReset)
		a.refuse(errStreamReset)
		return
	}
	a.conn = info.Conn
	if a.kind != nil { // a limiter may have held it until now
		a.began.Store(a.kind.begins())
	}
	if marks(a.seen.Or(uint32(gotConn)))&gotConn != 0 {
		a.mark(gotConnAgain)
		a.seen.And(^uint32(again)) // it is written anew
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

// sentWhole reports whether the request that was answered was written whole. The answer often comes
// a moment before the hook is called, so it waits. A transport that reports no connection is
// believed.
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

// watchBody returns a copy of a request that asks for a 100 Continue, which notes whether its body
// is read.
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
