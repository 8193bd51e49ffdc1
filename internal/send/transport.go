package send

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// Network says how servers are reached.
type Network struct {
	ConnectTimeout time.Duration // to connect, and again for the TLS handshake; 0: no limit
	StallTimeout   time.Duration // without a byte either way; 0: no limit
	HTTP2          bool
	Proxy          *url.URL    // nil: by the environment
	TLS            *tls.Config // nil: verified, with the system's roots

	dial func(ctx context.Context, network, addr string) (net.Conn, error) // nil: the system's
}

// base returns the transport that does the sending, keeping up to idle
// connections to a host.
func (n Network) base(idle int) *http.Transport {
	dial := n.dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: n.ConnectTimeout, KeepAlive: 30 * time.Second}).DialContext
	}
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		TLSClientConfig:       n.TLS,
		TLSHandshakeTimeout:   n.ConnectTimeout,
		MaxIdleConnsPerHost:   idle,
		IdleConnTimeout:       90 * time.Second,
		ExpectContinueTimeout: time.Second,
		DisableCompression:    true,    // nobody reads the answers
		WriteBufferSize:       8 << 10, // a small file goes with its header in one write
		Protocols:             new(http.Protocols),
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &stallConn{Conn: c, limit: n.StallTimeout}, nil
		},
	}
	t.OnProxyConnectResponse = func(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
		if resp.StatusCode == http.StatusOK {
			return nil
		}
		return &proxyError{resp.StatusCode}
	}
	t.Protocols.SetHTTP1(true)
	t.Protocols.SetHTTP2(n.HTTP2)
	if n.Proxy != nil {
		t.Proxy = http.ProxyURL(n.Proxy)
	}
	return t
}

// A proxyError says that a proxy did not let a connection through.
type proxyError struct{ status int }

func (e *proxyError) Error() string {
	return fmt.Sprintf("the proxy answers %d %s", e.status, http.StatusText(e.status))
}

// ProxyStatus is the proxy's answer; the package retry looks for it.
func (e *proxyError) ProxyStatus() int { return e.status }

// A stallConn fails when no byte has moved for too long, in either direction.
type stallConn struct {
	net.Conn
	limit   time.Duration
	moved   atomic.Int64 // when the deadline was last put off, in Unix nanoseconds
	sending atomic.Bool  // a ReadFrom is under way
	sent    atomic.Int64 // bytes
}

// A stallError says that a connection moved no byte for too long.
type stallError struct{ limit time.Duration }

func (e *stallError) Error() string   { return fmt.Sprintf("no byte moved for %v", e.limit) }
func (e *stallError) Timeout() bool   { return true }
func (e *stallError) Temporary() bool { return true }

// alive puts the deadline off. Doing so at each byte would cost more than moving
// the byte, so it is done when a sixteenth of the limit has passed.
func (c *stallConn) alive() {
	if c.limit <= 0 {
		return
	}
	now := time.Now()
	if moved := c.moved.Load(); now.UnixNano()-moved > int64(c.limit/16) {
		c.moved.Store(now.UnixNano())
		_ = c.Conn.SetDeadline(now.Add(c.limit)) // fails on a closed connection only
	}
}

func expired(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

func (c *stallConn) stalled(err error) error {
	if expired(err) {
		return &stallError{c.limit}
	}
	return err
}

func (c *stallConn) Read(p []byte) (int, error) {
	c.alive()
	for {
		n, err := c.Conn.Read(p)
		if expired(err) && c.sending.Load() {
			// Whether bytes move is for ReadFrom to say. Its own deadline is left
			// alone: it may have expired as well.
			_ = c.Conn.SetReadDeadline(time.Now().Add(c.limit))
			continue
		}
		return n, c.stalled(err)
	}
}

func (c *stallConn) Write(p []byte) (n int, err error) {
	for {
		c.alive()
		m, err := c.Conn.Write(p[n:])
		n += m
		c.sent.Add(int64(m))
		if m == 0 || !expired(err) {
			return n, c.stalled(err)
		}
	}
}

// ReadFrom lets files go by sendfile. All else goes by Write, piece by piece: a
// reader may wait, for its bandwidth, and then it is not the connection that
// stalls.
func (c *stallConn) ReadFrom(r io.Reader) (n int64, err error) {
	c.sending.Store(true)
	defer c.sending.Store(false)
	defer c.alive()
	whole, ok := r.(*io.LimitedReader)
	if !ok {
		whole = &io.LimitedReader{R: r, N: 1<<63 - 1}
	}
	to, canSend := c.Conn.(io.ReaderFrom)
	if _, isFile := whole.R.(syscall.Conn); !isFile || !canSend {
		return io.Copy(struct{ io.Writer }{c}, r)
	}
	const part = 1 << 20 // one call for a whole file would run into the deadline however fast it went
	for whole.N > 0 {
		c.alive()
		// Sendfile wants the file directly below one LimitedReader.
		some := &io.LimitedReader{R: whole.R, N: min(whole.N, part)}
		want := some.N
		m, err := to.ReadFrom(some)
		n += m
		whole.N -= m
		c.sent.Add(m)
		switch {
		case m > 0 && expired(err): // slowly, but they move
		case err != nil || m < want:
			return n, c.stalled(err)
		}
	}
	return n, nil
}
