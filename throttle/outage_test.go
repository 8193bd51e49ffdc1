package throttle

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/memnet"
	"github.com/penstock/penstock/internal/race"
)

// An outage of a minute in the middle of a run gets single probes, whatever refuses: an answer, a
// proxy, TLS, DNS, or our own limit of open files. At its end all is as before.
func TestTransportOutage(t *testing.T) {
	const from, to = 10 * time.Second, 70 * time.Second
	answer := func(status int) func(net.Conn) {
		return func(c net.Conn) { serveOnce(tls.Server(c, testTLS), status) }
	}
	hello := func(text string) func(net.Conn) {
		return func(c net.Conn) { io.WriteString(c, text) }
	}
	up := answer(201)
	throughProxy := func(status string, then func(net.Conn)) func(net.Conn) {
		return func(c net.Conn) {
			if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				fmt.Fprintf(c, "HTTP/1.1 %s\r\n\r\n", status)
				then(c)
			}
		}
	}
	proxied := func(typed bool) func(*http.Transport) {
		return func(base *http.Transport) {
			base.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: "proxy"})
			if typed {
				base.OnProxyConnectResponse = func(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
					if resp.StatusCode != http.StatusOK {
						return proxyRefusal(resp.StatusCode)
					}
					return nil
				}
			}
		}
	}
	nothing := func(net.Conn) {}
	alert := func(c net.Conn) {
		config := &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, errors.New("no") }}
		tls.Server(c, config).Handshake()
	}
	for i, test := range []struct {
		name     string
		up, down func(net.Conn) // down nil: dialling fails with err
		err      error
		prepare  func(*http.Transport)
	}{
		{name: "500", up: up, down: answer(500)},
		{name: "502", up: up, down: answer(502)},
		{name: "520", up: up, down: answer(520)},
		{name: "503", up: up, down: answer(503)},
		{name: "504", up: up, down: answer(504)},
		{name: "no HTTP", up: up, down: answer(-1)},
		{name: "TLS alert", up: up, down: alert},
		{name: "TLS version", up: up, down: func(c net.Conn) {
			serveOnce(tls.Server(c, &tls.Config{MaxVersion: tls.VersionTLS10, Certificates: testTLS.Certificates}), 201)
		}},
		{name: "no TLS", up: up, down: hello("HTTP/1.0 400 Bad Request\r\n\r\n")},
		{name: "hung up", up: up, down: nothing},
		{name: "proxy", up: throughProxy("200 OK", up), down: throughProxy("502 Bad Gateway", nothing), prepare: proxied(false)},
		{name: "proxy with a hook", up: throughProxy("200 OK", up), down: throughProxy("502 Bad Gateway", nothing), prepare: proxied(true)},
		{name: "proxy without HTTP", up: throughProxy("200 OK", up), down: hello("SSH-2.0-OpenSSH\r\n"), prepare: proxied(false)},
		{name: "DNS", up: up, err: &net.DNSError{Err: "server misbehaving", IsTemporary: true}},
		{name: "too many open files", up: up, err: os.NewSyscallError("socket", syscall.EMFILE)},
		{name: "a dialler's own error", up: up, err: errors.New("no route")},
	} {
		t.Run(test.name, func(t *testing.T) {
			race.Few(t, i)
			synctest.Test(t, func(t *testing.T) {
				c := newClock()
				down := func() bool { return c.now() >= from && c.now() < to }
				var served sync.WaitGroup
				l := memnet.Listen()
				go func() {
					for {
						conn, err := l.Accept()
						if err != nil {
							return
						}
						served.Go(func() {
							defer conn.Close()
							if down() {
								test.down(conn)
							} else {
								test.up(conn)
							}
						})
					}
				}()
				base := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
				var tries atomic.Int64
				base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
					if down() {
						tries.Add(1)
						if test.err != nil {
							return nil, test.err
						}
					}
					return l.DialContext(ctx, network, addr)
				}
				if test.prepare != nil {
					test.prepare(base)
				}
				tr := &Transport{Base: base, Limits: Limits{Rate: 10, InFlight: 8}}
				ctx, cancel := context.WithCancel(t.Context())
				var group sync.WaitGroup
				var accepted, late atomic.Int64
				for range 8 {
					group.Go(func() {
						for ctx.Err() == nil {
							r, _ := http.NewRequestWithContext(ctx, "PUT", "https://a/", strings.NewReader("x"))
							resp, err := tr.RoundTrip(r)
							if err == nil {
								resp.Body.Close()
								if resp.StatusCode == 201 {
									accepted.Add(1)
									if c.now() >= to+15*time.Second {
										late.Add(1)
									}
								}
							}
						}
					})
				}
				c.at(from)
				if n := accepted.Load(); n < 98 {
					t.Errorf("%d accepted before", n)
				}
				c.at(to)
				if n := tries.Load(); n < 5 || n > 12+1 {
					t.Errorf("%d tries while it was down, want at most 12 and what was in flight", n)
				}
				if s := tr.Upstream("https://a").Stats(); s.Phase != PhaseDown {
					t.Errorf("phase %q", s.Phase)
				}
				c.at(to + 25*time.Second)
				if n := late.Load(); n < 99 || n > 101 {
					t.Errorf("%d accepted in ten seconds, a while after, want 100", n)
				}
				cancel()
				group.Wait()
				l.Close()
				served.Wait()
			})
		})
	}
}

// serveOnce answers one request; a negative status stands for what is no HTTP.
func serveOnce(c net.Conn, status int) {
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return
	}
	io.Copy(io.Discard, r.Body)
	if status < 0 {
		io.WriteString(c, "\x00\x01what?\r\n\r\n")
	} else {
		fmt.Fprintf(c, "HTTP/1.1 %d x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status)
	}
	c.Close()
}

var testTLS = func() *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}()

// A server that does not want a request, as HTTP/2's REFUSED_STREAM or a new connection that goes
// away say, has refused it, although net/http sends it once more by itself. An idle connection that
// was dead says nothing.
func TestTransportRefusedStream(t *testing.T) {
	same := &net.TCPConn{}
	for _, test := range []struct {
		name          string
		first, second httptrace.GotConnInfo
		refused       bool
	}{
		{"the same connection", httptrace.GotConnInfo{Conn: same, Reused: true}, httptrace.GotConnInfo{Conn: same, Reused: true}, true},
		{"after a new connection", httptrace.GotConnInfo{Conn: &net.TCPConn{}}, httptrace.GotConnInfo{Conn: same}, true},
		{"after an idle connection", httptrace.GotConnInfo{Conn: &net.TCPConn{}, Reused: true}, httptrace.GotConnInfo{Conn: same}, false},
		{"connections that are not told", httptrace.GotConnInfo{Reused: true}, httptrace.GotConnInfo{Reused: true}, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newClock()
			var resent []Event
			tr := &Transport{Limits: Limits{InFlight: 8}}
			tr.Observe = func(e Event) {
				if e.Kind == EventResent {
					resent = append(resent, e)
				}
			}
			tr.Base = roundTripper(func(r *http.Request) (*http.Response, error) {
				trace := httptrace.ContextClientTrace(r.Context())
				trace.GotConn(test.first)
				trace.GotConn(test.second)
				return answerWith(200), nil
			})
			resp, err := tr.RoundTrip(httptest.NewRequest("PUT", "http://a/", nil))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			want, at, refusals := SignalIgnored, time.Duration(0), int64(0)
			if test.refused {
				want, at, refusals = SignalOverloaded, time.Second, 1 // those in flight might have told
			}
			s := tr.Upstream("http://a").Stats()
			if len(resent) != 1 || resent[0].Signal != want || c.now() != at || s.Overloaded != refusals || s.Succeeded != 1 || s.Sent != 2 {
				t.Errorf("%s: %+v, %v, %+v; want %v after %v", test.name, resent, c.now(), s, want, at)
			}
			wantIdle(t, test.name, tr.Upstream("http://a"))
		})
	}
}
