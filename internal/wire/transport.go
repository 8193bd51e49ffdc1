package wire

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/penstock/penstock/internal/nethttp"
)

// A Transport sends requests. Its fields must not change once it is in use. It is safe for
// concurrent use.
//
// It keeps its connections in several pools: one for requests that may be repeated, and others for
// those that may not, out of which a connection is dropped before the server may be about to close
// it. A request that arrives just when its connection is closed is lost, and it is not known
// whether it was processed. The first kind is repeated then, so it loses nothing by using a
// connection for as long as it lasts.
type Transport struct {
	Network
	// MaxIdle is how many connections to one server are kept without a request. If 0, two.
	MaxIdle int

	// CertificateOrigin is the only server that the client certificate is shown to, as an origin.
	// If empty, it is shown to all servers.
	CertificateOrigin string

	// Before is called with each request that is about to leave, and returns the one that leaves in
	// its place. If it fails, nothing is sent: the body is closed, and the error has a method
	// RetryAt, by which the packages above know that. If nil, requests leave as they are.
	Before func(*http.Request) (*http.Request, error)

	// Unrepeatable reports whether a request must not be sent twice. If nil, none is such.
	Unrepeatable func(*http.Request) bool

	// BodyFault reports whether an error is one of the request's own body. Such an error says
	// nothing of the connection, even if it is an EOF. If nil, none is such.
	BodyFault func(error) bool

	// Full is called when MaxFiles leaves no room for another connection than so many. It may be
	// nil.
	Full func(files, conns int)

	once  sync.Once
	dial  dialFunc
	lives lives

	mu    sync.Mutex
	pools map[poolKey]pool
}

// maxAnswerHead bounds the head of an answer, with those of the interim answers before it. It
// bounds the memory for 256 of them at once, and for as many headers as fit into it.
const maxAnswerHead = 32 << 10

// A pool sends on connections of its own.
type pool interface {
	http.RoundTripper
	CloseIdleConnections()
}

// A poolKey is what the requests have in common that may share connections.
type poolKey struct {
	unused  time.Duration // after which a connection is closed
	foreign bool          // to a server that must not see our certificate
}

// A notSentError says why a request was not sent after all.
type notSentError struct{ error }

func (e *notSentError) Unwrap() error      { return e.error }
func (e *notSentError) RetryAt() time.Time { return time.Time{} }

// RoundTrip sends a request. An error for which a cause is known is a [Cause].
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	t.once.Do(func() { t.dial = t.dialer() })
	if t.Before != nil {
		out, err := t.Before(req)
		if err != nil {
			if req.Body != nil {
				req.Body.Close()
			}
			return nil, &notSentError{err}
		}
		req = out
	}
	key := poolKey{unused: t.idleTimeout()}
	if t.Certified() && req.URL.Scheme == "https" {
		key.foreign = !t.shows(req.URL)
	}
	if t.Unrepeatable == nil || !t.Unrepeatable(req) {
		resp, err := t.pool(key).RoundTrip(req)
		return resp, t.explain(req, err)
	}
	at := req.URL // what is dialled
	if proxy, _ := t.proxy(req); proxy != nil {
		at = proxy
	}
	addr := addressOf(at)
	key.unused = min(key.unused, t.lives.safe(addr))
	resp, err := t.pool(key).RoundTrip(req)
	if err == nil {
		t.lives.told(addr, resp.Header["Keep-Alive"])
	}
	return resp, t.explain(req, err)
}

// shows reports whether a server may see the client certificate.
func (t *Transport) shows(to *url.URL) bool {
	return t.CertificateOrigin == "" || t.CertificateOrigin == nethttp.Origin(to)
}

func (t *Transport) pool(key poolKey) pool {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.pools[key]
	if p == nil {
		if p = t.newPool(key); t.pools == nil {
			t.pools = make(map[poolKey]pool)
		}
		t.pools[key] = p
	}
	return p
}

// newPool returns a pool whose connections are those of the key.
func (t *Transport) newPool(key poolKey) pool {
	tr := &http.Transport{
		Proxy:               t.proxy,
		TLSClientConfig:     t.config(!key.foreign),
		TLSHandshakeTimeout: t.ConnectTimeout,
		MaxIdleConnsPerHost: t.MaxIdle,
		// Otherwise idle connections to servers that are done with could take all places.
		MaxIdleConns:           t.mostConns() / 2,
		IdleConnTimeout:        key.unused,
		MaxResponseHeaderBytes: maxAnswerHead, // the connection limits how long they may take
		ExpectContinueTimeout:  time.Second,
		DisableCompression:     true,    // answers are not read
		WriteBufferSize:        8 << 10, // a small body goes with its header in one write
		Protocols:              new(http.Protocols),
		DialContext:            t.dial,
	}
	tr.OnProxyConnectResponse = func(
		_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response,
	) error {
		if resp.StatusCode == http.StatusOK {
			return nil
		}
		return &proxyError{resp.StatusCode}
	}
	if !key.foreign && t.Certified() {
		tr.DialTLSContext = t.dialTLS() // net/http would show it to a proxy as well
	}
	tr.Protocols.SetHTTP1(true)
	tr.Protocols.SetHTTP2(t.HTTP2)
	if !t.HTTP2 || t.StallTimeout <= 0 {
		return tr
	}
	// A frame that drips is no frame, and no ping is answered in the middle of one.
	tr.HTTP2 = &http.HTTP2Config{
		SendPingTimeout: t.StallTimeout + t.StallTimeout/4,
		PingTimeout:     t.StallTimeout,
	}
	return &watched{tr, t.StallTimeout}
}

// CloseIdleConnections closes those of all pools.
func (t *Transport) CloseIdleConnections() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.pools {
		p.CloseIdleConnections()
	}
}

var defaultPorts = map[string]string{
	"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080",
}

// addressOf returns what is dialled to reach a URL.
func addressOf(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}
	return strings.TrimSuffix(u.Host, ":") + ":" + defaultPorts[u.Scheme]
}
