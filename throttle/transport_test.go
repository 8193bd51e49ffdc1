package throttle

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
	"net/http/httptrace"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/adaptive"
	"github.com/penstock/penstock/internal/memnet"
)

// A site is an HTTP server on a network in memory, and the base transport that reaches it by any
// name.
type site struct {
	clock
	base *http.Transport

	mu   sync.Mutex
	hits []hit
}

// A hit is a request that reached the server.
type hit struct {
	at   time.Duration
	host string
	path string
}

func newSite(t *testing.T, handle http.HandlerFunc) *site {
	l := memnet.Listen()
	s := &site{clock: newClock(), base: &http.Transport{DialContext: l.DialContext, MaxIdleConnsPerHost: 100}}
	both := new(http.Protocols)
	both.SetHTTP1(true)
	both.SetUnencryptedHTTP2(true)
	server := &http.Server{Protocols: both, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.hits = append(s.hits, hit{s.now(), r.Host, r.URL.Path})
		s.mu.Unlock()
		handle(w, r)
	})}
	go server.Serve(l)
	t.Cleanup(func() {
		s.base.CloseIdleConnections()
		server.Close()
		time.Sleep(time.Second) // it lets what it closes linger for a while
	})
	return s
}

// want compares the instants at which requests came in for the paths that begin so.
func (s *site) want(t *testing.T, prefix string, want ...time.Duration) {
	t.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	var got []time.Duration
	for _, h := range s.hits {
		if strings.HasPrefix(h.path, prefix) {
			got = append(got, h.at)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("requests for %s… came at %v, want %v", prefix, got, want)
	}
}

func ok(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") }

// get fetches the URL and reads the answer to its end.
func get(t *testing.T, c *http.Client, url string) {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Error(err)
		return
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
}

// roundTripper is a base transport of one function.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answerWith(status int, header ...string) *http.Response {
	resp := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("ok"))}
	for i := 0; i < len(header); i += 2 {
		resp.Header.Add(header[i], header[i+1])
	}
	return resp
}

// held is how many places in flight are taken.
func held(u *Upstream) int {
	u.line.mu.Lock()
	defer u.line.mu.Unlock()
	return u.line.mu.door.inFlight
}

// wantIdle reports permits that were not given back.
func wantIdle(t *testing.T, what string, u *Upstream) {
	t.Helper()
	synctest.Wait()
	if s := u.Stats(); s.InFlight != 0 || s.Waiting != 0 || held(u) != 0 {
		t.Errorf("%s: %d in flight, %d waiting, %d permits held", what, s.InFlight, s.Waiting, held(u))
	}
}

func TestTransportKeys(t *testing.T) {
	for _, test := range []struct{ url, want string }{
		{"http://example.com/a", "http://example.com"},
		{"HTTP://Example.COM:80/a?b", "http://example.com"},
		{"http://user:pw@example.com:/a", "http://example.com"},
		{"https://example.com:443", "https://example.com"},
		{"https://example.com:80", "https://example.com:80"},
		{"http://example.com:443", "http://example.com:443"},
		{"http://example.com:8080", "http://example.com:8080"},
		{"http://[::1]:80/", "http://[::1]"},
		{"http://[2001:DB8::80]/", "http://[2001:db8::80]"},
	} {
		r, err := http.NewRequest("GET", test.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := (&Transport{}).KeyOf(r); got != test.want {
			t.Errorf("%s: key %q, want %q", test.url, got, test.want)
		}
	}
}

func TestTransportPacesEachUpstream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, ok)
		tr := &Transport{
			Base:      s.base,
			LimitsFor: func(key string) Limits { return map[string]Limits{"http://a": {Rate: 10}, "http://b": {Rate: 5}}[key] },
			Weight:    func(r *http.Request) int { return len(r.URL.Path) - 1 },
		}
		client := &http.Client{Transport: tr}
		var group sync.WaitGroup
		for _, url := range []string{"http://a/x", "http://a:80/x", "http://A/xx", "http://b/y", "http://b/y", "http://c/z", "http://c/z"} {
			group.Go(func() { get(t, client, url) })
			synctest.Wait()
		}
		group.Wait()
		s.want(t, "/x", 0, 100*ms, 300*ms)
		s.want(t, "/y", 0, 200*ms)
		s.want(t, "/z", 0, 0)
		if n := tr.Upstream("http://a").Stats().Sent; n != 3 {
			t.Errorf("sent %d, want 3", n)
		}
	})
}

func TestTransportKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, ok)
		tr := &Transport{Base: s.base, Limits: Limits{Rate: 10}, Key: func(*http.Request) string { return "" }}
		client := &http.Client{Transport: tr}
		get(t, client, "http://a/")
		get(t, client, "http://b/")
		s.want(t, "/", 0, 100*ms)
	})
}

// However a request ends, its permit comes back, and not before.
func TestTransportPermitIsHeldUntilTheEnd(t *testing.T) {
	handle := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/cut":
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, "part")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		case "/drop":
			panic(http.ErrAbortHandler)
		case "/slow":
			select {
			case <-time.After(time.Hour):
			case <-r.Context().Done():
			}
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/switch":
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Upgrade", "echo")
			w.WriteHeader(http.StatusSwitchingProtocols)
			conn, rw, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			defer conn.Close()
			line, _ := rw.ReadString('\n')
			rw.WriteString(strings.ToUpper(line))
			rw.Flush()
			io.Copy(io.Discard, conn)
		default:
			io.WriteString(w, "what there is to read")
		}
	}
	// Each test gets the answer to a request while the permit is held, and ends it.
	for name, test := range map[string]struct {
		path string
		end  func(t *testing.T, cancel func(), body io.ReadWriteCloser)
	}{
		"close":       {"/", func(t *testing.T, _ func(), b io.ReadWriteCloser) { b.Close() }},
		"close twice": {"/", func(t *testing.T, _ func(), b io.ReadWriteCloser) { b.Close(); b.Close() }},
		"read to its end": {"/", func(t *testing.T, _ func(), b io.ReadWriteCloser) {
			if got, err := io.ReadAll(b); string(got) != "what there is to read" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
		}},
		"cut off": {"/cut", func(t *testing.T, _ func(), b io.ReadWriteCloser) {
			if _, err := io.ReadAll(b); err != io.ErrUnexpectedEOF {
				t.Error(err)
			}
		}},
		"cancelled": {"/cut", func(t *testing.T, cancel func(), b io.ReadWriteCloser) {
			cancel()
			if _, err := io.ReadAll(b); err == nil {
				t.Error("no error")
			}
		}},
		"switched": {"/switch", func(t *testing.T, _ func(), b io.ReadWriteCloser) {
			io.WriteString(b, "hello\n")
			buf := make([]byte, 6)
			if _, err := io.ReadFull(b, buf); string(buf) != "HELLO\n" {
				t.Errorf("%q, %v", buf, err)
			}
			b.Close()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, handle)
				tr := &Transport{Base: s.base, Limits: Limits{InFlight: 1}, Timeout: time.Minute}
				u := tr.Upstream("http://a")
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				r, _ := http.NewRequestWithContext(ctx, "GET", "http://a"+test.path, nil)
				if test.path == "/switch" {
					r.Header.Set("Connection", "Upgrade")
					r.Header.Set("Upgrade", "echo")
				}
				resp, err := tr.RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				if s := u.Stats(); s.InFlight != 1 {
					t.Errorf("%d in flight while the answer is unread", s.InFlight)
				}
				rw, ok := resp.Body.(io.ReadWriteCloser)
				if want := test.path == "/switch"; ok != want {
					t.Errorf("body is a writer: %v, want %v", ok, want)
				}
				if !ok {
					rw = struct {
						io.ReadCloser
						io.Writer
					}{resp.Body, nil}
				}
				test.end(t, cancel, rw)
				wantIdle(t, name, u)
				resp.Body.Close()
			})
		})
	}

	// Each of these has no answer to read.
	for name, do := range map[string]func(t *testing.T, s *site, tr *Transport){
		"refused": func(t *testing.T, s *site, tr *Transport) {
			s.base.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED }
			if _, err := tr.RoundTrip(httptest.NewRequest("GET", "http://a/", nil)); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Error(err)
			}
		},
		"dropped": func(t *testing.T, s *site, tr *Transport) {
			if _, err := tr.RoundTrip(httptest.NewRequest("GET", "http://a/drop", nil)); !errors.Is(err, io.EOF) {
				t.Error(err)
			}
		},
		"cancelled": func(t *testing.T, s *site, tr *Transport) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			r, _ := http.NewRequestWithContext(ctx, "GET", "http://a/slow", nil)
			if _, err := tr.RoundTrip(r); !errors.Is(err, context.DeadlineExceeded) || s.now() != time.Second {
				t.Error(err, s.now())
			}
		},
		"timeout": func(t *testing.T, s *site, tr *Transport) {
			if _, err := tr.RoundTrip(httptest.NewRequest("GET", "http://a/slow", nil)); err == nil || s.now() != time.Minute {
				t.Error(err, s.now())
			}
		},
		"no content, not closed": func(t *testing.T, s *site, tr *Transport) {
			if _, err := tr.RoundTrip(httptest.NewRequest("GET", "http://a/none", nil)); err != nil {
				t.Error(err)
			}
		},
		"HEAD, not closed": func(t *testing.T, s *site, tr *Transport) {
			if _, err := tr.RoundTrip(httptest.NewRequest("HEAD", "http://a/", nil)); err != nil {
				t.Error(err)
			}
		},
		"no body at all": func(t *testing.T, s *site, tr *Transport) {
			tr.Base = roundTripper(func(*http.Request) (*http.Response, error) { return &http.Response{StatusCode: 200}, nil })
			if _, err := tr.RoundTrip(httptest.NewRequest("GET", "http://a/", nil)); err != nil {
				t.Error(err)
			}
		},
		"Base panics": func(t *testing.T, s *site, tr *Transport) {
			tr.Base = roundTripper(func(*http.Request) (*http.Response, error) { panic("base") })
			wantPanic(t, "base", func() { tr.RoundTrip(httptest.NewRequest("GET", "http://a/", nil)) })
		},
		"Observe panics": func(t *testing.T, s *site, tr *Transport) {
			for _, kind := range []EventKind{EventSent, EventPaused, EventEnded} {
				tr.Base = roundTripper(func(*http.Request) (*http.Response, error) { return answerWith(429, "Retry-After", "1"), nil })
				tr.Observe = func(e Event) {
					if e.Kind == kind {
						panic("observe")
					}
				}
				wantPanic(t, "observe", func() { tr.RoundTrip(httptest.NewRequest("GET", "http://a/", nil)) })
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, handle)
				tr := &Transport{Base: s.base, Limits: Limits{InFlight: 1}, Timeout: time.Minute}
				do(t, s, tr)
				wantIdle(t, name, tr.Upstream("http://a"))
			})
		})
	}
}

// Once its context has ended, or its time is up, a request has no place any more, though its body
// was not closed: net/http has closed the connection. One that was switched to another protocol
// keeps its connection, and its place.
func TestTransportPlaceComesBack(t *testing.T) {
	for _, test := range []struct {
		name, path string
		timeout    time.Duration
		cancel     bool
		want       time.Duration // when the next request goes
	}{
		{"timeout", "/", time.Second, false, time.Second},
		{"cancelled", "/", time.Hour, true, 2 * time.Second},
		{"cancelled, no timeout", "/", 0, true, 2 * time.Second},
		{"cancelled, switched", "/switch", 0, true, 3 * time.Second},
		{"closed", "/", 0, false, 3 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
					switch r.URL.Path {
					case "/":
						w.(http.Flusher).Flush()
						<-r.Context().Done()
					case "/switch":
						w.Header().Set("Connection", "Upgrade")
						w.Header().Set("Upgrade", "echo")
						w.WriteHeader(http.StatusSwitchingProtocols)
						w.(http.Flusher).Flush()
						<-r.Context().Done()
					}
				})
				tr := &Transport{Base: s.base, Limits: Limits{InFlight: 1}, Timeout: test.timeout}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				r, _ := http.NewRequestWithContext(ctx, "GET", "http://a"+test.path, nil)
				if test.path == "/switch" {
					r.Header.Set("Connection", "Upgrade")
					r.Header.Set("Upgrade", "echo")
				}
				resp, err := tr.RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				done := make(chan struct{})
				go func() {
					defer close(done)
					get(t, &http.Client{Transport: tr}, "http://a/next")
				}()
				if test.cancel {
					time.AfterFunc(2*time.Second, cancel)
				}
				s.at(3 * time.Second)
				resp.Body.Close()
				<-done
				s.want(t, "/next", test.want)
				wantIdle(t, test.name, tr.Upstream("http://a"))
				if s := tr.Upstream("http://a").Stats(); s.TimedOut != 0 || s.Phase == PhaseHoldingBack {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// The answer's request is the caller's, whose context goes on.
func TestTransportResponseRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, ok)
		for _, base := range []http.RoundTripper{s.base, roundTripper(func(*http.Request) (*http.Response, error) { return answerWith(200), nil })} {
			req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://a/", nil)
			resp, err := (&Transport{Base: base, Timeout: time.Minute}).RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.Request != req || resp.Request.Context().Err() != nil {
				t.Errorf("got %+v, want %+v", resp.Request, req)
			}
		}
	})
}

// A body that nobody can close any more gives its place back, and somebody is told.
func TestTransportLeakedBody(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("http2=%v", http2), func(t *testing.T) {
			s, _ := newServer(t, func(w http.ResponseWriter, r *http.Request) {
				io.WriteString(w, "hello")
				w.(http.Flusher).Flush()
				if r.URL.Path == "/leak" {
					<-r.Context().Done()
				}
			})
			s.EnableHTTP2 = http2
			s.StartTLS()
			leaked := make(chan Event, 1)
			tr := &Transport{Base: s.Client().Transport, Limits: Limits{InFlight: 1}, Observe: func(e Event) {
				if e.Kind == EventLeaked {
					leaked <- e
				}
			}}
			client := &http.Client{Transport: tr}
			get(t, client, s.URL) // this one does not
			resp, err := client.Get(s.URL + "/leak")
			if err != nil || resp.Request.URL.Path != "/leak" || (resp.ProtoMajor == 2) != http2 {
				t.Fatal(resp, err)
			}
			resp = nil
			for {
				runtime.GC()
				select {
				case e := <-leaked:
					if e.Key != s.URL || e.Request.URL.Path != "/leak" || e.Kind.String() != "leaked" {
						t.Errorf("%+v", e)
					}
					get(t, client, s.URL)
					wantNone(t, tr.Upstream(s.URL))
					return
				default:
					runtime.Gosched()
				}
			}
		})
	}
}

func wantPanic(t *testing.T, want any, f func()) {
	t.Helper()
	defer func() {
		if got := recover(); got != want {
			t.Errorf("panic %v, want %v", got, want)
		}
	}()
	f()
}

// Each redirect is a request more.
func TestTransportRedirectsPay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
			if n, _ := strconv.Atoi(r.URL.Path[1:]); n < 3 {
				http.Redirect(w, r, fmt.Sprintf("/%d", n+1), http.StatusFound)
			}
		})
		tr := &Transport{Base: s.base, Limits: Limits{Rate: 10, InFlight: 1}}
		get(t, &http.Client{Transport: tr}, "http://a/0")
		s.want(t, "/", 0, 100*ms, 200*ms, 300*ms)
		wantIdle(t, "redirects", tr.Upstream("http://a"))
	})
}

// dropping returns a handler that answers, but drops the connection of the nth request without an
// answer.
func dropping(nth int64) http.HandlerFunc {
	var n atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if n.Add(1) == nth {
			panic(http.ErrAbortHandler)
		}
		io.WriteString(w, "ok")
	}
}

// What net/http sends again by itself, when a kept-alive connection turns out to be dead, pays like
// any other request: httptrace's GotConn sees it.
func TestTransportHiddenResendsPay(t *testing.T) {
	post := func() *http.Request {
		r, _ := http.NewRequest("POST", "http://a/", strings.NewReader("body"))
		r.Header.Set("Idempotency-Key", "1")
		return r
	}
	bodiless := func(method, key string) func() *http.Request {
		return func() *http.Request {
			r, _ := http.NewRequest(method, "http://a/", nil)
			if key != "" {
				r.Header.Set("Idempotency-Key", key)
			}
			return r
		}
	}
	for name, request := range map[string]func() *http.Request{"POST": post, "GET": bodiless("GET", ""), "DELETE": bodiless("DELETE", "1")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, dropping(2))
				var kinds []EventKind
				tr := &Transport{Base: s.base, Limits: Limits{Rate: 10, InFlight: 1}, Observe: func(e Event) {
					kinds = append(kinds, e.Kind)
					if e.Latency != 0 { // since the token of the resend
						t.Errorf("latency %v", e.Latency)
					}
				}}
				client := &http.Client{Transport: tr}
				var conns []bool // the caller's own trace: was the connection reused?
				for range 2 {
					r := request()
					trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { conns = append(conns, i.Reused) }}
					resp, err := client.Do(r.WithContext(httptrace.WithClientTrace(t.Context(), trace)))
					if err != nil {
						t.Fatal(err)
					}
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				s.want(t, "/", 0, 100*ms, 200*ms)
				if want := []bool{false, true, false}; !slices.Equal(conns, want) {
					t.Errorf("the caller's trace saw connections %v, want %v", conns, want)
				}
				if want := []EventKind{EventSent, EventEnded, EventSent, EventResent, EventEnded}; !slices.Equal(kinds, want) {
					t.Errorf("events %v, want %v", kinds, want)
				}
				u := tr.Upstream("http://a")
				if s := u.Stats(); s.Sent != 3 || s.Succeeded != 2 {
					t.Errorf("%+v", s)
				}
				wantIdle(t, "resends", u)
			})
		})
	}
}

// While a resend waits for its token, Stop or a cool-down too long ends it, its caller can cancel
// it, and the timeout does not run. The server has had the request: no error says that it was not
// sent.
func TestTransportWaitingResend(t *testing.T) {
	run := func(name string, timeout, work time.Duration, meanwhile func(tr *Transport, cancel func()), check func(t *testing.T, s *site, u *Upstream, err error)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				answer := dropping(2)
				s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
					time.Sleep(work)
					answer(w, r)
				})
				tr := &Transport{Base: s.base, Limits: Limits{Rate: 1}, Timeout: timeout}
				client := &http.Client{Transport: tr}
				get(t, client, "http://a/")
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go func() {
					s.until(1500 * ms)
					meanwhile(tr, cancel)
				}()
				r, _ := http.NewRequestWithContext(ctx, "GET", "http://a/", nil)
				resp, err := client.Do(r)
				if err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				u := tr.Upstream("http://a")
				wantIdle(t, name, u)
				check(t, s, u, err)
			})
		})
	}
	run("nothing", 0, 0, func(*Transport, func()) {}, func(t *testing.T, s *site, u *Upstream, err error) {
		s.want(t, "/", 0, time.Second, 2*time.Second)
		if err != nil {
			t.Error(err)
		}
	})
	// 600 ms of work, twice, and 400 ms for the token.
	run("timeout", 700*ms, 600*ms, func(*Transport, func()) {}, func(t *testing.T, s *site, u *Upstream, err error) {
		s.want(t, "/", 0, time.Second, 2*time.Second)
		if err != nil {
			t.Error(err)
		}
	})
	notResent := func(t *testing.T, s *site, u *Upstream, err error, why string) {
		t.Helper()
		s.want(t, "/", 0, time.Second)
		if s.now() != 1500*ms || u.Stats().Sent != 2 {
			t.Errorf("at %v; sent %d", s.now(), u.Stats().Sent)
		}
		if errors.As(err, new(interface{ RetryAt() time.Time })) || strings.Contains(err.Error(), "nothing was sent") || !strings.HasSuffix(err.Error(), why) {
			t.Errorf("got %v, want …%s", err, why)
		}
	}
	late := errors.New("late")
	run("stop", 0, 0, func(tr *Transport, _ func()) { tr.Stop(late) }, func(t *testing.T, s *site, u *Upstream, err error) {
		notResent(t, s, u, err, "not sent again after the connection failed: stopped: late")
		if !errors.Is(err, late) {
			t.Error(err)
		}
	})
	run("stop without a cause", 0, 0, func(tr *Transport, _ func()) { tr.Stop(nil) }, func(t *testing.T, s *site, u *Upstream, err error) {
		notResent(t, s, u, err, "not sent again after the connection failed: stopped")
	})
	run("too long", 0, 0, func(tr *Transport, _ func()) {
		tr.Upstream("http://a").Pause(time.Now().Add(2*time.Hour), "test")
	}, func(t *testing.T, s *site, u *Upstream, err error) {
		notResent(t, s, u, err, "not sent again after the connection failed: cool-down until 2000-01-01T02:00:01Z (test)")
	})
	run("cancel", 0, 0, func(_ *Transport, cancel func()) { cancel() }, func(t *testing.T, s *site, u *Upstream, err error) {
		notResent(t, s, u, err, "not sent again after the connection failed: context canceled")
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// What may not be replayed net/http sends again only if nothing of it was sent, and so the errors
// say.
func TestTransportWaitingResendNotSent(t *testing.T) {
	late := errors.New("late")
	for name, end := range map[string]func(tr *Transport, cancel func(error)){
		"stop":     func(tr *Transport, _ func(error)) { tr.Stop(late) },
		"too long": func(tr *Transport, _ func(error)) { tr.Upstream("http://a").Pause(time.Now().Add(2*time.Hour), "") },
		"cancel":   func(_ *Transport, cancel func(error)) { cancel(late) },
	} {
		for _, method := range []string{"POST", "GET"} {
			t.Run(name+" "+method, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					tr := &Transport{Limits: Limits{Rate: 1}, Base: roundTripper(func(r *http.Request) (*http.Response, error) {
						trace := httptrace.ContextClientTrace(r.Context())
						trace.GotConn(httptrace.GotConnInfo{Reused: true})
						trace.GotConn(httptrace.GotConnInfo{})
						return nil, context.Cause(r.Context())
					})}
					ctx, cancel := context.WithCancelCause(t.Context())
					time.AfterFunc(500*ms, func() { end(tr, cancel) })
					r, _ := http.NewRequestWithContext(ctx, method, "http://a/", nil)
					_, err := tr.RoundTrip(r)
					if unsent := errors.As(err, new(interface{ RetryAt() time.Time })); unsent != (method == "POST") {
						t.Errorf("%v says that nothing was sent: %v", err, unsent)
					}
				})
			})
		}
	}
}

// The timeout runs anew from the token of a resend on.
func TestTransportTimeoutOfAResend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		tr := &Transport{Limits: Limits{Rate: 1}, Timeout: 500 * ms}
		tr.Base = roundTripper(func(r *http.Request) (*http.Response, error) {
			trace := httptrace.ContextClientTrace(r.Context())
			trace.GotConn(httptrace.GotConnInfo{})
			trace.GotConn(httptrace.GotConnInfo{Reused: true})
			if c.now() != time.Second {
				t.Errorf("sent again at %v", c.now())
			}
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		_, err := tr.RoundTrip(httptest.NewRequest("GET", "http://a/", nil))
		var timeout *TimeoutError
		if !errors.As(err, &timeout) || c.now() != 1500*ms {
			t.Errorf("%v at %v", err, c.now())
		}
	})
}

// A server that says when to come back is left alone until then by everybody, and no other server
// is.
func TestTransportCoolsDown(t *testing.T) {
	for _, status := range []int{429, 503} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/a/2" {
					w.Header().Set("Retry-After", "3")
					w.WriteHeader(status)
				}
			})
			var paused []Event
			tr := &Transport{Base: s.base, Limits: Limits{Rate: 10, InFlight: 8, Fixed: true}, Observe: func(e Event) {
				if e.Kind == EventPaused {
					paused = append(paused, e)
				}
			}}
			client := &http.Client{Transport: tr}
			var group sync.WaitGroup
			for i := range 5 {
				group.Go(func() { get(t, client, fmt.Sprintf("http://a/a/%d", i)) })
				group.Go(func() { get(t, client, fmt.Sprintf("http://b/b/%d", i)) })
				synctest.Wait()
			}
			s.at(time.Second)
			u := tr.Upstream("http://a")
			if st := u.Stats(); st.Holding != HoldingCoolDown || st.PauseSource != "retry-after" || !st.Paused.Equal(s.time(3200*ms)) {
				t.Errorf("%+v", st)
			}
			group.Wait()
			s.want(t, "/a/", 0, 100*ms, 200*ms, 3200*ms, 3300*ms)
			s.want(t, "/b/", 0, 100*ms, 200*ms, 300*ms, 400*ms)
			if len(paused) != 1 || paused[0].Key != "http://a" || !paused[0].Until.Equal(s.time(3200*ms)) || paused[0].Source != "retry-after" {
				t.Errorf("%+v", paused)
			}
			want := Waited{Rate: 300 * ms, CoolDown: 3 * time.Second}
			if got := u.Stats().Waited; got != want {
				t.Errorf("waited %+v, want %+v", got, want)
			}
		})
	}
}

// A request that has its token, but whose connection is still being made when a cool-down begins,
// is not sent during it.
func TestTransportConnectingWhenACoolDownBegins(t *testing.T) {
	run := func(name string, timeout time.Duration, check func(t *testing.T, s *site, err error, end time.Duration)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
					io.Copy(io.Discard, r.Body)
					if r.URL.Path == "/refused" {
						w.Header().Set("Retry-After", "5")
						w.WriteHeader(429)
						// Without a body net/http gives the connection to the next request before
						// anybody has seen the status.
						io.WriteString(w, "later")
					}
				})
				dial := s.base.DialContext
				s.base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
					time.Sleep(time.Second)
					return dial(ctx, network, addr)
				}
				tr := &Transport{Base: s.base, Limits: Limits{Rate: 10, Fixed: true}, Timeout: timeout}
				client := &http.Client{Transport: tr}
				get(t, client, "http://a/first") // its connection is there from 1 s on
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var err error
				var end time.Duration
				for _, method := range []string{"GET", "PUT"} {
					go func() {
						s.until(2 * time.Second)
						var body io.Reader
						if method == "PUT" {
							body = strings.NewReader("body")
						}
						r, _ := http.NewRequestWithContext(ctx, method, "http://a/late", body)
						// On a connection of its own, as the idle one is in use.
						resp, e := client.Do(r)
						if e == nil {
							resp.Body.Close()
						}
						if method == "PUT" {
							err, end = e, s.now()
						}
					}()
				}
				if name == "cancel" {
					go func() { s.until(4 * time.Second); cancel() }()
				}
				s.at(1900 * ms)
				// This one takes the idle connection, and is answered at 2.4 s.
				go func() {
					r, _ := http.NewRequest("GET", "http://a/refused", delayed{})
					r.Method = "PUT"
					resp, err := client.Do(r)
					if err != nil {
						t.Error(err)
						return
					}
					resp.Body.Close()
				}()
				s.at(20 * time.Second)
				check(t, s, err, end)
				wantIdle(t, name, tr.Upstream("http://a"))
			})
		})
	}
	sent := func(t *testing.T, s *site, err error, end time.Duration) {
		s.want(t, "/late", 7400*ms, 7500*ms)
		if err != nil {
			t.Error(err)
		}
	}
	run("nothing", 0, sent)
	run("timeout", 2*time.Second, sent) // which does not run meanwhile
	run("cancel", 0, func(t *testing.T, s *site, err error, end time.Duration) {
		s.want(t, "/late")
		if !errors.Is(err, context.Canceled) || end != 4*time.Second {
			t.Errorf("%v at %v", err, end)
		}
	})
}

// Of requests that wait for the end of such a cool-down none is sent after Stop, or once the
// cool-down has become too long: each ends with the error that says so.
func TestTransportConnectedButRefused(t *testing.T) {
	late := errors.New("late")
	for what, end := range map[string]func(tr *Transport, cancel func(error)){
		"stop":     func(tr *Transport, _ func(error)) { tr.Stop(late) },
		"too long": func(tr *Transport, _ func(error)) { tr.Upstream("http://a").Pause(time.Now().Add(2*time.Hour), "") },
		"cancel":   func(_ *Transport, cancel func(error)) { cancel(late) },
	} {
		for _, http2 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, http2=%v", what, http2), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newSite(t, ok)
					s.base.Protocols = new(http.Protocols)
					s.base.Protocols.SetHTTP1(!http2)
					s.base.Protocols.SetUnencryptedHTTP2(http2)
					dial := s.base.DialContext
					s.base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
						time.Sleep(time.Second)
						return dial(ctx, network, addr)
					}
					tr := &Transport{Base: s.base, Limits: Limits{InFlight: 40}}
					ctx, cancel := context.WithCancelCause(t.Context())
					var group sync.WaitGroup
					for i := range 40 {
						group.Go(func() {
							var body io.Reader
							if i%2 == 0 {
								body = strings.NewReader("body")
							}
							r, _ := http.NewRequestWithContext(ctx, "PUT", "http://a/", body)
							_, err := tr.RoundTrip(r)
							var stop *StopError
							var paused *PausedError
							if errors.As(err, &stop) != (what == "stop") || errors.As(err, &paused) != (what == "too long") ||
								errors.Is(err, late) != (what != "too long") || s.now() != 2*time.Second {
								t.Errorf("%v at %v", err, s.now())
							}
							if !errors.As(err, new(interface{ RetryAt() time.Time })) {
								t.Errorf("%v does not say that nothing was sent", err)
							}
						})
					}
					s.at(500 * ms)
					tr.Upstream("http://a").Pause(s.time(10*time.Second), "")
					s.at(2 * time.Second)
					end(tr, cancel)
					group.Wait()
					s.at(20 * time.Second)
					s.want(t, "/")
					wantIdle(t, what, tr.Upstream("http://a"))
				})
			})
		}
	}
}

// Nothing is sent on a connection that was refused, even where the trace that sees to it is within
// another one: that of a Base, or of a Transport below.
func TestTransportRefusedConnectionIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := net.Pipe()
		defer peer.Close()
		var tr *Transport
		hooks := 0
		trace := &httptrace.ClientTrace{WroteHeaders: func() { hooks++ }}
		base := roundTripper(func(r *http.Request) (*http.Response, error) {
			ctx := httptrace.WithClientTrace(r.Context(), trace)
			trace := httptrace.ContextClientTrace(ctx)
			tr.Upstream("http://a").Pause(time.Now().Add(2*time.Hour), "")
			trace.GotConn(httptrace.GotConnInfo{Conn: conn})
			trace.WroteHeaders()
			return nil, ctx.Err()
		})
		tr = &Transport{Base: &Transport{Base: base}}
		ctx := httptrace.WithClientTrace(t.Context(), trace)
		r, _ := http.NewRequestWithContext(ctx, "PUT", "http://a/", nil)
		if _, err := tr.RoundTrip(r); !errors.As(err, new(*PausedError)) {
			t.Error(err)
		}
		if err := conn.SetDeadline(time.Time{}); err != io.ErrClosedPipe || hooks != 2 {
			t.Errorf("it is not closed: %v, or other hooks were called %d times", err, hooks)
		}
	})
}

// A server that ends each connection as soon as it has a request can have net/http send it again
// forever.
func TestTransportEndlessResends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		tr := &Transport{Base: roundTripper(func(r *http.Request) (*http.Response, error) {
			trace := httptrace.ContextClientTrace(r.Context())
			for ; sent < 1000; sent++ {
				trace.GotConn(httptrace.GotConnInfo{})
				if r.Context().Err() != nil {
					return nil, r.Context().Err()
				}
				trace.GotConn(httptrace.GotConnInfo{Reused: true}) // as many of these as there are idle ones
			}
			return nil, errors.New("it has no end")
		})}
		req, err := http.NewRequest("PUT", "http://h/", nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = tr.RoundTrip(req)
		if sent != maxFresh || !errors.Is(err, syscall.ECONNRESET) || !strings.Contains(err.Error(), "ended 10 new connections") {
			t.Errorf("sent %d times: %v", sent, err)
		}
		if s := tr.Upstream("http://h").Stats(); s.Phase == PhaseStarting {
			t.Errorf("nothing was learned: %+v", s)
		}
		wantIdle(t, "resends", tr.Upstream("http://h"))
	})
}

// An event's texts hold no secret, though the server sends all of them back and an error of Base
// quotes a URL. What RoundTrip returns is Base's error as it is.
func TestTransportEventsHoldNoSecrets(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r, err := http.ReadRequest(bufio.NewReader(c))
				if err != nil {
					return
				}
				said := fmt.Sprintf("%q %s", r.Header, r.RequestURI)
				fmt.Fprintf(c, "%s\r\n\r\n", strings.ReplaceAll(said, " ", "_")) // in one word, or net/http does not quote it
			}()
		}
	}()
	signing := roundTripper(func(*http.Request) (*http.Response, error) {
		return nil, &url.Error{Op: "Post", URL: "https://id:sesame@auth.example/token?s=sesame sesame", Err: syscall.ECONNREFUSED}
	})
	own := &http.Transport{DisableKeepAlives: true}
	for _, base := range []http.RoundTripper{own, signing} {
		ended := 0
		tr := &Transport{Base: base, Observe: func(e Event) {
			if e.Kind == EventEnded {
				ended++
				if errors.Is(e.Err, syscall.ECONNREFUSED) != (base != own) {
					t.Errorf("%v is not what came", e.Err)
				}
			}
			for err := e.Err; err != nil; err = errors.Unwrap(err) {
				if strings.Contains(err.Error(), "sesame") {
					t.Error(err)
				}
			}
			e.Request, e.Err = nil, nil
			if text := fmt.Sprintf("%+v", e); strings.Contains(text, "sesame") {
				t.Error(text)
			}
		}}
		req, err := http.NewRequest("PUT", "http://user:sesame-user@"+l.Addr().String()+"/?sig=sesame%2Fsig", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"Authorization": {"Bearer sesame-bearer"}, "X-Key": {`"sesame" & sésame`}}
		if _, err := tr.RoundTrip(req); err == nil || !strings.Contains(err.Error(), "sesame") {
			t.Errorf("RoundTrip returns %v", err)
		}
		if ended != 1 {
			t.Errorf("%d ends", ended)
		}
	}
}

// delayed is a body that takes half a second to come.
type delayed struct{}

func (delayed) Read([]byte) (int, error) { time.Sleep(500 * ms); return 0, io.EOF }

func TestTransportTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/head":
				time.Sleep(600 * ms)
			case "/body":
				w.WriteHeader(200)
				w.(http.Flusher).Flush()
				time.Sleep(600 * ms)
			}
			io.WriteString(w, "ok")
		})
		var ended []Event
		tr := &Transport{Base: s.base, Limits: Limits{Rate: 1}, Timeout: 500 * ms, Observe: func(e Event) {
			if e.Kind == EventEnded {
				ended = append(ended, e)
			}
		}}
		client := &http.Client{Transport: tr}
		fetch := func(ctx context.Context, path string) error {
			r, _ := http.NewRequestWithContext(ctx, "GET", "http://a"+path, nil)
			resp, err := client.Do(r)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			_, err = io.ReadAll(resp.Body)
			return err
		}
		want := func(what string, err error, at time.Duration, ours bool) {
			t.Helper()
			var timeout *TimeoutError
			var ne net.Error
			if errors.As(err, &timeout) != ours {
				t.Errorf("%s: %v", what, err)
			}
			if ours && (timeout.After != 500*ms || !timeout.Temporary() || !strings.HasPrefix(timeout.Error(), "throttle: ")) {
				t.Errorf("%s: %v", what, timeout)
			}
			if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &ne) || !ne.Timeout() {
				t.Errorf("%s: %v is not a timeout", what, err)
			}
			if s.now() != at {
				t.Errorf("%s: at %v, want %v", what, s.now(), at)
			}
		}
		for i := range 2 { // the second waits for its token for longer than the timeout
			if err := fetch(t.Context(), "/"); err != nil || s.now() != time.Duration(i)*time.Second {
				t.Error(err, s.now())
			}
		}
		want("head", fetch(t.Context(), "/head"), 2500*ms, true)
		want("body", fetch(t.Context(), "/body"), 3500*ms, true)

		ctx, cancel := context.WithTimeout(t.Context(), 800*ms) // from 3.5 s on
		want("the caller's own", fetch(ctx, "/head"), 4300*ms, false)
		cancel()
		ctx, cancel = context.WithTimeout(t.Context(), 300*ms) // while it waits
		want("the caller's own, waiting", fetch(ctx, "/"), 4600*ms, false)
		cancel()

		var outcomes []Signal
		for _, e := range ended {
			outcomes = append(outcomes, e.Signal)
		}
		if want := []Signal{SignalSuccess, SignalSuccess, SignalTimedOut, SignalSuccess, SignalIgnored}; !slices.Equal(outcomes, want) {
			t.Errorf("outcomes %v, want %v", outcomes, want)
		}
		if e := ended[2]; e.Latency != 500*ms || e.Status != 0 || e.Err == nil {
			t.Errorf("%+v", e)
		}
	})
}

func TestTransportStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("the day is over")
		s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			io.WriteString(w, "ok")
		})
		tr := &Transport{Base: s.base, Limits: Limits{Rate: 10, InFlight: 2}}
		client := &http.Client{Transport: tr}
		var group sync.WaitGroup
		group.Go(func() { get(t, client, "http://a/") }) // in flight
		synctest.Wait()
		refused := func(url string) {
			body := &closing{Reader: strings.NewReader("body")}
			_, err := client.Post(url, "", body)
			var stop *StopError
			if !errors.As(err, &stop) || !errors.Is(err, why) || !body.closed.Load() {
				t.Errorf("%s: %v, body closed %v", url, err, body.closed.Load())
			}
		}
		group.Go(func() { refused("http://a/token") })
		group.Go(func() { refused("http://a/permit") })
		s.at(50 * ms)
		tr.Stop(why)
		tr.Stop(errors.New("again"))
		refused("http://a/late")
		refused("http://b/new")
		if s.now() != 50*ms {
			t.Errorf("they waited until %v", s.now())
		}
		group.Wait()
		s.want(t, "/", 0)
		if s.now() != time.Second {
			t.Errorf("in flight until %v", s.now())
		}
	})
}

// closing is a body that reports whether it was closed.
type closing struct {
	io.Reader
	closed atomic.Bool
}

func (c *closing) Close() error { c.closed.Store(true); return nil }

type contextKey struct{}

// RoundTrip closes the body whatever happens, and changes nothing of the request.
func TestTransportLeavesTheRequestAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got *http.Request
		base := roundTripper(func(r *http.Request) (*http.Response, error) {
			got = r
			return answerWith(200), nil
		})
		for _, limits := range []Limits{{Rate: 10, InFlight: 1}, {Bandwidth: 1000}} {
			body := &closing{Reader: strings.NewReader("body")}
			r, _ := http.NewRequestWithContext(context.WithValue(t.Context(), contextKey{}, "v"), "POST", "http://a/b?c=d", body)
			r.GetBody = func() (io.ReadCloser, error) { return body, nil }
			r.Header.Set("X", "y")
			before, context := *r, r.Context()
			header := r.Header.Clone()
			tr := &Transport{Base: base, Limits: limits, Timeout: time.Second}
			resp, err := tr.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if r.Body != before.Body || r.Context() != context || r.URL != before.URL || r.ContentLength != before.ContentLength ||
				r.Host != before.Host || fmt.Sprint(r.Header) != fmt.Sprint(header) {
				t.Error("the caller's request was changed")
			}
			if got.Context().Value(contextKey{}) != "v" {
				t.Error("the context lost its value")
			}
			if same := got.Body == io.ReadCloser(body); same != (limits.Bandwidth == 0) {
				t.Errorf("limits %+v: the same body reached the base: %v", limits, same)
			}
		}
		for name, tr := range map[string]*Transport{
			"bad limits":             {Base: base, Limits: Limits{Rate: -1}},
			"bad limits for the key": {Base: base, LimitsFor: func(string) Limits { return Limits{InFlight: -1} }},
		} {
			body := &closing{}
			r, _ := http.NewRequest("POST", "http://a/", body)
			if _, err := tr.RoundTrip(r); err == nil || !body.closed.Load() {
				t.Errorf("%s: %v, body closed %v", name, err, body.closed.Load())
			}
		}
		gone := errors.New("the file is gone")
		r, _ := http.NewRequest("POST", "http://a/", &closing{Reader: strings.NewReader("body")})
		r.GetBody = func() (io.ReadCloser, error) { return nil, gone }
		again := roundTripper(func(r *http.Request) (*http.Response, error) { _, err := r.GetBody(); return nil, err })
		if _, err := (&Transport{Base: again, Limits: Limits{Bandwidth: 1000}}).RoundTrip(r); err != gone {
			t.Errorf("a body that cannot be had again: %v", err)
		}
		body := &closing{}
		if _, err := (&Transport{Base: base}).RoundTrip(&http.Request{Body: body}); err == nil || !body.closed.Load() {
			t.Errorf("no URL: %v, body closed %v", err, body.closed.Load())
		}
	})
}

// Bodies under a bandwidth limit take their time, the ones that are sent again as well.
func TestTransportBandwidth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, dropping(2))
		tr := &Transport{Base: s.base, Limits: Limits{Bandwidth: 1000}}
		client := &http.Client{Transport: tr}
		text := strings.Repeat("x", 1512)
		for range 2 {
			r, _ := http.NewRequest("POST", "http://a/", strings.NewReader(text))
			r.Header.Set("Idempotency-Key", "1")
			resp, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		if want := time.Duration(3*1512-512) * ms; s.now() != want {
			t.Errorf("three bodies took %v, want %v", s.now(), want)
		}

		// Cancelled while it waits for bytes.
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		begin := time.Now()
		r, _ := http.NewRequestWithContext(ctx, "POST", "http://a/", strings.NewReader(strings.Repeat("x", 1e6)))
		if _, err := client.Do(r); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 5*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		wantIdle(t, "bandwidth", tr.Upstream("http://a"))
		if s := tr.Upstream("http://a").bandwidth.line.stats(); s.Waiting != 0 {
			t.Errorf("%d readers are left", s.Waiting)
		}
	})
}

func TestTransportKeepsUpstreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &Transport{Limits: Limits{InFlight: 1}}
		kept := func() int {
			tr.mu.Lock()
			defer tr.mu.Unlock()
			return len(tr.mu.upstreams)
		}
		// The very first, and one of no name, are in use or paused.
		busy, nameless, paused, idle := tr.Upstream("busy"), tr.Upstream(""), tr.Upstream("paused"), tr.Upstream("idle")
		p, _ := busy.Acquire(t.Context(), 1)
		q, _ := nameless.Acquire(t.Context(), 1)
		paused.Pause(time.Now().Add(time.Minute), "test")
		for i := range 1200 {
			tr.Upstream(strconv.Itoa(i))
		}
		if kept() != 1024 {
			t.Errorf("%d are kept", kept())
		}
		if tr.Upstream("busy") != busy || tr.Upstream("") != nameless || tr.Upstream("paused") != paused {
			t.Error("one that was busy or paused was dropped")
		}
		if recent := tr.Upstream("1199"); recent != tr.Upstream("1199") {
			t.Error("the latest was dropped")
		}
		if tr.Upstream("idle") == idle {
			t.Error("the one idle longest was kept")
		}
		p.Release()
		q.Release()
		time.Sleep(time.Hour)
		for i := range 1024 {
			tr.Upstream("new" + strconv.Itoa(i))
		}
		if tr.Upstream("busy") == busy || tr.Upstream("") == nameless || tr.Upstream("paused") == paused {
			t.Error("one that was long idle was kept")
		}

		// More than that, when all are in use; not for longer than they are.
		var permits []*Permit
		for i := range 1500 {
			p, _ := tr.Upstream("used"+strconv.Itoa(i)).Acquire(t.Context(), 1)
			permits = append(permits, p)
		}
		if kept() != 1500 {
			t.Errorf("%d are kept, want the 1500 in use", kept())
		}
		for _, p := range permits {
			p.Release()
		}
		tr.Upstream("one more")
		if kept() != 1024 {
			t.Errorf("%d are kept", kept())
		}
	})
}

// As many upstreams are kept as were asked for.
func TestTransportMaxUpstreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct{ most, want int }{{0, 1024}, {-1, 1024}, {3, 3}, {2000, 2000}} {
			tr := &Transport{MaxUpstreams: c.most}
			for i := range 3000 {
				tr.Upstream(strconv.Itoa(i))
			}
			if n := len(tr.mu.upstreams); n != c.want {
				t.Errorf("%d of %d are kept", n, c.most)
			}
		}
	})
}

// An upstream that has something to remember is kept: tokens that it gave out lately, and limits
// that were set while it was in use.
func TestTransportKeepsWhatItWouldForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := Limits{Rate: 0.1, Burst: 2}
		tr := &Transport{Limits: limits}
		used, set := tr.Upstream("used"), tr.Upstream("set")
		p, err := used.Acquire(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		p.Release()
		if err := set.SetLimits(Limits{Rate: 0.2, Burst: 2}); err != nil {
			t.Fatal(err)
		}
		n := 0
		flood := func() {
			for range 1100 {
				n++
				tr.Upstream(strconv.Itoa(n))
			}
		}
		time.Sleep(10*time.Second - 1)
		flood()
		if tr.Upstream("used") != used {
			t.Error("one whose bucket is not full was dropped")
		}
		time.Sleep(time.Hour)
		flood()
		if tr.Upstream("set") != set {
			t.Error("one with limits of its own was dropped")
		}
		if tr.Upstream("used") == used {
			t.Error("one whose bucket is full was kept")
		}
		if err := set.SetLimits(limits); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		flood()
		if tr.Upstream("set") == set {
			t.Error("one whose limits are those of all again was kept")
		}
	})
}

// An upstream is not dropped while a request is on its way to it.
func TestTransportKeepsTheNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		var sent []time.Duration
		tr := &Transport{Limits: Limits{Rate: 0.01, InFlight: 1}, Base: roundTripper(func(*http.Request) (*http.Response, error) {
			sent = append(sent, c.now())
			return answerWith(200), nil
		})}
		n := 0
		tr.Weight = func(*http.Request) int {
			for range defaultUpstreams { // as other goroutines might
				n++
				tr.Upstream(strconv.Itoa(n))
			}
			return 1
		}
		for i := range defaultUpstreams {
			tr.Upstream("busy"+strconv.Itoa(i)).Acquire(t.Context(), 1)
		}
		for range 3 {
			get(t, &http.Client{Transport: tr}, "http://tenant/")
		}
		if want := []time.Duration{0, 100 * time.Second, 200 * time.Second}; !slices.Equal(sent, want) {
			t.Errorf("sent at %v, want %v", sent, want)
		}
	})
}

// A LimitsFor that takes its time holds up only requests that need its answer, and it may use the
// Transport.
func TestTransportSlowLimitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, ok)
		tr := &Transport{Base: s.base}
		tr.LimitsFor = func(key string) Limits {
			if key == "http://new" {
				tr.Upstream("http://known").Stats()
				time.Sleep(2 * time.Second)
			}
			return Limits{InFlight: 1}
		}
		client := &http.Client{Transport: tr}
		get(t, client, "http://known/")
		var group sync.WaitGroup
		for range 2 {
			group.Go(func() { get(t, client, "http://new/new") })
		}
		s.at(time.Second)
		get(t, client, "http://known/known")
		group.Wait()
		s.want(t, "/known", time.Second)
		s.want(t, "/new", 2*time.Second, 2*time.Second)
		if st := tr.Upstream("http://new").Stats(); st.Sent != 2 || st.MaxInFlight != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// A default transport that somebody has replaced is used as it is.
func TestTransportReplacedDefault(t *testing.T) {
	defer func(d http.RoundTripper) { http.DefaultTransport = d }(http.DefaultTransport)
	mock := 0
	http.DefaultTransport = roundTripper(func(*http.Request) (*http.Response, error) {
		mock++
		return answerWith(200), nil
	})
	tr := &Transport{}
	get(t, &http.Client{Transport: tr}, "http://mock.invalid/")
	tr.CloseIdleConnections()
	if mock != 1 {
		t.Errorf("%d requests reached it", mock)
	}
}

// What answers, or their lack, tell about the server.
func TestTransportOutcomes(t *testing.T) {
	dial := func(err error) error { return &net.OpError{Op: "dial", Err: err} }
	read := func(err error) error { return &net.OpError{Op: "read", Err: err} }
	for _, test := range []struct {
		resp *http.Response
		err  error
		want Signal
	}{
		{answerWith(200), nil, SignalSuccess},
		{answerWith(201), nil, SignalSuccess},
		{answerWith(304), nil, SignalSuccess},
		{answerWith(400), nil, SignalAnswered},
		{answerWith(408), nil, SignalAnswered},
		{answerWith(429), nil, SignalThrottled},
		{answerWith(403, "Retry-After", "1"), nil, SignalThrottled},
		{answerWith(403), nil, SignalAnswered},
		{answerWith(404), nil, SignalAnswered},
		{answerWith(409, "Retry-After", "1"), nil, SignalAnswered},
		{answerWith(413, "Retry-After", "1"), nil, SignalAnswered},
		{answerWith(501, "Retry-After", "1"), nil, SignalAnswered},
		{answerWith(423, "Retry-After", "1"), nil, SignalThrottled},
		{answerWith(500, "Retry-After", "1"), nil, SignalThrottled},
		{answerWith(504, "Retry-After", "1"), nil, SignalThrottled},
		{answerWith(509, "Retry-After", "1"), nil, SignalOverloaded},
		{answerWith(529, "Retry-After", "1"), nil, SignalOverloaded},
		{answerWith(501), nil, SignalAnswered},
		{answerWith(500), nil, SignalFailed},
		{answerWith(502), nil, SignalOverloaded},
		{answerWith(505), nil, SignalAnswered},
		{answerWith(507), nil, SignalAnswered},
		{answerWith(511), nil, SignalAnswered},
		{answerWith(512), nil, SignalFailed},
		{answerWith(524), nil, SignalFailed},
		{answerWith(599), nil, SignalFailed},
		{answerWith(509), nil, SignalOverloaded},
		{answerWith(529), nil, SignalOverloaded},
		{answerWith(503), nil, SignalOverloaded},
		{answerWith(503, "Retry-After", "1"), nil, SignalOverloaded},
		{answerWith(504), nil, SignalTimedOut},
		{nil, dial(syscall.ECONNREFUSED), SignalOverloaded},
		{nil, dial(os.ErrDeadlineExceeded), SignalOverloaded},
		{nil, read(syscall.ECONNRESET), SignalOverloaded},
		{nil, read(os.ErrDeadlineExceeded), SignalTimedOut},
		{nil, read(&os.SyscallError{Syscall: "wsarecv", Err: syscall.Errno(10054)}), SignalOverloaded}, // as Windows has it
		{nil, &net.OpError{Op: "write", Err: &os.SyscallError{Syscall: "wsasend", Err: syscall.Errno(10053)}}, SignalOverloaded},
		{nil, read(net.ErrClosed), SignalIgnored}, // we closed it
		{nil, io.EOF, SignalOverloaded},
		{nil, io.ErrUnexpectedEOF, SignalOverloaded},
		{nil, errors.New("certificate"), SignalIgnored},
		{nil, dial(&net.DNSError{IsNotFound: true}), SignalOverloaded},
		{nil, &net.DNSError{IsTemporary: true}, SignalOverloaded},
		{nil, dial(os.NewSyscallError("socket", syscall.EMFILE)), SignalOverloaded},
		{nil, proxyRefusal(502), SignalFailed},
		{nil, proxyRefusal(429), SignalFailed},
		{nil, proxyRefusal(407), SignalAnswered},
		{nil, &net.OpError{Op: "remote error", Err: tls.AlertError(40)}, SignalFailed},
	} {
		var ended Event
		tr := &Transport{
			Base:    roundTripper(func(*http.Request) (*http.Response, error) { return test.resp, test.err }),
			Observe: func(e Event) { ended = e },
		}
		resp, err := tr.RoundTrip(httptest.NewRequest("GET", "http://a/", nil))
		if err != test.err || resp != test.resp {
			t.Errorf("%v, %v; want what the base returned", resp, err)
		}
		if ended.Kind != EventEnded || ended.Signal != test.want || ended.Err != test.err || test.resp != nil && ended.Status != test.resp.StatusCode {
			t.Errorf("%v, %v: %+v, want %v", test.resp, test.err, ended, test.want)
		}
		if resp != nil {
			resp.Body.Close()
		}
		u := tr.Upstream("http://a")
		s, want := u.Stats(), [len(adaptive.Signals)]int64{}
		want[test.want] = 1
		if got := [len(adaptive.Signals)]int64{s.Unreported, want[SignalIgnored], s.Succeeded, s.Throttled, s.Overloaded, s.TimedOut, want[SignalAnswered], s.Failed}; got != want {
			t.Errorf("%v: counted %v, want %v", test.want, got, want)
		}
		wantNone(t, u)
	}
}

// A deadline of the caller's is a timeout of the server where it passed in flight.
func TestTransportDeadlines(t *testing.T) {
	for _, test := range []struct {
		name    string
		latency time.Duration // of the request before; 0: there was none
		wait    time.Duration // in the queue
		end     time.Duration // of the request's context, from the start
		cancel  bool          // it ends by a cancellation
		client  bool          // it is http.Client's timeout
		limits  Limits
		want    Signal
	}{
		{"beyond four times the latency", 100 * ms, 0, 401 * ms, false, false, Limits{}, SignalTimedOut},
		{"http.Client.Timeout", 100 * ms, 0, 401 * ms, false, true, Limits{}, SignalTimedOut},
		{"cancelled", 100 * ms, 0, time.Hour, true, false, Limits{}, SignalIgnored},
		{"within four times the latency", 100 * ms, 0, 400 * ms, false, false, Limits{}, SignalIgnored},
		{"most of it in the queue", 100 * ms, time.Minute, time.Minute + 400*ms, false, false, Limits{}, SignalIgnored},
		{"no latency is known", 0, 0, ms, false, false, Limits{}, SignalTimedOut},
		{"no latency is known, http.Client.Timeout", 0, 0, ms, false, true, Limits{}, SignalTimedOut},
		{"no latency is known, half of it in the queue", 0, time.Second, 2 * time.Second, false, false, Limits{}, SignalIgnored},
		{"no latency is known, less in the queue", 0, time.Second, 2*time.Second + 1, false, false, Limits{}, SignalTimedOut},
		{"our bandwidth", 100 * ms, 0, time.Minute, false, false, Limits{Bandwidth: 1}, SignalIgnored},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/first" {
						time.Sleep(test.latency)
						return
					}
					io.Copy(io.Discard, r.Body)
					<-r.Context().Done()
				})
				var ended Event
				tr := &Transport{Base: s.base, Limits: test.limits, Observe: func(e Event) {
					if e.Kind == EventEnded {
						ended = e
					}
				}}
				client := &http.Client{Transport: tr}
				u := tr.Upstream("http://a")
				if test.latency > 0 {
					get(t, client, "http://a/first")
				}
				if test.wait > 0 {
					u.Pause(time.Now().Add(test.wait), "test")
				}
				ctx, cancel := context.WithCancel(t.Context())
				switch {
				case test.client:
					client.Timeout = test.end
				case test.cancel:
					time.AfterFunc(test.end, cancel)
				default:
					ctx, cancel = context.WithTimeout(ctx, test.end)
				}
				defer cancel()
				r, _ := http.NewRequestWithContext(ctx, "PUT", "http://a/", strings.NewReader(strings.Repeat("x", 1000)))
				if _, err := client.Do(r); err == nil {
					t.Error("no error")
				}
				if ended.Signal != test.want {
					t.Errorf("%v after %v, want %v", ended.Signal, ended.Latency, test.want)
				}
				wantIdle(t, test.name, u)
			})
		})
	}
}

// A server that falls silent gets a probe now and then, where only http.Client has a timeout as
// well, and goes on at full pace when it is back.
func TestTransportSilentServer(t *testing.T) {
	for _, connected := range []bool{true, false} {
		t.Run(fmt.Sprintf("connected=%v", connected), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const from, to = 30 * time.Second, 10*time.Minute + 30*time.Second
				c := newClock()
				dead, after := 0, 0
				var mu sync.Mutex
				tr := &Transport{Base: roundTripper(func(r *http.Request) (*http.Response, error) {
					mu.Lock()
					silent := c.now() >= from && c.now() < to
					if silent {
						dead++
					} else if c.now() >= to+15*time.Second {
						after++
					}
					mu.Unlock()
					if silent {
						if connected {
							trace := httptrace.ContextClientTrace(r.Context())
							trace.GotConn(httptrace.GotConnInfo{})
						}
						<-r.Context().Done()
						return nil, context.Cause(r.Context())
					}
					time.Sleep(50 * ms)
					return answerWith(200), nil
				})}
				client := &http.Client{Transport: tr, Timeout: 5 * time.Second}
				ctx, cancel := context.WithCancel(t.Context())
				var group sync.WaitGroup
				for range 64 {
					group.Go(func() {
						for ctx.Err() == nil {
							r, _ := http.NewRequestWithContext(ctx, "GET", "http://a/", nil)
							if resp, err := client.Do(r); err == nil {
								resp.Body.Close()
							}
						}
					})
				}
				c.at(to - 1)
				if s := tr.Upstream("http://a").Stats(); s.Phase != PhaseDown || s.TimedOut < 60 {
					t.Errorf("%+v", s)
				}
				c.at(to + 25*time.Second)
				cancel()
				group.Wait()
				if dead > 120 {
					t.Errorf("%d requests to a silent server", dead)
				}
				if after < 10*64*20*8/10 {
					t.Errorf("%d requests from 15 s to 25 s after its end", after)
				}
			})
		})
	}
}

// What ends while the answer is being read says nothing about the server, which answered in time.
func TestTransportDeadlineOfABody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		})
		tr := &Transport{Base: s.base}
		client := &http.Client{Transport: tr, Timeout: time.Minute}
		resp, err := client.Get("http://a/")
		if err != nil {
			t.Fatal(err)
		}
		var timeout net.Error
		if _, err := io.ReadAll(resp.Body); !errors.As(err, &timeout) || !timeout.Timeout() || s.now() != time.Minute {
			t.Errorf("%v at %v", err, s.now())
		}
		resp.Body.Close()
		u := tr.Upstream("http://a")
		wantIdle(t, "in the end", u)
		if s := u.Stats(); s.Succeeded != 1 || s.TimedOut != 0 || s.Phase != PhaseStarting {
			t.Errorf("%+v", s)
		}
	})
}

// That a connection which was idle for long ends as it is used again says nothing about the server,
// unless it had begun to answer.
func TestTransportIdleConnectionLost(t *testing.T) {
	for _, test := range []struct {
		name  string
		first bool          // a connection is kept
		idle  time.Duration // for so long
		path  string
		want  Signal
	}{
		{"fresh", false, 0, "/drop", SignalOverloaded},
		{"busy", true, time.Second - 1, "/drop", SignalOverloaded},
		{"idle", true, time.Second, "/drop", SignalIgnored},
		{"idle, half an answer", true, time.Second, "/half", SignalOverloaded},
		{"idle, a whole one", true, time.Second, "/503", SignalOverloaded},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
					switch r.URL.Path {
					case "/drop":
						panic(http.ErrAbortHandler)
					case "/half":
						conn, _, _ := w.(http.Hijacker).Hijack()
						io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
						conn.Close()
					case "/503":
						w.WriteHeader(503)
					}
				})
				var ended Event
				tr := &Transport{Base: s.base, Observe: func(e Event) {
					if e.Kind == EventEnded {
						ended = e
					}
				}}
				client := &http.Client{Transport: tr}
				if test.first {
					get(t, client, "http://a/")
				}
				time.Sleep(test.idle)
				if resp, err := client.Post("http://a"+test.path, "", nil); err == nil {
					resp.Body.Close()
				}
				if ended.Signal != test.want {
					t.Errorf("%v: %v, want %v", ended.Err, ended.Signal, test.want)
				}
			})
		})
	}
}

type proxyRefusal int

func (proxyRefusal) Error() string      { return "refused" }
func (e proxyRefusal) ProxyStatus() int { return int(e) }

func wantNone(t *testing.T, u *Upstream) {
	t.Helper()
	if n := held(u); n != 0 {
		t.Errorf("%d permits held", n)
	}
}

func TestTransportEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &Transport{Limits: Limits{Rate: 10}}
		var events []Event
		tr.Observe = func(e Event) {
			tr.Upstream(e.Key).Stats() // no lock is held
			e.Until = e.Until.Round(0)
			events = append(events, e)
		}
		tr.Base = roundTripper(func(r *http.Request) (*http.Response, error) {
			time.Sleep(30 * ms)
			return answerWith(429, "Retry-After", "2", "RateLimit", "?!"), nil
		})
		c := newClock()
		r := httptest.NewRequest("GET", "http://a/", nil)
		for range 2 {
			resp, err := tr.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		}
		want := []Event{
			{Kind: EventSent, Key: "http://a", Request: r, Token: c.time(0)},
			{Kind: EventPaused, Key: "http://a", Request: r, Until: c.time(2030 * ms), Source: "retry-after"},
			{Kind: EventEnded, Key: "http://a", Request: r, Status: 429, Signal: SignalThrottled, Latency: 30 * ms, Malformed: true},
			{Kind: EventSent, Key: "http://a", Request: r, Waited: 2 * time.Second, WaitedFor: Waited{CoolDown: 2 * time.Second}, Token: c.time(2030 * ms)},
			{Kind: EventPaused, Key: "http://a", Request: r, Until: c.time(4060 * ms), Source: "retry-after"},
			{Kind: EventChanged, Key: "http://a", Request: r, Phase: PhaseHoldingBack, Limit: 256, Rate: 9.85, Reason: "trim"},
			{Kind: EventEnded, Key: "http://a", Request: r, Status: 429, Signal: SignalThrottled, Latency: 30 * ms, Malformed: true},
		}
		if !slices.Equal(events, want) {
			t.Errorf("got\n%+v\nwant\n%+v", events, want)
		}
	})
}

// A server that closes connections is no trouble either.
func newServer(t *testing.T, handle http.HandlerFunc) (*httptest.Server, *atomic.Int64) {
	conns := &atomic.Int64{}
	s := httptest.NewUnstartedServer(handle)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	t.Cleanup(s.Close)
	return s, conns
}

// The zero Transport works, and does not open a connection for each request as the default
// transport does with many workers.
func TestTransportZeroValueKeepsConnections(t *testing.T) {
	s, conns := newServer(t, ok)
	s.Start()
	tr := &Transport{}
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr}
	const workers, each = 64, 32
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for range each {
				get(t, client, s.URL)
			}
		})
	}
	group.Wait()
	// Some more than workers, as net/http may dial for one that then takes another's connection.
	// With the default's two idle ones it is most of the requests.
	if n := conns.Load(); n > 4*workers {
		t.Errorf("%d connections for %d requests of %d workers", n, workers*each, workers)
	}
	u := tr.Upstream(s.URL)
	if s := u.Stats(); s.Sent != workers*each || s.Succeeded != workers*each || s.MaxInFlight > workers || s.InFlight != 0 {
		t.Errorf("%+v", s)
	}
}

// HTTP/2 pays as HTTP/1.1 does, and one that is cancelled while it waits takes no other with it.
func TestTransportHTTP2(t *testing.T) {
	s, conns := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(10 * ms)
		io.WriteString(w, r.Proto)
	})
	s.EnableHTTP2 = true
	s.StartTLS()
	tr := &Transport{Base: s.Client().Transport, Timeout: time.Minute}
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr}
	get(t, client, s.URL)
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if i%2 == 0 {
				// As if it was cancelled while it waits on the connection.
				trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { cancel() }}
				ctx = httptrace.WithClientTrace(ctx, trace)
			}
			r, _ := http.NewRequestWithContext(ctx, "GET", s.URL, nil)
			resp, err := client.Do(r)
			if i%2 == 0 {
				if err == nil {
					resp.Body.Close()
				}
				return
			}
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if proto, err := io.ReadAll(resp.Body); string(proto) != "HTTP/2.0" || err != nil {
				t.Errorf("%q, %v", proto, err)
			}
		})
	}
	group.Wait()
	if conns.Load() != 1 {
		t.Errorf("%d connections", conns.Load())
	}
	wantNone(t, tr.Upstream(s.URL))
}

// Everything at once, for the race detector.
func TestTransportConcurrentUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			switch n.Add(1) % 17 {
			case 0:
				w.Header().Set("Retry-After", "1")
				w.WriteHeader(429)
			case 1:
				panic(http.ErrAbortHandler)
			}
			time.Sleep(3 * ms)
			io.WriteString(w, "ok")
		})
		var sent, ended atomic.Int64
		tr := &Transport{Base: s.base, Limits: Limits{Rate: 500, InFlight: 10, Bandwidth: 1e6}, Timeout: 50 * ms, Observe: func(e Event) {
			switch e.Kind {
			case EventSent, EventResent:
				sent.Add(1)
			case EventEnded:
				ended.Add(1)
			}
		}}
		client := &http.Client{Transport: tr}
		var group sync.WaitGroup
		for i := range 30 {
			group.Go(func() {
				for j := range 20 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(10+j*20)*ms)
					r, _ := http.NewRequestWithContext(ctx, "PUT", fmt.Sprintf("http://h%d/", i%3), strings.NewReader("body"))
					if resp, err := client.Do(r); err == nil {
						if j%3 > 0 {
							io.Copy(io.Discard, resp.Body)
						}
						resp.Body.Close()
					}
					cancel()
				}
			})
		}
		group.Go(func() {
			for i := range 100 {
				time.Sleep(7 * ms)
				u := tr.Upstream(fmt.Sprintf("http://h%d", i%3))
				u.SetLimits(Limits{Rate: 400, InFlight: 5 + i%7, Bandwidth: 1e6})
				u.Stats()
				if i%10 == 0 {
					tr.CloseIdleConnections()
					u.Resume()
				}
			}
		})
		group.Wait()
		var total int64
		for i := range 3 {
			u := tr.Upstream(fmt.Sprintf("http://h%d", i))
			wantIdle(t, "in the end", u)
			total += u.Stats().Sent
		}
		if total != sent.Load() || ended.Load() == 0 {
			t.Errorf("%d sent, %d seen", total, sent.Load())
		}
		tr.Stop(nil)
		if _, err := client.Get("http://h1/"); err == nil {
			t.Error("sent after Stop")
		}
	})
}

var _ http.RoundTripper = (*Transport)(nil)
var _ net.Error = (*TimeoutError)(nil)

// A retry above can see that a request whose context ended while it waited was not sent.
func TestTransportNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &Transport{Base: roundTripper(func(*http.Request) (*http.Response, error) {
			t.Error("it was sent")
			return nil, errors.New("sent")
		}), Limits: Limits{Rate: 1}}
		tr.Upstream("http://h").Pause(time.Now().Add(time.Minute), "test")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, "POST", "http://h/", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = tr.RoundTrip(req)
		var notBefore interface{ RetryAt() time.Time }
		if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &notBefore) || !notBefore.RetryAt().Equal(time.Now().Add(59*time.Second)) ||
			err.Error() != "throttle: not sent: context deadline exceeded in a cool-down until 2000-01-01T00:01:00Z (test)" {
			t.Errorf("%v", err)
		}
		var timeout net.Error
		if errors.As(err, &timeout) && !timeout.Timeout() {
			t.Error("a deadline is no timeout")
		}

		// When nothing but the rate is in the way, it may be tried again now.
		time.Sleep(time.Minute)
		tr.Upstream("http://h").Acquire(t.Context(), 1)
		ctx, cancel = context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		_, err = tr.RoundTrip(req.Clone(ctx))
		if !errors.As(err, &notBefore) || !notBefore.RetryAt().Equal(time.Now()) || err.Error() != "throttle: not sent: context deadline exceeded" {
			t.Errorf("%v", err)
		}
	})
}
