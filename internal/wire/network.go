// Package wire sends requests. Its [Transport] sits below the limits and sends each request at
// once. It connects, by way of proxies and with certificates, keeps connections for as long as that
// is safe, ends requests for which nothing moves ([StallError]), says in a [Cause] what is wrong on
// the way to a server, and counts the bytes of what is under way ([Uploads]).
//
// It neither repeats requests nor knows what they carry. It does not know the names of the flags
// for its settings.
package wire

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"
)

// A Network says how servers are reached. TLS is always verified, and of version 1.2 or later.
type Network struct {
	ConnectTimeout time.Duration // to connect, and again for the TLS handshake; if 0, no limit
	StallTimeout   time.Duration // without a byte either way; if 0, no limit
	HTTP2          bool
	Proxy          *url.URL    // if nil, by the environment
	TLS            *tls.Config // if nil, with the system's roots

	// MaxFiles is how many files may be open at once. If 0, as many as the system lets.
	MaxFiles int

	// Dial opens a connection. If nil, the system does, within ConnectTimeout.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// idleTimeout is for how long a connection is kept without a request. It is over before the
// connection fails as stalled: net/http takes one from its pool without a race, while a deadline
// may end one that a request has just been given to.
func (n Network) idleTimeout() time.Duration {
	const most = 90 * time.Second
	if n.StallTimeout <= 0 {
		return most
	}
	return min(most, n.StallTimeout-n.StallTimeout/8)
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

// Certified reports whether there is a client certificate to show to servers.
func (n Network) Certified() bool {
	return n.TLS != nil && (len(n.TLS.Certificates) > 0 || n.TLS.GetClientCertificate != nil)
}

// proxy returns the proxy of a request; nil if it has none.
func (n Network) proxy(req *http.Request) (*url.URL, error) {
	if n.Proxy != nil {
		return n.Proxy, nil
	}
	return http.ProxyFromEnvironment(req)
}

// ProxyAddresses returns the URLs of the proxies, with their credentials.
func (n Network) ProxyAddresses() (urls []string) {
	if n.Proxy != nil {
		urls = append(urls, n.Proxy.String())
	}
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"} {
		urls = append(urls, os.Getenv(name))
	}
	return urls
}
