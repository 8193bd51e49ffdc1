package retry

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/drain"
	"github.com/penstock/penstock/internal/memnet"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/trip"
)

// real returns a client whose requests reach handler through net/http's own transport and server,
// on fake time.
func real(t *testing.T, p Policy, handler http.Handler) *Client {
	l := memnet.Listen()
	srv := &http.Server{Handler: handler, ErrorLog: nil}
	done := make(chan struct{})
	go func() { defer close(done); srv.Serve(l) }()
	tr := &http.Transport{DialContext: l.DialContext, ExpectContinueTimeout: time.Second}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		srv.Close()
		<-done
		time.Sleep(time.Second) // the server lingers over connections whose bodies it has not read
	})
	return &Client{HTTP: &http.Client{Transport: tr}, Policy: p}
}

// wireServer is a server below HTTP: serve is given each connection, counted from 0 on.
func wireServer(t *testing.T, p Policy, serve func(n int, c *memnet.Conn,
	r *textproto.Reader)) (*Client, *memnet.Listener) {
	l := memnet.Listen()
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 0; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				serve(n, c.(*memnet.Conn), textproto.NewReader(bufio.NewReader(c)))
			})
		}
	})
	tr := &http.Transport{DialContext: l.DialContext, ExpectContinueTimeout: time.Second,
		MaxIdleConnsPerHost: 100}
	t.Cleanup(func() { tr.CloseIdleConnections(); l.Close(); wg.Wait() })
	return &Client{HTTP: &http.Client{Transport: tr}, Policy: p}, l
}

// head reads a request's line and headers.
func head(r *textproto.Reader) (line string, h textproto.MIMEHeader, err error) {
	if line, err = r.ReadLine(); err == nil {
		h, err = r.ReadMIMEHeader()
	}
	return line, h, err
}

const (
	ok     = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	okLast = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
)

// An error body that drips would hold the call for as long as the server likes, and one without end
// forever.
func TestDrainIsBounded(t *testing.T) {
	for _, every := range []time.Duration{0, 20 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			var second time.Duration
			n := 0
			c := real(t, exact, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if n++; n > 1 {
					second = time.Since(start)
					return
				}
				w.WriteHeader(503)
				for i := 0; ; i++ {
					if _, err := w.Write(make([]byte, 1024)); err != nil {
						return
					}
					if i == 1000 {
						t.Error("a whole MiB was read, of an answer that nobody wants")
					}
					http.NewResponseController(w).Flush()
					time.Sleep(every)
				}
			}))
			check(t, "outcome", end(t, c, request(t, "PUT", "x")).Outcome, Delivered)
			want := drain.MaxTime
			if every == 0 {
				want = 1
			}
			check(t, "second try", second, want)
		})
	}
}

func TestShortErrorBodyKeepsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := wireServer(t, exact, func(n int, conn *memnet.Conn, r *textproto.Reader) {
			if n > 0 {
				t.Error("a second connection was opened")
			}
			for range 3 {
				if _, _, err := head(r); err != nil {
					return
				}
				io.WriteString(conn, "HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno")
			}
			head(r)
			io.WriteString(conn, okLast)
		})
		check(t, "outcome", end(t, c, request(t, "GET", "")).Outcome, Delivered)
	})
}

// net/http sends a POST with an idempotency key again by itself when a connection that it kept
// alive breaks. Without leave to repeat, it must not, and the outcome is unknown.
func TestNoHiddenResend(t *testing.T) {
	for _, key := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
		for _, leave := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				var requests atomic.Int32
				var spelled string
				c, _ := wireServer(t, exact, func(n int, conn *memnet.Conn, r *textproto.Reader) {
					for {
						_, h, err := head(r)
						if err != nil {
							return
						}
						r.R.Discard(1) // the body
						spelled = h.Get(key)
						if requests.Add(1) == 2 {
							return // read whole, then dropped
						}
						io.WriteString(conn, ok)
					}
				})
				c.Repeatable = func(*http.Request) bool { return leave }
				for i := range 2 {
					req := request(t, "POST", "x")
					req.Header.Set(key, "k1")
					r := end(t, c, req)
					want := Delivered
					if i == 1 && !leave {
						want = Unknown
					}
					check(t, "outcome", r.Outcome, want)
				}
				check(t, "key on the wire", spelled, "k1")
				check(t, "requests", requests.Load(), map[bool]int32{false: 2, true: 3}[leave])
			})
		}
	}
}

// Where net/http may send again by itself, a dial that fails then does not mean that nothing was
// sent.
func TestDialFailureAfterHiddenResend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		requests := 0
		var l *memnet.Listener
		c, l := wireServer(t, exact, func(n int, conn *memnet.Conn, r *textproto.Reader) {
			for {
				if _, _, err := head(r); err != nil {
					return
				}
				if requests++; requests == 2 {
					l.Refuse(true)
					return
				}
				io.WriteString(conn, ok)
			}
		})
		c.Repeatable = func(*http.Request) bool { return false }
		end(t, c, request(t, "GET", ""))
		r := end(t, c, request(t, "GET", ""))
		check(t, "outcome", r.Outcome, Unknown)
		if !nethttp.NeverConnected(r.Err) {
			t.Errorf("the test means nothing: %v", r.Err)
		}
		// Nothing of this one is sent.
		c.Policy.GiveUpAfter = 1
		check(t, "outcome", end(t, c, request(t, "POST", "x")).Outcome, Deferred)
	})
}

func TestDroppedPostIsSentOnce(t *testing.T) {
	for _, reset := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			requests := 0
			c, _ := wireServer(t, exact, func(n int, conn *memnet.Conn, r *textproto.Reader) {
				head(r)
				requests++
				if reset {
					conn.Reset()
				}
			})
			check(t, "outcome", end(t, c, request(t, "POST", "x")).Outcome, Unknown)
			check(t, "requests", requests, 1)
		})
	}
}

// The head of an answer decides; what becomes of its body is the caller's to see.
func TestAnswerCutOffAfterItsHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := wireServer(t, exact, func(n int, conn *memnet.Conn, r *textproto.Reader) {
			head(r)
			io.WriteString(conn, "HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\nhal")
		})
		resp, err := c.Do(request(t, "POST", "x"))
		check(t, "outcome", OutcomeOf(resp, err).Outcome, Delivered)
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(b) != "hal" || err == nil {
			t.Errorf("read %q, %v", b, err)
		}
	})
}

func TestOutageIsSatOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, l := wireServer(t, Policy{Attempts: 1},
			func(n int, conn *memnet.Conn, r *textproto.Reader) {
				head(r)
				io.WriteString(conn, okLast)
			})
		l.Refuse(true)
		time.AfterFunc(10*time.Minute, func() { l.Refuse(false) })
		start := time.Now()
		check(t, "outcome", end(t, c, request(t, "POST", "x")).Outcome, Delivered)
		if took := time.Since(start); took < 10*time.Minute ||
			took > 10*time.Minute+30*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// A server that refuses early and closes: the question saves the answer, and the body.
func TestExpectSavesTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got int64
		c, _ := wireServer(t, exact, func(n int, conn *memnet.Conn, r *textproto.Reader) {
			_, h, _ := head(r)
			if h.Get("Expect") == "" {
				t.Error("it was not asked")
			}
			if n == 0 {
				io.WriteString(conn, "HTTP/1.1 429 No\r\nRetry-After: 60\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
				got, _ = io.Copy(io.Discard, r.R)
				return
			}
			io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\n")
			io.CopyN(io.Discard, r.R, trip.AskFrom)
			io.WriteString(conn, okLast)
		})
		start := time.Now()
		r := end(t, c, request(t, "POST", strings.Repeat("x", trip.AskFrom)))
		check(t, "outcome", r.Outcome, Delivered)
		check(t, "time passed", time.Since(start), time.Minute+1)
		synctest.Wait()
		check(t, "body bytes for nothing", got, int64(0))
	})
}

func TestExpectIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		c, _ := wireServer(t, exact, func(n int, conn *memnet.Conn, r *textproto.Reader) {
			for {
				_, h, err := head(r)
				if err != nil {
					return
				}
				if h.Get("Expect") != "" {
					asked++
				}
				io.CopyN(io.Discard, r.R, trip.AskFrom)
				io.WriteString(conn, ok)
			}
		})
		start := time.Now()
		for range 6 {
			check(t, "outcome", end(t, c,
				request(t, "PUT", strings.Repeat("x", trip.AskFrom))).Outcome, Delivered)
		}
		check(t, "asked", asked, trip.ExpectsBeforeOff)
		check(t, "time passed", time.Since(start), trip.ExpectsBeforeOff*time.Second)
	})
}

func TestExpectationFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, requests := 0, 0
		c, _ := wireServer(t, Policy{Attempts: 1},
			func(n int, conn *memnet.Conn, r *textproto.Reader) {
				_, h, _ := head(r)
				requests++
				if h.Get("Expect") != "" {
					asked++
					io.WriteString(conn, "HTTP/1.1 417 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
					return
				}
				io.CopyN(io.Discard, r.R, trip.AskFrom)
				io.WriteString(conn, okLast)
			})
		start := time.Now()
		for range 2 {
			check(t, "outcome", end(t, c,
				request(t, "POST", strings.Repeat("x", trip.AskFrom))).Outcome, Delivered)
		}
		check(t, "asked", asked, 1)
		check(t, "requests", requests, 3)
		check(t, "time passed", time.Since(start), time.Duration(0))
	})
}

// A server that says yes and then no could go on like that forever.
func TestExpectationFailedAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		requests := 0
		c, _ := wireServer(t, exact, func(n int, conn *memnet.Conn, r *textproto.Reader) {
			if requests++; requests > 100 {
				t.Error("the call has no end")
				return
			}
			_, h, _ := head(r)
			if h.Get("Expect") != "" {
				io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\n")
			}
			io.CopyN(io.Discard, r.R, trip.AskFrom)
			io.WriteString(conn, "HTTP/1.1 417 No\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
		})
		r := end(t, c, request(t, "PUT", strings.Repeat("x", trip.AskFrom)))
		check(t, "outcome", r.Outcome, Failed)
		check(t, "requests", requests, 2)
	})
}

// A small body asks too, after a try that was cut off in the middle of it.
func TestExpectAfterReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []bool
		c, _ := wireServer(t, exact, func(n int, conn *memnet.Conn, r *textproto.Reader) {
			_, h, _ := head(r)
			asked = append(asked, h.Get("Expect") != "")
			if n == 0 {
				time.Sleep(time.Millisecond)
				conn.Reset()
				return
			}
			io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\n")
			io.CopyN(io.Discard, r.R, 1<<20)
			io.WriteString(conn, okLast)
		})
		check(t, "outcome", end(t, c, request(t, "PUT", strings.Repeat("x", 1<<20))).Outcome,
			Delivered)
		check(t, "asked", fmt.Sprint(asked), "[false true]")
	})
}

// [configuration] What speaks of a wrong configuration is final before the first answer, for real
// TLS.
func TestMisconfiguredTLS(t *testing.T) {
	quiet := func(s *httptest.Server) *httptest.Server {
		s.Config.ErrorLog = quietLog
		s.StartTLS()
		t.Cleanup(s.Close)
		return s
	}
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	unknownCA := quiet(httptest.NewUnstartedServer(handler))
	old := httptest.NewUnstartedServer(handler)
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11}
	quiet(old)
	plain := httptest.NewServer(handler)
	defer plain.Close()
	trusting := unknownCA.Client().Transport.(*http.Transport).Clone()
	defer trusting.CloseIdleConnections()
	trusting.TLSClientConfig.NextProtos = nil

	pinned := trusting.Clone()
	pinned.TLSClientConfig.VerifyConnection = func(tls.ConnectionState) error { return errors.New("another key than the one we know") }

	for name, row := range map[string]struct {
		url       string
		transport http.RoundTripper
	}{
		"certificate": {unknownCA.URL, nil},
		"protocol":    {old.URL, old.Client().Transport},
		"plain HTTP":  {"https://" + strings.TrimPrefix(plain.URL, "http://"), nil},
		"host in the name": {strings.Replace(unknownCA.URL, "127.0.0.1", "localhost", 1),
			trusting},
		"a check of one's own": {unknownCA.URL, pinned},
		"port":                 {"http://127.0.0.1:99999/", nil},
	} {
		c := &Client{HTTP: &http.Client{Transport: row.transport}, Policy: Policy{GiveUpAfter: 1}}
		req, _ := http.NewRequest("POST", row.url, strings.NewReader("x"))
		resp, err := c.Do(req)
		if r := OutcomeOf(resp, err); r.Outcome != Failed || r.Attempts != 1 ||
			!errors.Is(err, ErrUnreachable) {
			t.Errorf("%s: %+v", name, r)
		}
	}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	c := &Client{Policy: Policy{GiveUpAfter: 1}}
	req, _ := http.NewRequest("POST", "http://"+l.Addr().String(), strings.NewReader("x"))
	resp, err := c.Do(req)
	check(t, "refused", OutcomeOf(resp, err).Outcome, Deferred)
}

// Cancelling while an answer is awaited ends the call at once, on a real connection.
func TestCancelWhileWaitingForTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := real(t, exact, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}))
		cause := errors.New("operator")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(cause) })
		start := time.Now()
		_, err := c.Do(request(t, "POST", "x").WithContext(ctx))
		check(t, "time passed", time.Since(start), time.Second)
		check(t, "outcome", OutcomeOf(nil, err).Outcome, Unknown)
		if !errors.Is(err, cause) {
			t.Errorf("error: %v", err)
		}
	})
}

// What refuses only after the connection was had is final before the first answer, too.
func TestMisconfiguredAfterTheConnection(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter,
		r *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	wantsCert := httptest.NewUnstartedServer(handler)
	wantsCert.Config.ErrorLog = quietLog
	wantsCert.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS13}
	wantsCert.StartTLS()
	defer wantsCert.Close()
	for range 5 { // whether the alert or the end of the connection is seen first, is chance
		tr := wantsCert.Client().Transport.(*http.Transport).Clone()
		c := &Client{HTTP: &http.Client{Transport: tr}, Policy: Policy{GiveUpAfter: 1}}
		req, _ := http.NewRequest("POST", wantsCert.URL, strings.NewReader("x"))
		resp, err := c.Do(req)
		r := OutcomeOf(resp, err)
		// A write that fails makes net/http close the connection, with the alert unread.
		unread := r.Outcome == Unknown &&
			(errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNRESET) ||
				errors.Is(err, syscall.EPIPE))
		if !unread && (r.Outcome != Failed || !errors.Is(err, ErrUnreachable)) || r.Attempts != 1 {
			t.Errorf("certificate required: %+v", r)
		}
		tr.CloseIdleConnections()
	}

	// a server of TLS that was sent plain text: that is no request to it
	synctest.Test(t, func(t *testing.T) {
		c, _ := wireServer(t, Policy{GiveUpAfter: 1},
			func(n int, conn *memnet.Conn, r *textproto.Reader) {
				head(r)
				io.WriteString(conn, "\x15\x03\x01\x00\x02\x02\x16")
			})
		_, err := c.Do(request(t, "POST", "x"))
		if r := OutcomeOf(nil, err); r.Outcome != Failed || r.Uncertain ||
			!errors.Is(err, ErrUnreachable) {
			t.Errorf("alert: %+v", r)
		}
	})

	for _, banner := range []string{"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", "220-mail.example\r\n",
		"OK stored\r\n"} {
		synctest.Test(t, func(t *testing.T) {
			c, _ := wireServer(t, Policy{GiveUpAfter: 1},
				func(n int, conn *memnet.Conn, r *textproto.Reader) {
					head(r)
					io.WriteString(conn, banner)
				})
			// it may be a poor server's answer
			for method, want := range map[string]Outcome{"POST": Unknown, "PUT": Failed} {
				_, err := c.Do(request(t, method, "x"))
				if r := OutcomeOf(nil, err); r.Outcome != want || !r.Uncertain || r.Attempts != 1 ||
					!errors.Is(err, ErrUnreachable) {
					t.Errorf("%s, %q: %+v", method, banner, r)
				}
			}
			c, _ = wireServer(t, exact, func(n int, conn *memnet.Conn, r *textproto.Reader) {
				head(r)
				if n == 0 {
					io.WriteString(conn, okLast)
				} else {
					io.WriteString(conn, banner)
				}
			})
			end(t, c, request(t, "POST", "x"))
			check(t, "after an answer", end(t, c, request(t, "POST", "x")).Outcome, Unknown)
		})
	}
}
