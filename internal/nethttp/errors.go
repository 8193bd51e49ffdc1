package nethttp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
)

// NeverConnected reports whether an error by itself proves that there was no connection. A lost
// connection is a [net.OpError] as well, of another Op.
func NeverConnected(err error) bool {
	var (
		dns *net.DNSError
		op  *net.OpError
	)
	return errors.As(err, &dns) || wrongPeer(err) ||
		errors.As(err, &op) && (op.Op == "dial" || op.Op == "proxyconnect")
}

// Misconfigured reports whether an error is about a wrong host, certificate or protocol rather than
// a server that is down. Many errors of crypto/tls are plain text, so it has to be told whether the
// handshake has failed: where that was not the network's doing, it was the peers'.
func Misconfigured(err error, handshakeFailed bool) bool {
	var (
		dns     *net.DNSError
		op      *net.OpError
		timeout net.Error
	)
	switch {
	case errors.As(err, &dns):
		return dns.IsNotFound && !dns.IsTemporary
	case wrongPeer(err):
		return true
	case errors.As(err, &op):
		return op.Op == "local error" // crypto/tls's words for an alert of our own
	}
	return handshakeFailed && !(errors.As(err, &timeout) && timeout.Timeout()) &&
		!errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF)
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
	return errors.As(err, &addr) || errors.As(err, &cert) || errors.As(err, &host) ||
		errors.As(err, &ca) || errors.As(err, &bad) || errors.As(err, &plain) ||
		errors.Is(err, http.ErrSchemeMismatch)
}

// Foreign reports whether an error is of a server that answers but refuses to go on, or that speaks
// another protocol. It may come after the request was written: TLS 1.3 asks for the client's
// certificate when the client holds the handshake for done.
func Foreign(err error) bool {
	var (
		alert tls.AlertError
		plain tls.RecordHeaderError
		op    *net.OpError
	)
	return errors.As(err, &alert) || errors.As(err, &plain) ||
		errors.As(err, &op) && op.Op == "remote error" || SpeaksTLS(err)
}

// Unsendable reports whether net/http refuses req for what is in it, such as a header with a line
// break, before it asks for a connection. It says so in plain text only, so it is asked, without
// leave to go on.
func Unsendable(req *http.Request) bool {
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

// ProxyStatus returns the status with which a proxy refused to connect us, so that nothing was sent
// to the server, or 0. net/http says so in text only: any package's error with that method will do.
func ProxyStatus(err error) int {
	var e interface {
		error
		ProxyStatus() int
	}
	if errors.As(err, &e) {
		return e.ProxyStatus()
	}
	return 0
}

// PerhapsProcessed reports whether a server that answers with this status may have processed the
// request.
func PerhapsProcessed(status int) bool {
	return 200 <= status && status <= 299 ||
		status == http.StatusInternalServerError || status == http.StatusBadGateway ||
		status == http.StatusGatewayTimeout ||
		// a gateway's own, such as 524: as 500 (RFC 9110, section 15)
		512 <= status && status <= 599
}
