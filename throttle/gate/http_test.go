package gate

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/memnet"
)

// An http2Client speaks HTTP/2 without TLS to a site.
func http2Client(s *site) *http.Client {
	only := new(http.Protocols)
	only.SetUnencryptedHTTP2(true)
	s.base.Protocols = only
	return &http.Client{Transport: s.base}
}

// However a request ends, it is counted out, once, and not before.
func TestCountsOut(t *testing.T) {
	for name, test := range map[string]struct {
		http2  bool
		handle http.HandlerFunc
		client func(*testing.T, *http.Client, *Gate)
	}{
		"an answer": {handle: ok},
		"a client that vanishes in mid-body": {
			handle: func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) },
			client: vanish,
		},
		"a client that vanishes in mid-body, HTTP/2": {
			http2:  true,
			handle: func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) },
			client: vanish,
		},
		"a handler that answers in mid-body": {
			handle: func(w http.ResponseWriter, r *http.Request) {
				io.ReadFull(r.Body, make([]byte, 10))
			},
			client: upload,
		},
		"a handler that answers in mid-body, HTTP/2": {
			http2: true,
			handle: func(w http.ResponseWriter, r *http.Request) {
				io.ReadFull(r.Body, make([]byte, 10))
			},
			client: upload,
		},
		"an abort": {handle: func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "some of it")
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}},
		"an abort, HTTP/2": {http2: true,
			handle: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
		"a hijacked connection": {handle: func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			conn.Close()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &Gate{Limits: Limits{InFlight: 1}}
				var served atomic.Int32
				s := newSite(t, g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					served.Add(1)
					if s := g.Stats(); s.InFlight != 1 {
						t.Errorf("in flight %d, want 1", s.InFlight)
					}
					test.handle(w, r)
				})))
				client := &http.Client{Transport: s.base}
				if test.http2 {
					client = http2Client(s)
				}
				for range 3 { // a count that leaked would refuse the second
					if test.client != nil {
						test.client(t, client, g)
					} else if resp, err := client.Get("http://a/"); err == nil {
						io.Copy(io.Discard, resp.Body)
						resp.Body.Close()
					}
					synctest.Wait()
					if s := g.Stats(); s.InFlight != 0 {
						t.Fatalf("in flight %d afterwards", s.InFlight)
					}
				}
				if n := served.Load(); n != 3 {
					t.Errorf("served %d, want 3", n)
				}
				wantStats(t, g, Stats{Admitted: 3, Keys: 1})
			})
		})
	}
}

// Neither a panic nor the end of the goroutine keeps a place.
func TestPanic(t *testing.T) {
	g := &Gate{Limits: Limits{InFlight: 1}}
	for range 3 {
		for _, end := range []func(){func() { panic("here") }, runtime.Goexit} {
			var said any
			var group sync.WaitGroup
			group.Add(1)
			go func() {
				defer group.Done()
				defer func() { said = recover() }()
				through(g, "a", func(http.ResponseWriter, *http.Request) { end() })
			}()
			group.Wait()
			if s := g.Stats(); s.InFlight != 0 || said != nil && said != "here" {
				t.Errorf("in flight %d, panic %v", s.InFlight, said)
			}
		}
	}
	wantStats(t, g, Stats{Admitted: 6, Keys: 1})
}

// vanish sends half of a body and goes.
func vanish(t *testing.T, c *http.Client, _ *Gate) {
	ctx, cancel := context.WithCancel(context.Background())
	body, more := io.Pipe()
	req, err := http.NewRequestWithContext(ctx, "PUT", "http://a/", body)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = 1000
	go func() {
		more.Write(make([]byte, 500))
		time.Sleep(time.Second)
		cancel()
		more.CloseWithError(errors.New("gone"))
	}()
	if resp, err := c.Do(req); err == nil {
		resp.Body.Close()
		t.Error("an answer to half a request")
	}
}

// upload sends a body that goes on for long after the handler has returned.
func upload(t *testing.T, c *http.Client, g *Gate) {
	body, more := io.Pipe()
	go func() {
		defer more.Close()
		more.Write(make([]byte, 500))
		time.Sleep(time.Second)
		if n := g.Stats().InFlight; n != 0 {
			t.Errorf("in flight %d while the body is still sent", n)
		}
	}()
	resp, err := c.Post("http://a/", "", body)
	if err != nil {
		t.Error(err)
		return
	}
	resp.Body.Close()
}

// What is admitted is in flight while the handler runs, whatever has become of the connection: here
// a WebSocket's, say.
func TestHijackedIsHeldByItsHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &Gate{Limits: Limits{InFlight: 1}}
		s := newSite(t, g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Upgrade", "echo")
			w.WriteHeader(http.StatusSwitchingProtocols)
			conn, rw, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			serve := func() {
				defer conn.Close()
				for {
					line, err := rw.ReadString('\n')
					if err != nil {
						return
					}
					rw.WriteString(strings.ToUpper(line))
					rw.Flush()
				}
			}
			if r.URL.Path == "/go" {
				go serve()
			} else {
				serve()
			}
		})))
		connect := func(path string) io.ReadWriteCloser {
			req := httptest.NewRequest("GET", "http://a"+path, nil)
			req.RequestURI = ""
			req.Header.Set("Connection", "Upgrade")
			req.Header.Set("Upgrade", "echo")
			resp, err := s.base.RoundTrip(req)
			if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
				t.Fatal(resp, err)
			}
			conn := resp.Body.(io.ReadWriteCloser)
			io.WriteString(conn, "hello\n")
			if line, err := bufio.NewReader(conn).ReadString('\n'); line != "HELLO\n" ||
				err != nil {
				t.Errorf("%q, %v", line, err)
			}
			synctest.Wait()
			return conn
		}
		conn := connect("/stay")
		if n := g.Stats().InFlight; n != 1 {
			t.Errorf("in flight %d while the handler serves the connection", n)
		}
		wantAnswer(t, through(g, "memnet:9", nil), 429, `"default-in-flight";r=0 | 1`)
		conn.Close()
		synctest.Wait()
		conn = connect("/go")
		defer conn.Close()
		if n := g.Stats().InFlight; n != 0 {
			t.Errorf("in flight %d after the handler has returned", n)
		}
	})
}

// The handler has the server's own ResponseWriter.
func TestLeavesTheResponseWriterAlone(t *testing.T) {
	g := &Gate{Limits: Limits{Rate: 1, InFlight: 1}}
	type writer struct{ http.ResponseWriter }
	var got http.ResponseWriter
	want := &writer{httptest.NewRecorder()}
	handler := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { got = w }))
	handler.ServeHTTP(want, httptest.NewRequest("GET", "/", nil))
	if got != want {
		t.Errorf("a %T", got)
	}
}

// Nobody sends the body of a request that was refused at its head.
func TestRefusesBeforeTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &Gate{Limits: Limits{Rate: 1}}
		serve := func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }
		s := newSite(t, g.Handler(http.HandlerFunc(serve)))
		s.base.ExpectContinueTimeout = time.Hour
		put := func(size int) (status int, sent int64) {
			body := bytes.NewReader(make([]byte, size))
			req, err := http.NewRequest("PUT", "http://a/", body)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Expect", "100-continue")
			resp, err := s.base.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			return resp.StatusCode, int64(size - body.Len())
		}
		if status, sent := put(1 << 20); status != 200 || sent != 1<<20 {
			t.Errorf("admitted: %d after %d bytes", status, sent)
		}
		for _, size := range []int{100, 1 << 20} {
			if status, sent := put(size); status != 429 || sent != 0 {
				t.Errorf("refused: %d after %d of %d bytes", status, sent, size)
			}
		}
		if now := s.now(); now != 0 {
			t.Errorf("it took %v", now)
		}
	})
}

// Without Expect a short body is read by net/http, and the connection lives on.
func TestRefusalKeepsTheConnection(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			g := &Gate{Limits: Limits{Rate: 1}}
			s := newSite(t, g.Handler(http.HandlerFunc(ok)))
			client := &http.Client{Transport: s.base}
			if http2 {
				client = http2Client(s)
			}
			dial := s.base.DialContext
			dialled := 0
			s.base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				dialled++
				return dial(ctx, network, addr)
			}
			for i := range 5 {
				resp, err := client.Post("http://a/", "", bytes.NewReader(make([]byte, 200<<10)))
				if err != nil {
					t.Fatal(err)
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if want := 429; i > 0 && resp.StatusCode != want {
					t.Errorf("%d, want %d", resp.StatusCode, want)
				}
			}
			if dialled != 1 {
				t.Errorf("%d connections, want 1 (HTTP/2: %v)", dialled, http2)
			}
		})
	}
}

// Over HTTP/2 many requests share a connection, and the gate counts requests.
func TestHTTP2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &Gate{Limits: Limits{InFlight: 3}}
		s := newSite(t, g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ProtoMajor != 2 {
				t.Error(r.Proto)
			}
			time.Sleep(time.Second)
			ok(w, r)
		})))
		client := http2Client(s)
		var statuses [600]atomic.Int32
		var group sync.WaitGroup
		for range 5 {
			group.Go(func() {
				resp, err := client.Get("http://a/")
				if err != nil {
					t.Error(err)
					return
				}
				resp.Body.Close()
				statuses[resp.StatusCode].Add(1)
			})
		}
		group.Wait()
		synctest.Wait()
		if served, refused := statuses[200].Load(), statuses[429].Load(); served != 3 ||
			refused != 2 {
			t.Errorf("%d served and %d refused, want 3 and 2", served, refused)
		}
		wantStats(t, g, Stats{Admitted: 3, RefusedByInFlight: 2, Keys: 1})
	})
}

// The same over TLS, sockets and the real clock: every request is counted out, whatever the clients
// and the handler do.
func TestUnderAbuse(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		g := &Gate{Limits: Limits{InFlight: 5}}
		var most, now atomic.Int32
		gated := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n := now.Add(1)
			defer now.Add(-1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			time.Sleep(time.Millisecond) // so that they meet
			switch r.URL.Path {
			case "/abort":
				panic(http.ErrAbortHandler)
			case "/hijack":
				if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
					conn.Close()
				}
			case "/early":
				w.WriteHeader(http.StatusTeapot)
			default:
				io.Copy(w, r.Body)
			}
		}))
		// A server does not wait for handlers that hijack, and one of HTTP/2 may begin a handler
		// after Close: such a late one waits for what is looked at.
		var handlers sync.RWMutex
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			handlers.RLock()
			defer handlers.RUnlock()
			gated.ServeHTTP(w, r)
		}))
		server.EnableHTTP2 = http2
		server.StartTLS()
		client := server.Client()
		var group sync.WaitGroup
		for i := range 20 {
			group.Go(func() {
				for j := range 10 {
					ctx, cancel := context.WithCancel(context.Background())
					body := io.Reader(strings.NewReader(strings.Repeat("x", 100_000)))
					if (i+j)%3 == 0 {
						body = &leaving{r: body, leave: cancel}
					}
					path := []string{"/abort", "/hijack", "/early", "/echo"}[j%4]
					if req, err := http.NewRequestWithContext(ctx, "PUT", server.URL+path,
						body); err != nil {
						t.Error(err)
					} else if resp, err := client.Do(req); err == nil {
						io.Copy(io.Discard, resp.Body)
						resp.Body.Close()
					}
					cancel()
				}
			})
		}
		group.Wait()
		client.CloseIdleConnections()
		server.Close()
		handlers.Lock()
		s := g.Stats()
		handlers.Unlock()
		if s.InFlight != 0 || s.Admitted == 0 || most.Load() > 5 {
			t.Errorf("HTTP/2 %v: %+v, at most %d at once", http2, s, most.Load())
		}
	}
}

// leaving is a body whose sender goes in the middle.
type leaving struct {
	r     io.Reader
	leave func()
	n     int
}

func (l *leaving) Read(p []byte) (int, error) {
	n, err := l.r.Read(p[:min(len(p), 10_000)])
	if l.n += n; l.n > 50_000 {
		l.leave()
		return 0, errors.New("gone")
	}
	return n, err
}

// Before it is written out, a refusal of a long body waits for nothing.
func TestRefusesALongBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := memnet.Listen()
		g := &Gate{Limits: Limits{Rate: 1}}
		server := &http.Server{Handler: g.Handler(http.HandlerFunc(ok))}
		go server.Serve(l)
		defer func() { server.Close(); time.Sleep(time.Second) }()
		through(g, "memnet:1", nil)
		conn, err := l.DialContext(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		io.WriteString(conn, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nsome")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		wantAnswer(t, resp, 429, `"default";r=0;t=1 | 1`)
		if !resp.Close {
			t.Error("the connection is kept, though nobody reads the body")
		}
	})
}
