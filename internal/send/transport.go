package send

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"time"
)

// Network says how servers are reached. TLS is always verified, and of version 1.2 or later.
type Network struct {
	ConnectTimeout time.Duration // to connect, and again for the TLS handshake; 0: no limit
	StallTimeout   time.Duration // without a byte either way; 0: no limit
	HTTP2          bool
	Proxy          *url.URL    // if nil, by the environment
	TLS            *tls.Config // if nil, with the system's roots
	// CertificateOrigin is the only server that the certificate in TLS is shown to, as an origin; empty: all servers.
	CertificateOrigin string
	// Unrepeatable reports whether a request must not be sent twice. If nil, none is such.
	Unrepeatable func(*http.Request) bool

	dial  dialFunc               // if nil, the system's
	files int                    // that may be open at once; 0: what the system says
	full  func(files, conns int) // told when that leaves no room for another connection
}

// maxAnswerHead bounds the head of an answer, with those of the interim answers before it. It
// bounds the memory for 256 of them at once, and for as many headers as fit into it.
const maxAnswerHead = 32 << 10

// A transport does the sending.
type transport interface {
	http.RoundTripper
	CloseIdleConnections()
}

// idleTimeout is for how long a connection is kept without a request. It is over before the connection
// fails as stalled: net/http takes one from its pool without a race, while a deadline may end one that
// a request has just been given to.
func (n Network) idleTimeout() time.Duration {
	const most = 90 * time.Second
	if n.StallTimeout <= 0 {
		return most
	}
	return min(most, n.StallTimeout-n.StallTimeout/8)
}

// base returns the transport that does the sending, keeping up to idle connections to a host.
func (n Network) base(idle int) *connections {
	c := &connections{network: n, perHost: idle, lives: lives{of: make(map[string]*life)}, pools: make(map[poolKey]transport)}
	c.dial = n.dialer(&c.lives, c.CloseIdleConnections)
	return c
}

// config returns the settings of TLS, with our certificate or without it.
func (n Network) config(certificate bool) *tls.Config {
	config := &tls.Config{}
	if n.TLS != nil {
		config = n.TLS.Clone()
	}
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	if !certificate {
		config.Certificates, config.GetClientCertificate = nil, nil
	}
	return config
}

// certified reports whether we have a certificate to show.
func (n Network) certified() bool {
	return n.TLS != nil && (len(n.TLS.Certificates) > 0 || n.TLS.GetClientCertificate != nil)
}

// pool returns a transport with connections of its own, which are closed when nothing was sent on them for so long.
func (n Network) pool(perHost int, unused time.Duration, certificate bool, dial dialFunc) transport {
	t := &http.Transport{
		Proxy:                  n.proxy(),
		TLSClientConfig:        n.config(certificate),
		TLSHandshakeTimeout:    n.ConnectTimeout,
		MaxIdleConnsPerHost:    perHost,
		MaxIdleConns:           n.mostConns() / 2, // or those to servers that are done with would take all places
		IdleConnTimeout:        unused,
		MaxResponseHeaderBytes: maxAnswerHead, // the connection limits how long they may take
		ExpectContinueTimeout:  time.Second,
		DisableCompression:     true,    // nobody reads the answers
		WriteBufferSize:        8 << 10, // a small file goes with its header in one write
		Protocols:              new(http.Protocols),
		DialContext:            dial,
	}
	t.OnProxyConnectResponse = func(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
		if resp.StatusCode == http.StatusOK {
			return nil
		}
		return &proxyError{resp.StatusCode}
	}
	if certificate && n.certified() {
		t.DialTLSContext = n.dialTLS(dial) // net/http would show it to a proxy as well
	}
	t.Protocols.SetHTTP1(true)
	t.Protocols.SetHTTP2(n.HTTP2)
	if !n.HTTP2 || n.StallTimeout <= 0 {
		return t
	}
	// A frame that drips is no frame, and nobody answers a ping in the middle of one.
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: n.StallTimeout + n.StallTimeout/4, PingTimeout: n.StallTimeout}
	return &watched{t, n.StallTimeout}
}

// proxy returns the function that chooses the proxy of a request.
func (n Network) proxy() func(*http.Request) (*url.URL, error) {
	if n.Proxy != nil {
		return http.ProxyURL(n.Proxy)
	}
	return http.ProxyFromEnvironment
}

// addresses returns the URLs of the proxies, with their credentials.
func (n Network) addresses() (urls []string) {
	if n.Proxy != nil {
		urls = append(urls, n.Proxy.String())
	}
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"} {
		urls = append(urls, os.Getenv(name))
	}
	return urls
}

// A proxyError says that a proxy did not let a connection through.
type proxyError struct{ status int }

func (e *proxyError) Error() string {
	return fmt.Sprintf("the proxy answers %d %s", e.status, http.StatusText(e.status))
}

// ProxyStatus is the proxy's answer; the package retry looks for it.
func (e *proxyError) ProxyStatus() int { return e.status }
