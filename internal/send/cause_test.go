package send

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/memnet"
)

// What is wrong on the way to a server is said once, in one line, with what to do about it.
func TestCauses(t *testing.T) {
	answer := func(text string) func(*world, net.Conn, *tls.Config) {
		return func(_ *world, c net.Conn, _ *tls.Config) {
			for r := bufio.NewReader(c); request(r) != nil; {
				_, _ = io.WriteString(c, text)
			}
		}
	}
	page := func(text string) func(*world, net.Conn, *tls.Config) {
		return answer(fmt.Sprintf("HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n%s",
			len(text), text))
	}
	answerAtOnce := func(text string) func(*world, net.Conn, *tls.Config) {
		return func(_ *world, c net.Conn, _ *tls.Config) {
			_, _ = c.Read(make([]byte, 10))
			_, _ = io.WriteString(c, text)
		}
	}
	secure := func(change func(*tls.Config)) func(*world, net.Conn, *tls.Config) {
		return func(w *world, c net.Conn, config *tls.Config) {
			change(config)
			answer("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")(w, tls.Server(c, config),
				nil)
			// with TLS 1.3 the client may still be writing when the handshake fails
			time.Sleep(time.Second)
		}
	}
	proxy := &url.URL{Scheme: "http", Host: "proxy.example:3128",
		User: url.UserPassword("user", "sesame")}
	socks := &url.URL{Scheme: "socks5", Host: "proxy.example"}
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	late := &net.OpError{Op: "dial", Net: "tcp", Err: context.DeadlineExceeded}
	gone := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.EHOSTUNREACH}
	unanswered := &net.OpError{Op: "dial", Net: "tcp",
		Err: &net.DNSError{Err: "i/o timeout", Name: "h.example", IsTimeout: true,
			IsTemporary: true}}
	unknown := &net.OpError{Op: "dial", Net: "tcp",
		Err: &net.DNSError{Err: "no such host", Name: "proxy.example", IsNotFound: true}}
	for _, row := range []struct {
		name  string
		to    string
		serve func(w *world, c net.Conn, config *tls.Config)
		dial  error
		proxy *url.URL
		ours  bool // a certificate
		says  string
		// what the note says of an outage; if empty, it is a fault of the configuration
		down  string
		items bool // the items fail, and the run does not end for it
	}{
		{name: "https to an http port", to: "https://h.example:8080",
			serve: answerAtOnce("HTTP/1.1 400 Bad Request\r\n\r\n"),
			says:  "port 8080 of h.example speaks plain HTTP: use http://"},
		{name: "https to something else", to: "https://h.example:22",
			serve: func(_ *world, c net.Conn, _ *tls.Config) {
				_, _ = io.WriteString(c, "SSH-2.0-OpenSSH\r\n")
				_, _ = io.Copy(io.Discard, c)
			}, says: "port 22 of h.example does not speak TLS: check the port, or use http://"},
		{name: "http to net/http's https port", to: "http://h.example:443",
			serve: page("Client sent an HTTP request to an HTTPS server.\n"),
			says:  "port 443 of h.example speaks TLS: use https://"},
		{name: "http to nginx's https port", to: "http://h.example:8443",
			serve: page("<html>\r\n<head><title>400 The plain HTTP request was sent to HTTPS " +
				"port</title></head>\r\n<body>\r\n</body></html>"),
			says: "port 8443 of h.example speaks TLS: use https://"},
		{name: "http to an https port, of the proxy or behind it", to: "http://h.example:8443",
			proxy: proxy,
			serve: page("Client sent an HTTP request to an HTTPS server.\n"),
			says: "port 8443 of h.example, or the proxy proxy.example:3128, speaks TLS: use " +
				"https://"},
		{name: "http to a bare https port", to: "http://h.example:8443",
			serve: answer("\x15\x03\x01\x00\x02\x02\x46"),
			says:  "port 8443 of h.example speaks TLS: use https://"},
		{name: "something else", to: "http://h.example:22", serve: answer("SSH-2.0-OpenSSH\r\n"),
			says: "port 22 of h.example answers in something other than HTTP: check the port"},
		{name: "something else that looks a little like HTTP", to: "http://h.example",
			serve: answer("HTTP/1.1 OK\r\n\r\n"),
			says:  "port 80 of h.example answers in something other than HTTP: check the port"},
		{name: "the proxy is something else", to: "http://h.example", proxy: proxy,
			serve: answer("+OK POP3\r\n"),
			says: "the proxy proxy.example:3128 answers in something other than HTTP: check the " +
				"port in --proxy, HTTP_PROXY or HTTPS_PROXY"},
		{name: "something else behind a SOCKS proxy", to: "http://h.example:22", proxy: socks,
			serve: throughSOCKS(0, answer("SSH-2.0-OpenSSH\r\n")),
			says:  "port 22 of h.example answers in something other than HTTP: check the port"},
		{name: "TLS behind a SOCKS proxy", to: "http://h.example:8443", proxy: socks,
			serve: throughSOCKS(0, answer("\x15\x03\x01\x00\x02\x02\x46")),
			says:  "port 8443 of h.example speaks TLS: use https://"},
		{name: "a SOCKS proxy is something else", to: "http://h.example", proxy: socks,
			serve: answerAtOnce("HTTP/1.1 400 Bad Request\r\n\r\n"),
			says: "the proxy proxy.example:1080 does not speak SOCKS5: check the scheme and the " +
				"port in --proxy, HTTP_PROXY or HTTPS_PROXY",
			down: "the proxy proxy.example:1080: it cannot be reached"},
		{name: "a SOCKS proxy refuses the credentials", to: "http://h.example", proxy: socks,
			serve: answerAtOnce("\x05\xff"),
			says: "the proxy proxy.example:1080 refuses the credentials: check the user name " +
				"and password in --proxy, HTTP_PROXY or HTTPS_PROXY",
			down: "the proxy proxy.example:1080: it cannot be reached"},
		{name: "a SOCKS proxy cannot connect", to: "http://h.example", proxy: socks,
			serve: throughSOCKS(5, nil),
			says: "the proxy proxy.example:1080 cannot connect to h.example:80: " +
				"connection refused",
			down: "it cannot be reached"},
		{name: "a SOCKS proxy closes", to: "http://h.example", proxy: socks,
			serve: answerAtOnce(""),
			says:  "the proxy proxy.example:1080 closed the connection without an answer",
			down:  "the proxy proxy.example:1080: connection lost"},
		{name: "a certificate is demanded", to: "https://h.example",
			serve: secure(func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert }),
			says: "port 443 of h.example requires a client certificate: give one with --cert " +
				"and --key"},
		{name: "a certificate is demanded, by TLS 1.2", to: "https://h.example",
			serve: secure(func(c *tls.Config) {
				c.ClientAuth, c.MaxVersion = tls.RequireAnyClientCert, tls.VersionTLS12
			}), says: "port 443 of h.example ends the TLS handshake: it may require a client " +
				"certificate (--cert), or support no secure cipher"},
		{name: "a certificate is demanded, by nginx", to: "https://h.example",
			serve: func(w *world, c net.Conn, config *tls.Config) {
				page("<html>\r\n<head><title>400 No required SSL certificate was "+
					"sent</title></head></html>")(w, tls.Server(c, config), nil)
			}, says: "port 443 of h.example requires a client certificate: give one with --cert " +
				"and --key"},
		{name: "a certificate is not accepted", to: "https://h.example", ours: true,
			serve: secure(func(c *tls.Config) {
				c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
			}), says: "port 443 of h.example rejects the client certificate given with --cert"},
		{name: "unknown host", to: "http://h.example", dial: &net.OpError{Op: "dial", Net: "tcp",
			Err: &net.DNSError{Err: "no such host", Name: "h.example", IsNotFound: true}},
			says: "no such host: h.example: check the name"},
		{name: "unknown proxy", to: "http://h.example", proxy: proxy, dial: unknown,
			says: "no such host: proxy.example: check the name in --proxy, HTTP_PROXY or " +
				"HTTPS_PROXY"},
		{name: "the proxy speaks plain HTTP", to: "http://h.example",
			proxy: &url.URL{Scheme: "https", Host: "proxy.example:3128"},
			serve: answerAtOnce("HTTP/1.1 400 Bad Request\r\n\r\n"),
			says: "the proxy proxy.example:3128 speaks plain HTTP: use http:// in --proxy, " +
				"HTTP_PROXY or HTTPS_PROXY"},
		{name: "the proxy demands a certificate", to: "http://g.example",
			proxy: &url.URL{Scheme: "https", Host: "h.example:3128"},
			serve: secure(func(c *tls.Config) {
				c.ClientAuth, c.MaxVersion = tls.RequireAnyClientCert, tls.VersionTLS12
			}),
			says: "proxyconnect tcp: remote error: tls: handshake failure",
			down: "the proxy h.example:3128: TLS failed"},
		{name: "port closed", to: "http://h.example", dial: refused,
			says: "port 80 of h.example refuses connections: check that the server is running",
			down: "connection refused"},
		{name: "dead proxy", to: "http://h.example", proxy: proxy, dial: refused,
			says: "the proxy proxy.example:3128 refuses connections: check that it is running",
			down: "the proxy proxy.example:3128: connection refused"},
		{name: "dead proxy, to TLS", to: "https://h.example", proxy: proxy, dial: refused,
			says: "the proxy proxy.example:3128 refuses connections: check that it is running",
			down: "the proxy proxy.example:3128: connection refused"},
		{name: "a connection takes too long", to: "http://h.example", dial: late,
			says: "no connection to port 80 of h.example within 1 s (--connect-timeout)",
			down: "no connection in time"},
		{name: "a connection to the proxy takes too long", to: "http://h.example", proxy: proxy,
			dial: late,
			says: "no connection to the proxy proxy.example:3128 within 1 s (--connect-timeout)",
			down: "the proxy proxy.example:3128: no connection in time"},
		{name: "a connection to the proxy takes too long, to TLS", to: "https://h.example",
			proxy: proxy, dial: late,
			says: "no connection to the proxy proxy.example:3128 within 1 s (--connect-timeout)",
			down: "the proxy proxy.example:3128: no connection in time"},
		{name: "a connection to a SOCKS proxy takes too long", to: "https://h.example",
			proxy: socks, dial: late,
			says: "no connection to the proxy proxy.example:1080 within 1 s (--connect-timeout)",
			down: "the proxy proxy.example:1080: no connection in time"},
		{name: "the proxy's host is down", to: "http://h.example", proxy: proxy, dial: gone,
			says: "proxyconnect tcp: dial tcp: no route to host",
			down: "the proxy proxy.example:3128: no connection"},
		{name: "a lookup takes too long", to: "http://h.example", dial: unanswered,
			says: "the name h.example cannot be looked up in time: check the name server",
			down: "its name cannot be looked up"},
		{name: "the proxy refuses the credentials", to: "https://h.example", proxy: proxy,
			serve: answer("HTTP/1.1 407 Proxy Authentication Required\r\n" +
				"Content-Length: 0\r\n\r\n"),
			says: "the proxy proxy.example:3128 answers 407 Proxy Authentication Required: " +
				"check the user name and password in --proxy, HTTP_PROXY or HTTPS_PROXY",
			items: true},
		{name: "the proxy refuses the credentials, without TLS", to: "http://h.example",
			proxy: proxy,
			serve: answer("HTTP/1.1 407 Proxy Authentication Required\r\n" +
				"Content-Length: 0\r\n\r\n"),
			says: "407 Proxy Authentication Required: check the user name and password in " +
				"--proxy, HTTP_PROXY or HTTPS_PROXY",
			items: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			var w *world
			var config *tls.Config
			onRawServer(t, 2, func(c net.Conn) { row.serve(w, c, config.Clone()) },
				func(it *world) {
					w = it
					config = w.https()
					if row.ours {
						w.Network.TLS.Certificates = config.Certificates
					}
					w.Network.Proxy = row.proxy
					if row.dial != nil {
						w.Network.Dial = func(context.Context, string, string) (net.Conn,
							error) {
							return nil, row.dial
						}
					}
					w.Network.ConnectTimeout = time.Second
					w.Limits.InFlight, w.GiveUpAfter = 1, 5*time.Second
					w.to(row.to + "/{path}")
					s := w.run()
					status, note := exit.Usage, "the server cannot be reached as configured"
					switch {
					case row.items:
						status, note = exit.Items, ""
					case row.down != "":
						status, note = exit.Unavailable, "nothing was accepted for 5 s "+
							"(--give-up-after): "+row.down+"; try again later"
					}
					if waits := status != exit.Usage; s.ExitStatus != status ||
						s.Items.Delivered > 0 || waits != (s.Requests.Sent > 1) {
						t.Errorf("exit status %d, want %d; %+v, %d requests", s.ExitStatus, status,
							s.Items, s.Requests.Sent)
					}
					if len(s.Errors) != 1 || strings.ReplaceAll(s.Errors[0].Error, "/00001",
						"/00000") != "PUT "+row.to+"/00000: "+row.says {
						t.Errorf("errors %+v, want %q", s.Errors, row.says)
					}
					if got := strings.Join(s.Notes, "; "); got != note {
						t.Errorf("notes %q, want %q", got, note)
					}
					if talk := w.watch.talk.String(); strings.Contains(talk+errorsOf(s), "sesame") {
						t.Errorf("the proxy's password is shown: %s", talk)
					}
				})
		})
	}
}

// A connection that is opened too slowly is not taken for an answer that does not come.
func TestNothingSentYet(t *testing.T) {
	proxy := func(scheme string) *url.URL {
		return &url.URL{Scheme: scheme, Host: "proxy.example:3128"}
	}
	for _, row := range []struct {
		to    string
		proxy *url.URL
		says  string
	}{
		{"https://h.example", nil, "no byte moved for 2 m (--stall-timeout)"},
		{"http://h.example", nil,
			"the whole file was sent, and no answer came for 2 m: if the server takes longer, " +
				"raise --stall-timeout"},
		{"https://h.example", proxy("http"),
			"the proxy proxy.example:3128 did not connect to h.example:443 in time"},
		{"https://h.example", proxy("socks5"),
			"the proxy proxy.example:3128 did not connect to h.example:443: no byte moved for 2 " +
				"m (--stall-timeout)"},
		{"http://h.example", proxy("socks5"),
			"the proxy proxy.example:3128 did not connect to h.example:80: no byte moved for 2 " +
				"m (--stall-timeout)"},
	} {
		onRawServer(t, 1, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, func(w *world) {
			w.Network.Proxy, w.Network.StallTimeout, w.GiveUpAfter = row.proxy, 2*time.Minute,
				5*time.Second
			w.to(row.to + "/{path}")
			s := w.run()
			if want := "PUT " + row.to + "/00000: " + row.says; len(s.Errors) != 1 ||
				s.Errors[0].Error != want {
				t.Errorf("errors %+v, want %q", s.Errors, want)
			}
		})
	}
}

// throughSOCKS is a SOCKS proxy (RFC 1928) that gives that reply, and what serves behind it if the
// reply is 0.
func throughSOCKS(reply byte, serve func(*world, net.Conn, *tls.Config)) func(*world, net.Conn,
	*tls.Config) {
	return func(w *world, c net.Conn, config *tls.Config) {
		_, _ = io.ReadFull(c, make([]byte, 3)) // the methods offered
		_, _ = c.Write([]byte{5, 0})
		head := make([]byte, 5)
		if _, err := io.ReadFull(c, head); err != nil {
			return
		}
		_, _ = io.ReadFull(c, make([]byte, head[4]+2)) // a name and a port
		_, _ = c.Write([]byte{5, reply, 0, 1, 0, 0, 0, 0, 0, 0})
		if reply == 0 {
			serve(w, c, config)
		}
	}
}

// A connection that was closed is said so in words, with what may be the reason where nothing is
// known of the server.
func TestClosedWithoutAnswer(t *testing.T) {
	closed := func(_ *world, c net.Conn) { _, _ = c.Read(make([]byte, 10)) }
	reset := func(w *world, c net.Conn) { closed(w, c); _ = c.(*memnet.Conn).Reset() }
	later := func(w *world, c net.Conn) { // an answer, and then none
		r := bufio.NewReader(c)
		if request(r) != nil && w.since() == 0 {
			_, _ = io.WriteString(c,
				"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n")
			_ = request(r)
		}
	}
	const says = "the server closed the connection without an answer"
	for _, row := range []struct {
		name, to string
		proxy    bool
		serve    func(*world, net.Conn)
		says     string
	}{
		{"closed", "http://h.example:8443", false, closed, says +
			" (if it speaks TLS, use https://)"},
		{"reset", "http://h.example:8443", false, reset, says +
			" (if it speaks TLS, use https://)"},
		{"the usual port", "http://h.example", false, closed, says},
		{"reset at the usual port", "http://h.example", false, reset, says},
		{"TLS", "https://h.example:8443", false, closed, says},
		{"the usual port of an IPv6 address", "http://[2001:db8::1]", false, closed, says},
		{"another port of an IPv6 address", "http://[2001:db8::1]:8443", false, closed, says +
			" (if it speaks TLS, use https://)"},
		{"it spoke before", "http://h.example:8443", false, later, says},
		{"by a proxy", "http://h.example:8443", true, closed,
			"the server, or the proxy proxy.example:3128, closed the connection without an answer"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var w *world
			onRawServer(t, 1, func(c net.Conn) { row.serve(w, c) }, func(it *world) {
				w = it
				if row.proxy {
					w.Network.Proxy = &url.URL{Scheme: "http", Host: "proxy.example:3128"}
				}
				w.to(row.to + "/{path}")
				w.Attempts, w.GiveUpAfter = 1, 10*time.Second
				s := w.run()
				if len(s.Errors) != 1 {
					t.Fatalf("errors %+v", s.Errors)
				}
				text, _ := strings.CutPrefix(s.Errors[0].Error, "PUT "+row.to+"/00000: ")
				if rest, ok := strings.CutPrefix(text, row.says); !ok ||
					strings.HasPrefix(rest, " (") {
					t.Errorf("%q, want %q", text, row.says)
				}
			})
		})
	}
}

// A limit of ours that cuts an attempt is named, with what was waited for.
func TestLimitsAreNamed(t *testing.T) {
	slow := func(body bool) http.HandlerFunc {
		return func(_ http.ResponseWriter, r *http.Request) {
			if body {
				_, _ = io.Copy(io.Discard, r.Body)
			}
			time.Sleep(2 * time.Minute)
		}
	}
	for _, row := range []struct {
		reads          bool // the body
		timeout, stall time.Duration
		says           string
	}{
		{true, 0, 20 * time.Second,
			"the whole file was sent, and no answer came for 20 s: if the server takes longer, " +
				"raise --stall-timeout"},
		{false, 0, 20 * time.Second, "no byte moved for 20 s (--stall-timeout)"},
		{true, 10 * time.Second, 20 * time.Second,
			"the attempt took longer than --timeout 10 s: raise it if the file or the server " +
				"needs more time"},
	} {
		onFakeTime(t, 1, slow(row.reads), func(w *world) {
			if err := os.WriteFile(w.firstFile(), make([]byte, 1<<20), 0o600); err != nil {
				t.Fatal(err)
			}
			w.method(http.MethodPost) // scans again
			w.Timeout, w.Network.StallTimeout = row.timeout, row.stall
			s := w.run()
			w.ended(s, exit.Items, 0, 0, 1, 0, 0)
			want := "unknown: POST http://127.0.0.1/00000: " + row.says +
				": it may have been accepted, and repeating it is not safe"
			if strings.TrimSpace(errorsOf(s)) != want ||
				strings.Contains(w.watch.talk.String(), "down") {
				t.Errorf("%s, want %s\n%s", errorsOf(s), want, w.watch.talk.String())
			}
			time.Sleep(3 * time.Minute) // the server lingers
		})
	}
}
