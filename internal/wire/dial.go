package wire

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"net/http/httptrace"
	"net/url"
	"sync"
	"time"

	"github.com/penstock/penstock/internal/openfiles"
)

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// otherFiles are those that are open beside connections and what is sent on them: the journal's and
// the report's, what a name is looked up with.
const otherFiles = 24

// maxFiles is how many files may be open at once; 0: any number.
func (t *Transport) maxFiles() int { return cmp.Or(t.MaxFiles, openfiles.Limit()) }

// mostConns returns how many connections there may be at once; 0: any number. Each needs room for a
// file that is sent on it.
func (t *Transport) mostConns() int {
	files := t.maxFiles()
	if files == 0 {
		return 0
	}
	return max((files-otherFiles)/2, 4)
}

// roomEvery is how often idle connections are closed while another one waits for a place: they may
// have become idle since.
const roomEvery = time.Second / 4

// dialer returns a function that connects to servers, with at most as many connections as files may
// be open. While there is no room for another connection, it closes idle ones.
func (t *Transport) dialer() dialFunc {
	dial := t.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: t.ConnectTimeout, KeepAlive: 30 * time.Second}).DialContext
	}
	files, most := t.maxFiles(), t.mostConns()
	places := make(chan struct{}, most) // taken by connections
	full := func() {
		if t.Full != nil {
			t.Full(files, most)
		}
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		var free func()
		if most > 0 {
			select {
			case places <- struct{}{}:
			default:
				full()
				for waits := true; waits; {
					t.CloseIdleConnections()
					select {
					case places <- struct{}{}:
						waits = false
					case <-time.After(roomEvery):
					case <-ctx.Done():
						return nil, context.Cause(ctx)
					}
				}
			}
			free = sync.OnceFunc(func() { <-places })
		}
		var c net.Conn
		err := openfiles.Patiently(ctx, func() (err error) {
			if c, err = dial(ctx, network, addr); openfiles.TooMany(err) {
				full()
				t.CloseIdleConnections()
			}
			return err
		})
		if err != nil {
			if free != nil {
				free()
			}
			return nil, err
		}
		conn := newStallConn(c, t.StallTimeout)
		conn.free, conn.lived = free, func(idle time.Duration) { t.lives.ended(addr, idle) }
		return conn, nil
	}
}

// dialTLS returns a function that connects to a server, or to a proxy that speaks TLS itself, which
// is not shown our certificate.
func (t *Transport) dialTLS() dialFunc {
	proxies := make(map[string]bool)
	for _, address := range t.ProxyAddresses() {
		if u, err := url.Parse(address); err == nil && u.Scheme == "https" {
			proxies[addressOf(u)] = true
		}
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := t.dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		config := t.config(!proxies[addr])
		if config.ServerName == "" {
			config.ServerName, _, _ = net.SplitHostPort(addr)
		}
		if t.HTTP2 && !proxies[addr] {
			config.NextProtos = []string{"h2", "http/1.1"}
		}
		conn := tls.Client(c, config)
		handshake := ctx
		if t.ConnectTimeout > 0 {
			var done context.CancelFunc
			handshake, done = context.WithTimeout(ctx, t.ConnectTimeout)
			defer done()
		}
		err = conn.HandshakeContext(handshake)
		if err == nil {
			return conn, nil
		}
		c.Close()
		if ctx.Err() == nil && handshake.Err() != nil {
			err = &net.OpError{Op: "dial", Net: network, Err: handshake.Err()}
		}
		// net/http reports a handshake that succeeded.
		trace := httptrace.ContextClientTrace(ctx)
		if trace != nil && trace.TLSHandshakeDone != nil {
			trace.TLSHandshakeDone(tls.ConnectionState{}, err)
		}
		return nil, err
	}
}
