// Package trip makes one round trip of net/http, with the redirects that it leads to, and records
// what may have been sent. Where net/http would send a request again by itself although the server
// may have processed it, the trip prevents or counts it:
//
//   - With HTTP/2 net/http also resends after a PROTOCOL_ERROR, which does not say that nothing was
//     processed. So a request with a body reaches the transport without its GetBody until the
//     server has answered by another protocol.
//   - A request without a body that net/http is about to send on another connection of HTTP/2 is
//     not sent there: it is not known whether the reason is a GOAWAY or a PROTOCOL_ERROR.
//   - With HTTP/1 net/http resends a GET, HEAD, OPTIONS or TRACE, or a request with an
//     Idempotency-Key, whenever a kept connection ends before an answer. Each of these is counted,
//     and Trip.Left bounds how many there are.
//
// A transport around net/http's own breaks these rules if it sends a request again without an
// answer, or one without a body on another connection of HTTP/2 after an answer with interim
// responses before it: no hook of httptrace shows that answer.
package trip

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/internal/nethttp"
)

// Marks are the stages that a trip was seen to reach.
type Marks uint32

const (
	GettingConn     Marks = 1 << iota // it asked for a connection
	HandshakeFailed                   // the handshake of TLS ended with an error
	GotConn                           // it had a connection: something may have been sent
	// for a redirect, or because net/http sends once more by itself
	gotConnAgain
	waitedForContinue
	GotContinue  // 100 Continue came
	WroteRequest // whole, without an error
	CutShort     // the writing ended before that
	asks         // for a 100 Continue
	ReadBody     // of a request that asks
	framed       // its header went out by HTTP/2
	wroteHeader  // at least to a buffer
	answered     // by a first byte, perhaps that of an interim response
	interim      // there was such a response (1xx), which says nothing of the outcome
)

// again are the marks that a request loses when it is sent again.
const again = WroteRequest | CutShort | ReadBody | framed | wroteHeader | answered | interim

// Why net/http was kept from sending a request again by itself.
var (
	ErrStreamReset = errors.New("the server reset the stream without saying whether it processed the request")
	ErrConnEnded   = errors.New("the server closed the connection without an answer")
)

// A Clock counts instants; blame counts them in refusals.
type Clock interface{ Now() int64 }

// A Payer reports whether the retry budget allows one more sending.
type Payer interface{ Pay(now time.Time) bool }

// A Trip watches one attempt to send a request. Each attempt has its own, because net/http may call
// hooks after the attempt that they belong to is over.
type Trip struct {
	Origin *Origin // that the request goes to
	Clock  Clock   // if nil, there is no counting of instants
	Left   int     // how often it may be sent again after it may have been processed
	Payer  Payer   // if not nil, pays for that

	began   atomic.Int64 // by Clock
	seen    atomic.Uint32
	bodyErr atomic.Pointer[error]         // why the caller's body could not be read or opened
	waiter  atomic.Pointer[chan struct{}] // for the end of the writing
	hooks   httptrace.ClientTrace
	traced  nethttp.Traced

	// What net/http sends again by itself.
	careful bool                    // only what it knows not to be processed
	gated   bool                    // not without another body
	refuse  context.CancelCauseFunc // ends the trip before that; if nil, HTTP/2 is not possible
	why     atomic.Pointer[error]   // the reason for that
	conn    net.Conn                // the last one
	conns   int                     // how many there were
	resent  atomic.Int32            // how often it was sent again

	interimBytes atomic.Int64 // of the headers of interim responses
}

func (t *Trip) mark(m Marks) { t.seen.Or(uint32(m)) }

// Marks returns the stages that the trip has reached.
func (t *Trip) Marks() Marks { return Marks(t.seen.Load()) }

// Resent returns how often net/http has sent the request again by itself after it may have been
// processed.
func (t *Trip) Resent() int { return int(t.resent.Load()) }

// Began returns the instant at which the request was sent: a limiter may have held it before.
func (t *Trip) Began() int64 { return t.began.Load() }

// SentOnce reports whether the request was sent whole, and only once: net/http is done with its
// body.
func (t *Trip) SentOnce() bool { return t.Marks()&(WroteRequest|gotConnAgain) == WroteRequest }

func (t *Trip) now() {
	if t.Clock != nil {
		t.began.Store(t.Clock.Now())
	}
}

// MaybeSent reports whether some of the request may have reached the server if the trip ended with
// err. Only what was seen in this trip counts: a transport may have paths that call the hooks of
// httptrace and others that do not. It is told whether base is known to call them.
func (t *Trip) MaybeSent(req *http.Request, err error, called, tells bool) bool {
	seen := t.Marks()
	switch {
	case nethttp.Refused(err) || nethttp.GoneAway(err):
		return false
	case seen != 0 || !called || tells:
		return seen&GotConn != 0
	}
	return !nethttp.NeverConnected(err) && !nethttp.Unsendable(req)
}

// hasBody reports whether anything but headers is to be sent.
func hasBody(req *http.Request) bool { return req.Body != nil && req.Body != http.NoBody }

// traceHop returns ctx with hooks that fill t, beside those that are there. The writing of one hop
// may end when the next has begun, so that a redirect needs a Trip that no other hop fills.
func (t *Trip) traceHop(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx,
		&httptrace.ClientTrace{GotConn: t.connected, WroteRequest: t.wrote})
}

// watchHop returns the request of a redirect as one that can be refused, see Start, also if the
// first server speaks HTTP/1.
func (t *Trip) watchHop(req *http.Request) *http.Request {
	if t.gated || !t.perhapsHTTP2(req.URL) {
		return req
	}
	ctx := req.Context()
	if t.refuse == nil {
		ctx, t.refuse = context.WithCancelCause(ctx)
	}
	if t.Origin.protocol.Load() == 0 {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaderField: t.header})
	}
	return req.WithContext(ctx)
}

// perhapsHTTP2 reports whether a request to u may go out by HTTP/2. With TLS each connection is
// negotiated, and behind one name there may be servers of both protocols.
func (t *Trip) perhapsHTTP2(u *url.URL) bool {
	return t.Origin.protocol.Load() != 1 || u != nil && u.Scheme == "https"
}

// header notes by the first field of a header, which with HTTP/2 is a pseudo-header, how it goes
// out.
func (t *Trip) header(name string, _ []string) {
	if strings.HasPrefix(name, ":") {
		t.mark(framed)
	}
}

func (t *Trip) wroteHeaders() { t.mark(wroteHeader) }
func (t *Trip) gotByte()      { t.mark(answered) }

// MaxInterim bounds the headers of the interim responses, in bytes. It is the bound of net/http,
// which leaves it to the hook if there is one.
const MaxInterim = 10 << 20

var errInterim = fmt.Errorf("the server sent more than %d MiB of interim responses (1xx) and no final one", MaxInterim>>20)

func (t *Trip) gotInterim(_ int, h textproto.MIMEHeader) error {
	t.mark(interim)
	size := int64(len("HTTP/1.1 100 \r\n\r\n"))
	for name, values := range h {
		for _, value := range values {
			size += int64(len(name) + len(value) + len(": \r\n"))
		}
	}
	if t.interimBytes.Add(size) > MaxInterim {
		return errInterim
	}
	return nil
}

// http2 reports whether the last connection speaks HTTP/2.
func (t *Trip) http2() bool {
	if t.Marks()&framed != 0 {
		return true
	}
	if http2, ok := negotiatedHTTP2(t.conn); ok {
		return http2
	}
	return t.Origin.protocol.Load() == 2
}

// negotiatedHTTP2 reports whether conn speaks HTTP/2, if it has TLS.
func negotiatedHTTP2(conn net.Conn) (http2, ok bool) {
	secure, ok := conn.(interface{ ConnectionState() tls.ConnectionState })
	return ok && secure.ConnectionState().NegotiatedProtocol == "h2", ok
}

// maxConns bounds how often one request is sent by HTTP/2. net/http itself goes on without end as
// long as a server ends each connection.
const maxConns = 10

// doubtful reports whether the server may have processed the request if net/http is about to send
// it again by itself.
func (t *Trip) doubtful() bool {
	seen := t.Marks()
	if seen&GotConn == 0 || !t.gated && seen&wroteHeader == 0 {
		return false
	}
	http2 := t.http2()
	// With HTTP/1 net/http sends nothing again once something was answered.
	if seen&answered != 0 && !(http2 && seen&interim != 0) {
		// a transport around net/http's own sends it once more, or something else before
		return false
	}
	return !t.careful || http2
}

// proven records that nothing was processed where net/http sends again by itself only then.
func (t *Trip) proven() {
	if t.careful && t.Marks()&GotConn != 0 {
		t.unprocessed()
	}
}

func (t *Trip) connecting(string) {
	switch {
	case t.gated || !t.doubtful():
		t.proven()
	case t.refuse != nil && t.http2():
		t.why.Store(&ErrStreamReset) // also if there is no other connection
	}
	t.mark(GettingConn)
}

// unprocessed records that what was sent until now was not processed, and that the request is to be
// sent anew: from here on it counts as sent when there is another connection for it.
func (t *Trip) unprocessed() {
	t.mark(gotConnAgain)
	t.seen.And(^uint32(GotConn | again))
}

func (t *Trip) connected(info httptrace.GotConnInfo) {
	t.conns++
	if !t.gated && t.doubtful() {
		switch {
		case info.Conn != nil && info.Conn == t.conn:
			// After a PROTOCOL_ERROR net/http does not use the connection again, so that the same
			// one proves a REFUSED_STREAM. After a GOAWAY there is no such proof.
			t.why.Store(nil)
			t.unprocessed()
		case t.refuse != nil && t.http2():
			t.refuse(ErrStreamReset) // with HTTP/2 nothing is sent once the context has ended
			return
		case t.Resent() >= t.Left || t.Payer != nil && !t.Payer.Pay(time.Now()):
			t.why.Store(&ErrConnEnded)
			if t.refuse != nil {
				t.refuse(ErrConnEnded)
			}
			if http2, _ := negotiatedHTTP2(info.Conn); !http2 && info.Conn != nil {
				// with HTTP/1 it has no other request, and another goroutine may be about to write
				info.Conn.Close()
			}
			return
		default:
			t.resent.Add(1)
		}
	} else if t.conns > maxConns && t.refuse != nil && t.http2() {
		t.why.Store(&ErrStreamReset)
		t.refuse(ErrStreamReset)
		return
	}
	t.conn = info.Conn
	t.now()
	if Marks(t.seen.Or(uint32(GotConn)))&GotConn != 0 {
		t.mark(gotConnAgain)
		t.seen.And(^uint32(again)) // it is written anew
	}
}

func (t *Trip) wrote(info httptrace.WroteRequestInfo) {
	// When an answer comes instead of the 100 Continue net/http may keep the body, and calls that
	// no error.
	if info.Err != nil || t.Marks()&(asks|ReadBody) == asks {
		t.mark(CutShort)
	} else {
		t.mark(WroteRequest)
	}
	if w := t.waiter.Load(); w != nil {
		select {
		case *w <- struct{}{}:
		default:
		}
	}
}

// MaxWriteWait is how long an answer may wait for the end of its request. Where net/http does not
// close the connection, a server that stops reading would hold the call forever.
const MaxWriteWait = 10 * time.Second

// SentWhole reports whether the request that was answered was written whole. The answer often comes
// a moment before the hook is called, so it waits. A transport that reports no connection is
// believed.
func (t *Trip) SentWhole(ctx context.Context) bool {
	const ended = WroteRequest | CutShort
	seen := t.Marks()
	if seen&GotConn != 0 && seen&ended == 0 {
		woken := make(chan struct{}, 1)
		t.waiter.Store(&woken)
		if t.Marks()&ended == 0 {
			timeout := time.NewTimer(MaxWriteWait)
			defer timeout.Stop()
			select {
			case <-woken:
			case <-ctx.Done():
			case <-timeout.C:
			}
		}
		seen = t.Marks()
	}
	return seen&GotConn == 0 || seen&WroteRequest != 0
}
