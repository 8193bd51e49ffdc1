package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/nethttp"
)

// A Cause is what is wrong on the way to a server, found in an error of net/http.
type Cause struct {
	Kind    Kind
	Fault   bool   // of the configuration: trying later does not help
	Culprit string // what it is about if that is not the server: "the proxy …"
	Text    string // what is wrong
	Origin  string // of CertificateElsewhere: the only one that the client certificate is shown to

	err error // what it was found in
}

// A Kind is what a user can do about a cause.
type Kind int

const (
	Other Kind = iota // nothing that is known
	NoSuchHost
	NoNameServer // in time
	Refused
	NotConnected // in time
	SpeaksHTTP   // and not TLS
	SpeaksNoTLS
	SpeaksTLS // and not HTTP
	SpeaksNoHTTP
	SpeaksNoSOCKS
	ProxyCredentials    // are refused
	Closed              // by the server, for whatever reason, without an answer
	CertificateRequired // ours
	CertificateElsewhere
	CertificateRejected
	HandshakeFailed
	CertificateNoNames // the server's
	CertificateNames
	CertificateUnknown
	CertificateTooEarly
	CertificateExpired
)

// Error says what is wrong, and nothing of what to do.
func (c *Cause) Error() string { return c.Text }
func (c *Cause) Unwrap() error { return c.err }

// Timeout is what a url.Error asks, of what it wraps directly.
func (c *Cause) Timeout() bool {
	var timeout interface{ Timeout() bool }
	return errors.As(c.err, &timeout) && timeout.Timeout()
}

// says sets what a cause is, and reports true.
func (c *Cause) says(kind Kind, fault bool, format string, args ...any) bool {
	c.Kind, c.Fault, c.Text = kind, fault, fmt.Sprintf(format, args...)
	return true
}

// Culprit returns the proxy that an error is about, such as "the proxy p.example:3128"; "" if it is
// about the server.
func Culprit(err error) string {
	if c, ok := errors.AsType[*Cause](err); ok {
		return c.Culprit
	}
	return ""
}

// Lost reports whether an error of a connection says that the other side closed it.
func Lost(err error) bool {
	for _, e := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, e) {
			return true
		}
	}
	return strings.HasSuffix(err.Error(), "server closed idle connection") // not exported
}

// DialError returns the error of a connection to a server or a proxy that could not be opened, if
// there is one in err.
func DialError(err error) *net.OpError { return opError(err, "dial") }

// Alert reports whether TLS failed by an alert, of whichever side.
func Alert(err error) bool { return opError(err, "remote error", "local error") != nil }

// opError returns the error of one of these operations in err, if there is one: net/http wraps what
// goes wrong on the way to a proxy in another of the same type.
func opError(err error, names ...string) *net.OpError {
	for {
		op, ok := errors.AsType[*net.OpError](err)
		if !ok || slices.Contains(names, op.Op) {
			return op
		}
		err = op.Err
	}
}

// A proxyError says that a proxy did not let a connection through.
type proxyError struct{ status int }

func (e *proxyError) Error() string { return "the proxy " + e.answers() }

func (e *proxyError) answers() string {
	return fmt.Sprintf("answers %d %s", e.status, http.StatusText(e.status))
}

// ProxyStatus is the proxy's answer; the package retry looks for it.
func (e *proxyError) ProxyStatus() int { return e.status }

// explain returns an error with the cause that is found in it, if there is one.
func (t *Transport) explain(req *http.Request, err error) error {
	if err == nil || errors.As(err, new(interface{ RetryAt() time.Time })) {
		return err
	}
	if copying := (*net.OpError)(nil); errors.As(err, &copying) && copying.Op == "readfrom" {
		err = copying.Err // "readfrom" and two addresses say nothing of what went wrong
	}
	c := &Cause{err: err}
	if t.find(c, req) {
		return c
	}
	return err
}

// find finds the cause of c.err, and reports whether there is one.
func (t *Transport) find(c *Cause, req *http.Request) bool {
	at := req.URL
	who := serverAt(at)
	proxy, _ := t.proxy(req)
	if proxy != nil {
		socks := strings.HasPrefix(proxy.Scheme, "socks")
		name := "the proxy " + addressOf(proxy)
		var op *net.OpError
		var answer *proxyError
		switch {
		case socks && errors.As(c.err, &op) && op.Op == "socks connect":
			return c.findSOCKS(name, addressOf(at), op.Err)
		case errors.As(c.err, &answer):
			c.Culprit = name
			kind := Other
			if answer.status == http.StatusProxyAuthRequired {
				kind = ProxyCredentials
			}
			return c.says(kind, kind != Other, "%s %s", name, answer.answers())
		// Net/http marks everything that goes wrong on the way to a proxy, its certificate
		// included. Without TLS an HTTP proxy answers itself; through a SOCKS proxy the server
		// does.
		case errors.As(c.err, &op) && op.Op == "proxyconnect",
			at.Scheme == "http" && !socks && nethttp.NotHTTP(c.err):
			at, who, c.Culprit = proxy, name, name
		case !socks && at.Scheme == "https" && errors.Is(c.err, context.DeadlineExceeded) &&
			req.Context().Err() == nil: // net/http's own
			c.Culprit = name
			return c.says(Other, false, "%s did not connect to %s in time", name, addressOf(at))
		}
	}
	switch {
	case t.findWrong(c, at, who):
	case Lost(c.err) && (t.BodyFault == nil || !t.BodyFault(c.err)):
		kind := Other
		switch {
		case c.Culprit != "":
		case proxy != nil:
			who = "the server, or the proxy " + addressOf(proxy) + ","
		default:
			who, kind = "the server", Closed
		}
		return c.says(kind, false, "%s closed the connection without an answer", who)
	case c.Culprit != "":
		c.Text = c.err.Error()
	default:
		return false
	}
	return true
}

// findSOCKS finds why a SOCKS proxy opened no connection. Net/http has no types for that.
func (c *Cause) findSOCKS(proxy, to string, err error) bool {
	reply, replied := strings.CutPrefix(err.Error(), "unknown error ")
	if replied { // and thereby it works
		return c.says(Other, false, "%s cannot connect to %s: %s", proxy, to, reply)
	}
	c.Culprit = proxy
	switch {
	case strings.Contains(err.Error(), "authentication"):
		return c.says(ProxyCredentials, true, "%s refuses the credentials", proxy)
	case strings.HasPrefix(err.Error(), "unexpected protocol version"):
		return c.says(SpeaksNoSOCKS, true, "%s does not speak SOCKS5", proxy)
	case Lost(err):
		return c.says(Other, false, "%s closed the connection without an answer", proxy)
	}
	return c.says(Other, false, "%s did not connect to %s: %v", proxy, to, err)
}

// serverAt returns the name of a server for errors about its port: "port 443 of h.example".
func serverAt(u *url.URL) string {
	_, port, _ := net.SplitHostPort(addressOf(u))
	return "port " + port + " of " + u.Hostname()
}

// findWrong finds what is wrong with a server or a proxy, and reports whether anything better is
// known than the error's own text.
func (t *Transport) findWrong(c *Cause, at *url.URL, who string) bool {
	var (
		dns   *net.DNSError
		plain tls.RecordHeaderError
		op    *net.OpError
		cert  *tls.CertificateVerificationError
	)
	switch err := c.err; {
	case errors.As(err, &dns) && dns.IsNotFound && !dns.IsTemporary:
		return c.says(NoSuchHost, true, "no such host: %s", dns.Name)
	case errors.Is(err, syscall.ECONNREFUSED):
		return c.says(Refused, false, "%s refuses connections", who)
	case errors.As(err, &dns) && dns.IsTimeout:
		// The name server's own limit is often shorter than ours.
		return c.says(NoNameServer, false, "the name %s cannot be looked up in time", dns.Name)
	case t.ConnectTimeout > 0 && DialError(err) != nil && DialError(err).Timeout():
		return c.says(NotConnected, false, "no connection to %s within %s",
			who, human.Exact(t.ConnectTimeout))
	case errors.As(err, &plain):
		if head := string(plain.RecordHeader[:]); head == "HTTP/" || head[0] == '<' {
			return c.says(SpeaksHTTP, true, "%s speaks plain HTTP", who)
		}
		return c.says(SpeaksNoTLS, true, "%s does not speak TLS", who)
	case errors.Is(err, http.ErrSchemeMismatch):
		return c.says(SpeaksHTTP, true, "%s speaks plain HTTP", who)
	case nethttp.SpeaksTLS(err):
		return c.says(SpeaksTLS, true, speaksTLS, who)
	case nethttp.NotHTTP(err):
		return c.says(SpeaksNoHTTP, true, "%s answers in something other than HTTP", who)
	case errors.As(err, &op) && op.Op == "remote error":
		return t.findAlert(c, at, who, op.Err)
	case errors.As(err, &cert):
		return c.findCertificate(at, cert)
	}
	return false
}

// findAlert is findWrong for a server that ends a handshake with an alert (RFC 8446, section 6.2).
// The type of these is not exported, but has the same texts as one that is.
func (t *Transport) findAlert(c *Cause, at *url.URL, who string, alert error) bool {
	switch alert.Error() {
	case tls.AlertError(116).Error(), // certificate required
		tls.AlertError(42).Error(), // bad certificate
		tls.AlertError(48).Error(): // of an unknown issuer
		switch {
		case !t.Certified():
			return c.says(CertificateRequired, true, requiresCertificate, who)
		case !t.shows(at):
			c.Origin = t.CertificateOrigin
			return c.says(CertificateElsewhere, true, requiresCertificate, who)
		}
		return c.says(CertificateRejected, true, rejectsCertificate, who)
	case tls.AlertError(70).Error(): // protocol version
		return c.says(Other, true, "%s does not support TLS 1.2 or later", who)
	case tls.AlertError(40).Error(): // handshake failure
		return c.says(HandshakeFailed, true, "%s ends the TLS handshake", who)
	}
	return false
}

// What is wrong with a server, found in its text as well as in an error.
const (
	speaksTLS           = "%s speaks TLS"
	requiresCertificate = "%s requires a client certificate"
	rejectsCertificate  = "%s rejects the client certificate"
)

// saidInText are the texts of a 400 by which servers state what has no status of its own.
var saidInText = []struct {
	scheme, text string
	kind         Kind
	says         string
}{
	{"http", "client sent an http request to an https server", SpeaksTLS, speaksTLS},    // net/http
	{"http", "plain http request was sent to https port", SpeaksTLS, speaksTLS},         // nginx
	{"http", "speaking plain http to an ssl-enabled server port", SpeaksTLS, speaksTLS}, // Apache
	{"http", "combination of host and port requires tls", SpeaksTLS, speaksTLS},         // Tomcat
	{"https", "no required ssl certificate was sent", CertificateRequired, requiresCertificate},
	{"https", "the ssl certificate error", CertificateRejected, rejectsCertificate}, // nginx, both
}

// Misdirected returns the cause that a server or a proxy states in the text of a 400; nil if it
// states none.
func (n Network) Misdirected(resp *http.Response, head []byte) *Cause {
	if resp == nil || resp.StatusCode != http.StatusBadRequest || resp.Request == nil {
		return nil
	}
	at, text := resp.Request.URL, strings.ToLower(string(head))
	who := serverAt(at)
	proxy, _ := n.proxy(resp.Request)
	if proxy != nil && proxy.Scheme == "http" && at.Scheme == "http" {
		who += ", or the proxy " + addressOf(proxy) + "," // either may have said so
	}
	for _, said := range saidInText {
		if strings.Contains(text, said.text) && at.Scheme == said.scheme {
			c := new(Cause)
			c.says(said.kind, true, said.says, who)
			return c
		}
	}
	return nil
}
