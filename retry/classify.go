package retry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/penstock/penstock/internal/hint"
	"github.com/penstock/penstock/internal/nethttp"
)

// Verdict says what one try's answer or error means. The zero Verdict leaves that to the table of
// the package comment.
type Verdict struct {
	Kind Kind

	// Wait is the least time before the next try. A longer wait that the server's headers ask for
	// is kept in any case.
	Wait time.Duration

	// Reason replaces the package's own word, such as "throttled", in events.
	Reason string
}

// Kind is the part of a [Verdict] that decides.
type Kind int

const (
	ByTable Kind = iota // as the table of the package comment says
	// the server accepted it: delivered, sent whole or not; of an error, as ByTable
	Accepted
	Rejected // it will never accept it: failed
	// not processed, as by a throttle: again, no attempt unless this request is the cause
	Refused
	Unprocessed // not processed: again, an attempt
	// perhaps processed: again, an attempt, if the request is repeatable; otherwise unknown
	Uncertain
)

// String returns what Reason says of this kind if nothing better is known.
func (k Kind) String() string {
	switch k {
	case ByTable:
		return "by table"
	case Accepted:
		return "accepted"
	case Rejected:
		return reasonRejected
	case Refused:
		return "refused"
	case Unprocessed:
		return "not processed"
	}
	return "uncertain"
}

// The package's own reasons, in events.
const (
	reasonThrottled   = "throttled"
	reasonOverloaded  = "overloaded"
	reasonUnreachable = "unreachable"
	reasonTimedOut    = "timed out"
	reasonServerError = "server error"
	reasonLost        = "connection lost"
	reasonEarly       = "answered before it was sent whole"
	reasonTooEarly    = "too early"
	reasonGoneAway    = "connection ended before it was processed"
	reasonAskedToWait = "asked to wait"
	reasonNotBefore   = "not before"
	reasonOwnTimeout  = "timed out before it was sent"
	reasonExpectation = "expectation refused"
	reasonRejected    = "rejected"
	reasonFileChanged = "file changed"
	reasonBody        = "body cannot be read"
	reasonBodyLength  = "body is not as long as its ContentLength"
	reasonNoGetBody   = "body cannot be sent again"
	reasonCancelled   = "cancelled"
)

// judgeStatus is the table for answers.
func judgeStatus(status int, hints hint.Hints, repeatable bool) Verdict {
	switch {
	case 200 <= status && status <= 299:
		return Verdict{Kind: Accepted}
	case status == http.StatusServiceUnavailable:
		return Verdict{Kind: Refused, Reason: reasonOverloaded}
	case hints.Throttled && (repeatable || !perhapsDone(status)):
		return Verdict{Kind: Refused, Reason: reasonThrottled}
	case status == http.StatusRequestTimeout:
		return Verdict{Kind: Unprocessed, Reason: reasonTimedOut}
	case status == http.StatusTooEarly:
		return Verdict{Kind: Unprocessed, Reason: reasonTooEarly}
	case (status == http.StatusConflict || status == http.StatusRequestEntityTooLarge) && hints.Asked():
		// what stands against it will pass
		return Verdict{Kind: Unprocessed, Reason: reasonAskedToWait}
	case status == http.StatusGatewayTimeout:
		return Verdict{Kind: Uncertain, Reason: reasonTimedOut}
	case perhapsDone(status):
		return Verdict{Kind: Uncertain, Reason: reasonServerError}
	}
	return Verdict{Kind: Rejected, Reason: reasonRejected}
}

// perhapsDone reports whether a server that answers with this status may have processed the
// request.
func perhapsDone(status int) bool {
	return 200 <= status && status <= 299 ||
		status == http.StatusInternalServerError || status == http.StatusBadGateway || status == http.StatusGatewayTimeout ||
		// a gateway's own, such as 524: as 500 (RFC 9110, section 15)
		512 <= status && status <= 599
}

// judgeError is the table for errors of a round trip in which only what seen records has happened.
func judgeError(err error, seen marks, sent, answeredBefore bool) Verdict {
	var timeout net.Error
	timedOut := errors.As(err, &timeout) && timeout.Timeout()
	proxy := proxyStatus(err)
	switch {
	case proxy >= 500, proxy == http.StatusTooManyRequests:
		return Verdict{Kind: Refused, Reason: reasonUnreachable}
	case proxy != 0:
		return Verdict{Kind: Rejected, Reason: reasonRejected}
	case !answeredBefore && (foreign(err) || notHTTP(err)):
		return Verdict{Kind: Rejected, Reason: reasonUnreachable}
	case nethttp.Refused(err):
		return Verdict{Kind: Refused, Reason: reasonOverloaded}
	case nethttp.GoneAway(err):
		return Verdict{Kind: Refused, Reason: reasonGoneAway}
	case sent && timedOut:
		return Verdict{Kind: Uncertain, Reason: reasonTimedOut}
	case sent:
		return Verdict{Kind: Uncertain, Reason: reasonLost}
	case !answeredBefore && misconfigured(err, seen):
		return Verdict{Kind: Rejected, Reason: reasonUnreachable}
	case seen&gettingConn != 0 || neverConnected(err):
		return Verdict{Kind: Refused, Reason: reasonUnreachable}
	case timedOut:
		return Verdict{Kind: Refused, Reason: reasonOwnTimeout}
	}
	// The transport did not even look for a connection: an invalid header or method, or a signer
	// below us that fails.
	return Verdict{Kind: Rejected, Reason: reasonRejected}
}

// misconfigured reports whether an error is about a wrong host, certificate or protocol rather than
// a server that is down.
func misconfigured(err error, seen marks) bool {
	var (
		dns *net.DNSError
		op  *net.OpError
	)
	switch {
	case errors.As(err, &dns):
		return dns.IsNotFound && !dns.IsTemporary
	case wrongPeer(err):
		return true
	// crypto/tls's words for an alert of our own
	case errors.As(err, &op) && op.Op == "local error":
		return true
	}
	// Many errors of crypto/tls are plain text, so the rest is recognised by when it happened: a
	// handshake that ended, and not because of the network.
	return seen&handshakeFailed != 0 && !connecting(err)
}

// wrongPeer reports whether an error ends a connection before any request is written to it.
func wrongPeer(err error) bool {
	var (
		addr  *net.AddrError
		cert  *tls.CertificateVerificationError
		host  x509.HostnameError
		ca    x509.UnknownAuthorityError
		bad   x509.CertificateInvalidError
		plain tls.RecordHeaderError
	)
	return errors.As(err, &addr) || errors.As(err, &cert) || errors.As(err, &host) || errors.As(err, &ca) || errors.As(err, &bad) ||
		errors.As(err, &plain) || errors.Is(err, http.ErrSchemeMismatch)
}

// foreign reports whether an error is of a server that answers but refuses to go on, or that speaks
// another protocol. They may come after the request was written: TLS 1.3 asks for the client's
// certificate when the client holds the handshake for done.
func foreign(err error) bool {
	var (
		alert tls.AlertError
		plain tls.RecordHeaderError
		op    *net.OpError
	)
	return errors.As(err, &alert) || errors.As(err, &plain) || errors.As(err, &op) && op.Op == "remote error" ||
		nethttp.SpeaksTLS(err)
}

// notHTTP reports whether err is about an answer that is not HTTP, which also a server that has
// processed the request may give.
func notHTTP(err error) bool { return nethttp.NotHTTP(err) && !foreign(err) }

// connecting reports whether an error is of the network, on the way to a connection.
func connecting(err error) bool {
	var (
		dns     *net.DNSError
		op      *net.OpError
		timeout net.Error
	)
	return errors.As(err, &dns) || errors.As(err, &op) || errors.As(err, &timeout) && timeout.Timeout() ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// neverConnected reports whether an error by itself proves that there was no connection. A lost
// connection is an OpError as well, of another Op.
func neverConnected(err error) bool {
	var (
		dns *net.DNSError
		op  *net.OpError
	)
	return errors.As(err, &dns) || errors.As(err, &op) && (op.Op == "dial" || op.Op == "proxyconnect") ||
		wrongPeer(err) || proxyStatus(err) != 0
}

// proxyRefusal is an error of any package that has the status with which a proxy refused to connect
// us, so that nothing was sent to the server. net/http says so in text only: return such an error
// from [http.Transport.OnProxyConnectResponse].
type proxyRefusal interface {
	error
	ProxyStatus() int
}

// proxyStatus finds the status in an error of a proxy; 0 if there is none.
func proxyStatus(err error) int {
	var e proxyRefusal
	if errors.As(err, &e) {
		return e.ProxyStatus()
	}
	return 0
}

// unsendable reports whether net/http refuses req for what is in it, such as a header with a line
// break, before it asks for a connection. It says so in plain text only, so it is asked, without
// leave to go on.
func unsendable(req *http.Request) bool {
	if req.URL.Scheme != "http" && req.URL.Scheme != "https" {
		return false // the transport may know it
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	probe := req.WithContext(ctx)
	probe.Body, probe.GetBody, probe.ContentLength = nil, nil, 0
	if probe.Header == nil {
		probe.Header = http.Header{}
	}
	_, err := new(http.Transport).RoundTrip(probe)
	return !errors.Is(err, context.Canceled)
}

// Hints is what a response's headers say about sending again. The zero value says nothing.
type Hints struct {
	// the wait asked for, never negative; math.MaxInt64 when longer than can be counted
	Wait      time.Duration
	Known     bool    // whether a usable wait was given: an explicit zero differs from none
	Source    string  // the header that decided, lower case; "" when none did
	Throttled bool    // whether this status with these headers is a throttle
	Malformed bool    // some header was there and unusable; it was passed over
	Limits    []Limit // the quotas stated
}

// Limit is one quota as a server states it. Counts and durations are -1 when unknown.
type Limit struct {
	Policy    string        // its name; "" if it has none
	Unit      string        // what it counts: "requests" unless stated otherwise
	Limit     int64         // units in a window
	Remaining int64         // units left
	Reset     time.Duration // time until the quota is renewed
	Window    time.Duration // length of the window
}

// ParseHints reads Retry-After (RFC 9110 section 10.2.3), RateLimit and RateLimit-Policy
// (draft-ietf-httpapi-ratelimit-headers), the usual X-RateLimit-* headers and those of some vendors
// of a response that arrived at the instant now. Headers that cannot be used are passed over, never
// an error; h may be nil. It is safe for concurrent use.
func ParseHints(status int, h http.Header, now time.Time) Hints {
	p := hint.Parse(status, h, now)
	hints := Hints{Wait: p.Wait, Known: p.Known, Source: p.Source, Throttled: p.Throttled, Malformed: p.Malformed}
	for _, l := range p.Limits {
		hints.Limits = append(hints.Limits, Limit{Policy: l.Policy, Unit: l.Unit, Limit: l.Limit, Remaining: l.Remaining, Reset: l.Reset, Window: l.Window})
	}
	return hints
}
