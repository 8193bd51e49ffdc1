package send

import (
	"context"
	"crypto/tls"
	"crypto/x509"
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

	"github.com/penstock/penstock/internal/body"
	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/secret"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
)

// A causeError is an error of the network whose text says what is wrong and what to do about it.
type causeError struct {
	text    string
	fault   bool   // of the configuration: trying later does not help
	culprit string // what the error is about if that is not the server: "the proxy …"
	lost    bool   // the server closed the connection, for whatever reason
	err     error  // what it was found in
}

func (e *causeError) Error() string { return e.text }
func (e *causeError) Unwrap() error { return e.err }

// Timeout is what a url.Error asks, of what it wraps directly.
func (e *causeError) Timeout() bool {
	var timeout interface{ Timeout() bool }
	return errors.As(e.err, &timeout) && timeout.Timeout()
}

// culpritOf returns the proxy that an error is about, such as "the proxy p.example:3128"; "" if it is about the server.
func culpritOf(err error) string {
	if err == nil {
		return ""
	}
	if e := (*causeError)(nil); errors.As(err, &e) {
		return e.culprit
	}
	return ""
}

// explained returns an error with the cause that is found in it, if there is one.
func (n Network) explained(req *http.Request, err error) error {
	if err == nil || errors.As(err, new(interface{ RetryAt() time.Time })) {
		return err
	}
	if copying := (*net.OpError)(nil); errors.As(err, &copying) && copying.Op == "readfrom" {
		err = copying.Err // "readfrom" and two addresses say nothing of what went wrong
	}
	at := req.URL
	var proxy *url.URL
	if through, proxyErr := n.proxy()(req); proxyErr == nil {
		proxy = through
	}
	e := &causeError{err: err}
	var status *proxyError
	var op *net.OpError
	if proxy != nil {
		socks := strings.HasPrefix(proxy.Scheme, "socks")
		switch {
		case socks && errors.As(err, &op) && op.Op == "socks connect":
			e.explainSOCKS("the proxy "+addressOf(proxy), addressOf(at), op.Err)
			return e
		// Net/http marks everything that goes wrong on the way to a proxy, its certificate included. Without TLS an HTTP proxy
		// answers itself; through a SOCKS proxy the server does.
		case errors.As(err, &status), errors.As(err, &op) && op.Op == "proxyconnect", req.URL.Scheme == "http" && !socks && nethttp.NotHTTP(err):
			at, e.culprit = proxy, "the proxy "+addressOf(proxy)
		case !socks && req.URL.Scheme == "https" && errors.Is(err, context.DeadlineExceeded) && req.Context().Err() == nil: // net/http's own
			e.culprit = "the proxy " + addressOf(proxy)
			e.text = fmt.Sprintf("%s did not connect to %s in time", e.culprit, addressOf(at))
			return e
		}
	}
	if status != nil {
		e.text = fmt.Sprintf("%s answers %d %s", e.culprit, status.status, http.StatusText(status.status))
		if status.status == http.StatusProxyAuthRequired {
			e.text, e.fault = e.text+": "+proxyCredentials, true
		}
		return e
	}
	who := e.culprit
	if who == "" {
		who = serverAt(at)
	}
	switch e.text, e.fault = n.cause(at, who, err); {
	case e.text == "" && isLost(err):
		switch {
		case e.culprit != "":
		case proxy != nil:
			who = "the server, or the proxy " + addressOf(proxy) + ","
		default:
			who, e.lost = "the server", true
		}
		e.text = who + closedWithout
	case e.text == "" && e.culprit == "":
		return err
	case e.text == "":
		e.text = err.Error()
	case e.culprit != "" && e.fault:
		e.text += inProxy
	}
	return e
}

// explainSOCKS says why a SOCKS proxy opened no connection. Net/http has no types for that.
func (e *causeError) explainSOCKS(proxy, to string, err error) {
	reply, replied := strings.CutPrefix(err.Error(), "unknown error ")
	switch {
	case replied: // and thereby it works
		e.text = fmt.Sprintf("%s cannot connect to %s: %s", proxy, to, reply)
		return
	case strings.Contains(err.Error(), "authentication"):
		e.text, e.fault = proxy+" refuses the credentials: "+proxyCredentials, true
	case strings.HasPrefix(err.Error(), "unexpected protocol version"):
		e.text, e.fault = proxy+" does not speak SOCKS5: check the scheme and the port"+inProxy, true
	default:
		e.text = fmt.Sprintf("%s did not connect to %s: %v", proxy, to, err)
		if isLost(err) {
			e.text = proxy + closedWithout
		}
	}
	e.culprit = proxy
}

// opError returns the error of one of these operations in err, if there is one: net/http wraps what goes wrong on the way to a
// proxy in another of the same type.
func opError(err error, names ...string) *net.OpError {
	for op := (*net.OpError)(nil); errors.As(err, &op); err = op.Err {
		if slices.Contains(names, op.Op) {
			return op
		}
	}
	return nil
}

// dialError returns the error of a connection to a server or a proxy that could not be opened, if there is one in err.
func dialError(err error) *net.OpError { return opError(err, "dial") }

func dialTimedOut(err error) bool {
	op := dialError(err)
	return op != nil && op.Timeout()
}

// serverAt returns the name of a server for errors about its port: "port 443 of h.example".
func serverAt(u *url.URL) string {
	_, port, _ := net.SplitHostPort(addressOf(u))
	return "port " + port + " of " + u.Hostname()
}

const (
	inProxy          = " in --proxy, HTTP_PROXY or HTTPS_PROXY"
	proxyCredentials = "check the user name and password" + inProxy
)

// cause says in words what is wrong with a server or a proxy, and what to do; "" if nothing better is known than the
// error's own text. It reports whether the configuration is at fault.
func (n Network) cause(at *url.URL, who string, err error) (text string, fault bool) {
	var (
		dns   *net.DNSError
		plain tls.RecordHeaderError
		op    *net.OpError
	)
	switch {
	case errors.As(err, &dns) && dns.IsNotFound && !dns.IsTemporary:
		return fmt.Sprintf("no such host: %s: check the name", dns.Name), true
	case errors.Is(err, syscall.ECONNREFUSED):
		what := "the server"
		if who != serverAt(at) {
			what = "it"
		}
		return fmt.Sprintf("%s refuses connections: check that %s is running", who, what), false
	case errors.As(err, &dns) && dns.IsTimeout: // the name server's own limit is often shorter than ours
		return fmt.Sprintf("the name %s cannot be looked up in time: check the name server", dns.Name), false
	case dialTimedOut(err) && n.ConnectTimeout > 0:
		return fmt.Sprintf("no connection to %s within %s (--connect-timeout)", who, human.Exact(n.ConnectTimeout)), false
	case errors.As(err, &plain):
		if head := string(plain.RecordHeader[:]); head == "HTTP/" || head[0] == '<' {
			return who + " speaks plain HTTP: use http://", true
		}
		return who + " does not speak TLS: check the port, or use http://", true
	case errors.Is(err, http.ErrSchemeMismatch):
		return who + " speaks plain HTTP: use http://", true
	case nethttp.SpeaksTLS(err):
		return who + speaksTLS, true
	case nethttp.NotHTTP(err):
		return who + " answers in something other than HTTP: check the port", true
	case errors.As(err, &op) && op.Op == "remote error":
		return n.alertCause(at, who, op.Err)
	}
	return certificateCause(at, err)
}

// mayHaveArrived is added to the error of an unknown item that only says what is wrong with the server.
const mayHaveArrived = "it may have been accepted"

const (
	speaksTLS     = " speaks TLS: use https://"
	closedWithout = " closed the connection without an answer"
	perhapsTLS    = " (if it speaks TLS, use https://)"
)

// isLost reports whether the other side closed the connection. An EOF of the file being sent does not count.
func isLost(err error) bool {
	if body.Fault(err) != nil {
		return false
	}
	for _, e := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, e) {
			return true
		}
	}
	return strings.HasSuffix(err.Error(), "server closed idle connection") // not exported
}

// mayBeTLS reports whether err may come from a server that speaks TLS and got plain HTTP: it closed the connection, has never
// answered, and its port is not the usual one.
func (r *run) mayBeTLS(j *job, err error) bool {
	var e *causeError
	return j.server != nil && errors.As(err, &e) && e.lost && j.server.MayBeTLS()
}

// certificateCause is cause for a server's certificate.
func certificateCause(at *url.URL, err error) (text string, fault bool) {
	var (
		bad     *tls.CertificateVerificationError
		host    x509.HostnameError
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
	)
	if !errors.As(err, &bad) {
		return "", false
	}
	whose := "the certificate of " + at.Hostname()
	switch {
	case errors.As(err, &host):
		names := host.Certificate.DNSNames
		for _, ip := range host.Certificate.IPAddresses {
			names = append(names[:len(names):len(names)], ip.String())
		}
		switch {
		case len(names) == 0:
			return whose + " has no subject alternative name, which is required: ask the owner of the server to replace it", true
		case len(names) > 3:
			names = append(names[:3:3], fmt.Sprintf("%d others", len(names)-3))
		}
		return fmt.Sprintf("%s is valid for %s only: use that name in the URL", whose, strings.Join(names, ", ")), true
	case errors.As(err, &unknown):
		issuer := "an unknown authority"
		if unknown.Cert != nil && unknown.Cert.Issuer.CommonName != "" {
			issuer = unknown.Cert.Issuer.CommonName
		}
		return fmt.Sprintf("%s is not trusted (it was issued by %s): if you trust it, give its issuer's certificate with --cacert", whose, issuer), true
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil:
		// No fault of our configuration: the server's owner may renew it during the run.
		if time.Now().Before(invalid.Cert.NotBefore) {
			return fmt.Sprintf("%s is valid from %s on: check this machine's clock", whose, invalid.Cert.NotBefore.Format(time.DateOnly)), false
		}
		return fmt.Sprintf("%s expired on %s: ask the owner of the server to renew it", whose, invalid.Cert.NotAfter.Format(time.DateOnly)), false
	}
	return fmt.Sprintf("%s is not valid: %s", whose, strings.TrimPrefix(bad.Err.Error(), "x509: ")), true
}

// alertCause is cause for a server that ends a handshake with an alert (RFC 8446, section 6.2). The type of these is not
// exported, but has the same texts as one that is.
func (n Network) alertCause(at *url.URL, who string, err error) (text string, fault bool) {
	switch err.Error() {
	case tls.AlertError(116).Error(), tls.AlertError(42).Error(), tls.AlertError(48).Error(): // certificate required, bad, of an unknown issuer
		switch {
		case !n.certified():
			return who + demandsCertificate, true
		case n.CertificateOrigin != "" && n.CertificateOrigin != nethttp.OriginOf(at.Scheme+"://"+at.Host):
			return fmt.Sprintf("%s requires a client certificate, and --cert is used for %s only", who, n.CertificateOrigin), true
		}
		return who + refusesCertificate, true
	case tls.AlertError(70).Error(): // protocol version
		return who + " does not support TLS 1.2 or later", true
	case tls.AlertError(40).Error(): // handshake failure
		return who + " ends the TLS handshake: it may require a client certificate (--cert), or support no secure cipher", true
	}
	return "", false
}

// withFlag returns the text of the error that a call ended with, with the flag of the limit of ours that it speaks of.
func withFlag(text string, end retry.Result) string {
	var timeout *throttle.TimeoutError
	if errors.As(end.Err, &timeout) {
		words := fmt.Sprintf("the attempt took longer than --timeout %s: raise it if the file or the server needs more time", human.Exact(timeout.After))
		text = strings.ReplaceAll(text, status.Plain(timeout), words)
	}
	var stall *stallError
	if errors.As(end.Err, &stall) && stall.state == stalledAnswer && !end.Uncertain { // all that was sent was to open the connection
		text = strings.ReplaceAll(text, stall.Error(), (&stallError{limit: stall.limit}).Error())
	}
	var paused *throttle.PausedError
	if errors.As(end.Err, &paused) {
		text = strings.ReplaceAll(text, status.Plain(paused), "nothing was sent")
	}
	var long interface { // retry's
		error
		MaxWait() time.Duration
	}
	if errors.As(end.Err, &long) {
		words := fmt.Sprintf("asked to wait until %s, longer than --max-wait %s", end.RetryAt.UTC().Format(time.RFC3339), human.Exact(long.MaxWait()))
		text = strings.ReplaceAll(text, status.Plain(long), words)
	}
	return text
}

// unreachableError is the reason why nothing more is sent to a server.
type unreachableError struct{ text string }

func (e unreachableError) Error() string      { return e.text }
func (unreachableError) Is(target error) bool { return target == retry.ErrUnreachable }

// unreachable ends sending to a job's server, unless that has accepted something: then it is this item's URL. It
// returns what the item ended with, in words.
func (r *run) unreachable(j *job, cause error, text string) string {
	status, reason := exit.Unavailable, "check the URL, the proxy and the TLS settings"
	var known *causeError
	var earlier unreachableError
	switch {
	case errors.As(cause, &known):
		if known.fault {
			status = exit.Usage
		}
		reason = known.text
		text = fmt.Sprintf("%s %s: %s", j.item.Method, secret.URL(j.item.URL), reason)
	case errors.As(cause, &earlier): // another request found it out
		text = fmt.Sprintf("%s %s: %s", j.item.Method, secret.URL(j.item.URL), earlier.text)
	}
	if j.server != nil && j.server.Accepted() == 0 && r.ending.cause() == nil {
		r.shut(j.server, status, unreachableError{reason})
	}
	return text
}

// misdirected returns the cause that a server or a proxy states in the text of a 400, for lack of a status of its own; nil if it
// states none.
func (n Network) misdirected(resp *http.Response, head []byte) error {
	if resp == nil || resp.StatusCode != http.StatusBadRequest || resp.Request == nil {
		return nil
	}
	at, text := resp.Request.URL, strings.ToLower(string(head))
	who := serverAt(at)
	if proxy, err := n.proxy()(resp.Request); err == nil && proxy != nil && proxy.Scheme == "http" && at.Scheme == "http" {
		who += ", or the proxy " + addressOf(proxy) + "," // either may have said so
	}
	for _, words := range saidInText {
		if strings.Contains(text, words.text) && at.Scheme == words.scheme {
			return &causeError{text: who + words.cause, fault: true}
		}
	}
	return nil
}

const (
	demandsCertificate = " requires a client certificate: give one with --cert and --key"
	refusesCertificate = " rejects the client certificate given with --cert"
)

var saidInText = []struct{ scheme, text, cause string }{
	{"http", "client sent an http request to an https server", speaksTLS},    // net/http
	{"http", "plain http request was sent to https port", speaksTLS},         // nginx
	{"http", "speaking plain http to an ssl-enabled server port", speaksTLS}, // Apache
	{"http", "combination of host and port requires tls", speaksTLS},         // Tomcat
	{"https", "no required ssl certificate was sent", demandsCertificate},    // nginx
	{"https", "the ssl certificate error", refusesCertificate},               // nginx
}
