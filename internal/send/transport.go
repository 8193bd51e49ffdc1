package send

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/penstock/penstock/internal/openfiles"
	"github.com/penstock/penstock/internal/wire"
)

// Network says how servers are reached. TLS is always verified, and of version 1.2 or later.
type Network struct {
	ConnectTimeout time.Duration // to connect, and again for the TLS handshake; 0: no limit
	StallTimeout   time.Duration // without a byte either way; 0: no limit
	HTTP2          bool
	Proxy          *url.URL    // nil: by the environment
	TLS            *tls.Config // nil: with the system's roots

	dial  func(ctx context.Context, network, addr string) (net.Conn, error) // nil: the system's
	files int                                                               // that may be open at once; 0: what the system says
	full  func(files, conns int)                                            // told when that leaves no room for another connection
}

// otherFiles are those that are open beside connections and what is sent on them: the journal's and
// the report's, what a name is looked up with.
const otherFiles = 24

// mostConns returns how many connections there may be at once, where so many files may be open; 0:
// any number. Each needs room for a file that is sent on it.
func mostConns(files int) int {
	if files == 0 {
		return 0
	}
	return max((files-otherFiles)/2, 4)
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

// base returns the transport that does the sending, keeping up to idle
// connections to a host.
func (n Network) base(idle int) transport {
	dial := n.dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: n.ConnectTimeout, KeepAlive: 30 * time.Second}).DialContext
	}
	files := cmp.Or(n.files, openfiles.Limit())
	most := mostConns(files)
	places := make(chan struct{}, most) // taken by connections
	config := &tls.Config{}
	if n.TLS != nil {
		config = n.TLS.Clone()
	}
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	t := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		TLSClientConfig:     config,
		TLSHandshakeTimeout: n.ConnectTimeout,
		MaxIdleConnsPerHost: idle,
		MaxIdleConns:        most / 2, // or those to servers that are done with would take all places
		IdleConnTimeout:     n.idleTimeout(),
		// An answer that drips puts the end of its connection off, so it has one of its own.
		ResponseHeaderTimeout:  2 * n.StallTimeout,
		MaxResponseHeaderBytes: maxAnswerHead,
		ExpectContinueTimeout:  time.Second,
		DisableCompression:     true,    // nobody reads the answers
		WriteBufferSize:        8 << 10, // a small file goes with its header in one write
		Protocols:              new(http.Protocols),
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			full := func() {
				if n.full != nil {
					n.full(files, most)
				}
			}
			var free func()
			if most > 0 {
				select {
				case places <- struct{}{}:
				default:
					full()
					select {
					case places <- struct{}{}:
					case <-ctx.Done():
						return nil, context.Cause(ctx)
					}
				}
				free = sync.OnceFunc(func() { <-places })
			}
			var c net.Conn
			err := openfiles.Patiently(ctx, func() (err error) {
				if c, err = dial(ctx, network, addr); openfiles.TooMany(err) {
					full()
				}
				return err
			})
			if err != nil {
				if free != nil {
					free()
				}
				return nil, err
			}
			return &stallConn{Conn: c, limit: n.StallTimeout, free: free}, nil
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
	if !n.HTTP2 || n.StallTimeout <= 0 {
		return t
	}
	// A frame that drips is no frame, and nobody answers a ping in the middle of one.
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: n.StallTimeout + n.StallTimeout/4, PingTimeout: n.StallTimeout}
	return &watched{t, n.StallTimeout}
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

// A stallConn fails when no byte has moved for too long, in either direction. What
// is read is no reason to wait any longer until more can be written: a server may
// talk and talk.
type stallConn struct {
	net.Conn
	limit   time.Duration
	read    atomic.Int64 // when the deadline for reading was last put off, in Unix nanoseconds
	written atomic.Int64 // when both were
	sending atomic.Bool  // a ReadFrom is under way
	sent    atomic.Int64 // bytes
	free    func()       // gives its place to another
}

func (c *stallConn) Close() error {
	if c.free != nil {
		defer c.free()
	}
	return c.Conn.Close()
}

// A stallError says that a connection moved no byte for too long.
type stallError struct{ limit time.Duration }

func (e *stallError) Error() string   { return fmt.Sprintf("no byte moved for %v", e.limit) }
func (e *stallError) Timeout() bool   { return true }
func (e *stallError) Temporary() bool { return true }

// due returns a new deadline where it is time for one. To set one at each byte would
// cost more than moving the byte, so it is done when a sixteenth of the limit has
// passed since the last time.
func (c *stallConn) due(last *atomic.Int64) (until time.Time, yes bool) {
	if c.limit <= 0 {
		return until, false
	}
	now := time.Now()
	if now.UnixNano()-last.Load() <= int64(c.limit/16) {
		return until, false
	}
	last.Store(now.UnixNano())
	return now.Add(c.limit), true
}

// Acked returns how many bytes the other side has acknowledged, or, where that cannot
// be known, how many were written.
func (c *stallConn) Acked() int64 {
	if n, ok := wire.Acked(c.Conn); ok {
		return n
	}
	return c.sent.Load()
}

// To set a deadline fails on a closed connection only.

func (c *stallConn) reading() {
	if until, yes := c.due(&c.read); yes {
		_ = c.Conn.SetReadDeadline(until)
	}
}

func (c *stallConn) writing() {
	if until, yes := c.due(&c.written); yes {
		_ = c.Conn.SetDeadline(until)
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
	c.reading()
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
		c.writing()
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
	defer c.writing()
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
		c.writing()
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

// A watched transport ends a request of HTTP/2 for which nothing moves. A connection
// of HTTP/1 has one request at a time and sees to that itself; one of HTTP/2 is alive
// as long as the server says so, whatever becomes of its requests.
type watched struct {
	*http.Transport
	limit time.Duration
}

func (t *watched) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "https" {
		return t.Transport.RoundTrip(req)
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	w := &watch{limit: t.limit}
	w.timer = time.AfterFunc(t.limit, func() {
		if !w.over.Load() {
			cancel(&stallError{t.limit})
		}
	})
	w.timer.Stop()
	trace := &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { w.moved() }}
	if outer := httptrace.ContextClientTrace(ctx); outer != nil {
		// A hook of those above may wait for its turn, which is no stall.
		*trace, ctx = *outer, unhooked{ctx}
		trace.WroteRequest = func(info httptrace.WroteRequestInfo) {
			w.moved()
			if outer.WroteRequest != nil {
				outer.WroteRequest(info)
			}
		}
		trace.WroteHeaderField = func(key string, value []string) {
			if outer.WroteHeaderField != nil { // perhaps only by now
				outer.WroteHeaderField(key, value)
			}
		}
	}
	gotConn := trace.GotConn
	trace.GotConn = func(info httptrace.GotConnInfo) {
		w.timer.Stop()
		if gotConn != nil {
			gotConn(info)
		}
		w.moved()
	}
	r := req.WithContext(httptrace.WithClientTrace(ctx, trace))
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = &watchedBody{r.Body, w}
		if get := r.GetBody; get != nil {
			r.GetBody = func() (io.ReadCloser, error) {
				body, err := get()
				if err != nil {
					return nil, err
				}
				return &watchedBody{body, w}, nil
			}
		}
	}
	resp, err := t.Transport.RoundTrip(r)
	w.over.Store(true)
	w.timer.Stop()
	if err != nil {
		if stall := (*stallError)(nil); errors.As(context.Cause(ctx), &stall) {
			err = stall
		}
		cancel(nil)
		return nil, err
	}
	resp.Body = &answerBody{resp.Body, cancel}
	return resp, nil
}

// unhooked hides a trace whose hooks are called already.
type unhooked struct{ context.Context }

func (c unhooked) Value(key any) any {
	v := c.Context.Value(key)
	if _, ok := v.(*httptrace.ClientTrace); ok {
		return nil
	}
	return v
}

// A watch is a timer that runs while the server is waited for.
type watch struct {
	limit time.Duration
	timer *time.Timer
	over  atomic.Bool
}

func (w *watch) moved() {
	if !w.over.Load() {
		w.timer.Reset(w.limit)
	}
}

// A watchedBody is read when there is room for more of it at the server.
type watchedBody struct {
	io.ReadCloser
	watch *watch
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.watch.timer.Stop() // to read may take its time, where the bandwidth is limited
	defer b.watch.moved()
	return b.ReadCloser.Read(p)
}

// An answerBody ends its request's context when it is closed.
type answerBody struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
}

func (b *answerBody) Close() error {
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err
}
