package relay

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/test"
	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
)

// What a client sends arrives as it was, but for what is about its connection, and so does the
// answer.
func TestPassesOn(t *testing.T) {
	handle := func(rw http.ResponseWriter, req *http.Request) {
		text, _ := io.ReadAll(req.Body)
		rw.Header().Set("Trailer", "X-Sum")
		rw.Header().Set("X-Kept", "1")
		rw.Header().Set("Connection", "X-Hop")
		rw.Header().Set("X-Hop", "1")
		rw.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(rw, "%s %s|%s|%s|%s|%s|%s|%s", req.Host, req.Header.Get("Via"), text,
			req.Header.Get("X-Hop"), req.Header.Get("User-Agent"),
			req.Header.Get("X-Forwarded-For"), req.Header.Get("X-Penstock-Client"),
			req.Header.Get("Authorization"))
		rw.Header().Set("X-Sum", "sum")
	}
	o := Options{Header: http.Header{"Authorization": {"Bearer sesame"}}}
	start(t, o, handle, func(w *world) {
		req := w.request("PATCH", "/a%2Fb/%C3%BC?x=%zz&y;z", "body")
		req.Header = http.Header{"Connection": {"X-Hop"}, "X-Hop": {"1"}, "User-Agent": {"me/1"},
			"X-Forwarded-For": {"6.6.6.6"}, "X-Penstock-Client": {"night"}}
		a := w.do(req)
		if want := "target 1.1 penstock|body||me/1|||Bearer sesame"; a.body != want ||
			a.status != http.StatusTeapot {
			t.Errorf("%d %q, want %q", a.status, a.body, want)
		}
		w.want("PATCH /base/a%2Fb/%C3%BC?from=relay&x=%zz&y;z 0s")
		if via := a.header.Get("Via"); via != "1.1 penstock" || a.header.Get("X-Kept") != "1" ||
			a.header.Get("X-Hop") != "" {
			t.Errorf("the answer has %v", a.header)
		}
		if timing := a.header.Get("Server-Timing"); !strings.HasPrefix(timing, "queue;dur=0.0") ||
			!strings.Contains(timing, `attempts;desc="1", upstream;dur=0.0`) {
			t.Errorf("Server-Timing: %s", timing)
		}
	})
}

// Interim answers, pieces of a stream and trailers come as they are sent.
func TestStreams(t *testing.T) {
	handle := func(rw http.ResponseWriter, req *http.Request) {
		rw.Header().Set("Link", "</style.css>; rel=preload")
		rw.WriteHeader(http.StatusEarlyHints)
		rw.Header().Set("Trailer", "X-Sum")
		for range 3 {
			time.Sleep(time.Second)
			io.WriteString(rw, "piece ")
			_ = http.NewResponseController(rw).Flush()
		}
		rw.Header().Set("X-Sum", "sum")
		rw.Header().Set(http.TrailerPrefix+"X-Late", "late")
	}
	for _, method := range []string{"GET", "PUT"} {
		start(t, Options{}, handle, func(w *world) {
			var hints []string
			trace := &httptrace.ClientTrace{
				Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
					hints = append(hints, fmt.Sprint(code, h["Link"], time.Since(w.begin)))
					return nil
				}}
			req := w.request(method, "/x", "")
			ctx := httptrace.WithClientTrace(w.t.Context(), trace)
			resp, err := w.client.Do(req.WithContext(ctx))
			test.OK(w.t, err)
			defer resp.Body.Close()
			var pieces []string
			for p := make([]byte, 100); ; {
				n, err := resp.Body.Read(p)
				if n > 0 {
					pieces = append(pieces, string(p[:n])+time.Since(w.begin).String())
				}
				if err != nil {
					break
				}
			}
			if got := strings.Join(hints, ";"); got != "103 [</style.css>; rel=preload] 0s" {
				t.Errorf("%s: interim answers %s", method, got)
			}
			if got := strings.Join(pieces, ","); got != "piece 1s,piece 2s,piece 3s" {
				t.Errorf("%s: pieces %s", method, got)
			}
			if h := resp.Trailer; h.Get("X-Sum") != "sum" || h.Get("X-Late") != "late" {
				t.Errorf("%s: trailers %v", method, h)
			}
		})
	}
}

// Pieces of an answer whose length is known come as they are sent, too, but for a few milliseconds
// in which others may follow.
func TestPieces(t *testing.T) {
	handle := func(rw http.ResponseWriter, req *http.Request) {
		rw.Header().Set("Content-Length", "3")
		for range 3 {
			io.WriteString(rw, "x")
			_ = http.NewResponseController(rw).Flush()
			time.Sleep(time.Second)
		}
	}
	start(t, Options{}, handle, func(w *world) {
		resp, err := w.client.Do(w.request("GET", "/x", ""))
		test.OK(w.t, err)
		defer resp.Body.Close()
		var pieces []string
		for p := make([]byte, 10); err == nil; {
			var n int
			if n, err = resp.Body.Read(p); n > 0 {
				pieces = append(pieces, string(p[:n])+time.Since(w.begin).String())
			}
		}
		if got := strings.Join(pieces, ","); got != "x5ms,x1.005s,x2s" {
			t.Errorf("pieces %s", got)
		}
	})
}

// A target that sends rubbish is a problem of the gateway; a client that reads nothing is given up.
func TestRubbish(t *testing.T) {
	handle := func(rw http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(rw).Hijack()
		if err == nil {
			fmt.Fprint(conn, "HTTP/9 what?\r\n\r\n")
			conn.Close()
		}
	}
	start(t, Options{Attempts: 2, GiveUpAfter: time.Second}, handle, func(w *world) {
		for method, want := range map[string]retry.Outcome{
			"GET": retry.Failed, "POST": retry.Unknown,
		} {
			if a := w.send(method, "/x", ""); a.Status != 502 || a.Outcome != want {
				t.Errorf("%s: %d %s", method, a.status, a.body)
			}
		}
	})
	slow := func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Length", "1000000000")
		for {
			if _, err := rw.Write(make([]byte, 32<<10)); err != nil {
				return
			}
		}
	}
	start(t, Options{Stall: 5 * time.Second}, slow, func(w *world) {
		// Else it holds a mutex while it writes, for which fake time does not pass.
		w.relay.proxy.FlushInterval = 0
		dial := w.client.Transport.(*http.Transport).DialContext
		conn, err := dial(w.t.Context(), "tcp", "x")
		test.OK(w.t, err)
		fmt.Fprint(conn, "GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")
		time.Sleep(4 * time.Second)
		if n := w.relay.Stats(time.Now()).Active; n != 1 {
			t.Errorf("%d are active", n)
		}
		time.Sleep(2 * time.Second)
		if n := w.relay.Stats(time.Now()).Active; n != 0 {
			t.Errorf("%d are still active", n)
		}
		conn.Close()
	})
}

// With several targets the first segment of a path names one.
func TestTargets(t *testing.T) {
	handle := func(rw http.ResponseWriter, req *http.Request) { io.WriteString(rw, req.Host) }
	start(t, Options{Targets: []Target{
		{"a", parse(t, "http://one/")}, {"b", parse(t, "http://two/v2/")},
	}}, handle, func(w *world) {
		for path, want := range map[string]string{
			"/a/x/y": "one", "/b/x?q": "two", "/b": "two", "/a/": "one",
		} {
			if a := w.send("GET", path, ""); a.body != want {
				t.Errorf("%s: %d %s", path, a.status, a.body)
			}
		}
		for _, path := range []string{"/b/../x", "/b/%2e%2E/x", "/a/x/.."} {
			if a := w.send("GET", path, ""); a.Status != 400 || !strings.Contains(a.Detail, "..") {
				t.Errorf("%s: %d %s", path, a.status, a.body)
			}
		}
		for _, path := range []string{"/c/x", "/", "/A/x"} {
			if a := w.send("GET", path, ""); a.Status != 404 ||
				!strings.Contains(a.Detail, "/a/, /b/") {
				t.Errorf("%s: %d %s", path, a.status, a.body)
			}
		}
	})
}

// What is no request for the relay, or cannot be passed on, is refused in a sentence.
func TestRefuses(t *testing.T) {
	start(t, Options{Hosts: []string{"Relay.internal"}}, ok, func(w *world) {
		for _, c := range []struct {
			host   string
			header http.Header
			status int
			says   string
		}{
			{"localhost:8429", nil, 200, ""},
			{"127.0.0.1", nil, 200, ""},
			{"[::1]:8429", nil, 200, ""},
			{"relay.internal:80", nil, 200, ""},
			{"evil.example", nil, 421, "--host"},
			{"localhost.evil.example", nil, 421, `"localhost.evil.example"`},
			{"localhost", http.Header{"Connection": {"keep-alive, Upgrade"},
				"Upgrade": {"websocket"}}, 501, "WebSocket"},
			{"localhost", http.Header{"Via": {"1.1 penstock", "1.0 fred, 1.1 penstock (x)"}}, 508,
				"sends to itself"},
			{"localhost", http.Header{"Via": {"1.1 penstock, 1.1 penstock.example"}}, 200, ""},
			{"localhost", http.Header{"Sec-Fetch-Site": {"cross-site"}}, 403, "another site"},
			{"localhost", http.Header{"Connection": {"Upgrade, HTTP2-Settings"},
				"Upgrade": {"h2c"}}, 200, ""},
		} {
			req := w.request("GET", "/x", "")
			if req.Host = c.host; c.header != nil {
				req.Header = c.header
			}
			a := w.do(req)
			if a.status != c.status || !strings.Contains(a.Detail, c.says) {
				t.Errorf("%s %v: %d %s", c.host, c.header, a.status, a.body)
			}
		}
	})
}

func ok(rw http.ResponseWriter, _ *http.Request) {}

// What is refused is repeated where that is safe, and the client sees the last answer.
func TestRepeats(t *testing.T) {
	n := 0
	answers := []int{}
	handle := func(rw http.ResponseWriter, req *http.Request) {
		status := answers[min(n, len(answers)-1)]
		if n++; status == 0 {
			panic(http.ErrAbortHandler)
		}
		io.Copy(io.Discard, req.Body)
		if status == 429 || status == 503 {
			rw.Header().Set("Retry-After", "2")
		}
		rw.WriteHeader(status)
		fmt.Fprintf(rw, "answer %d", n)
	}
	long := strings.Repeat("x", 200_000)
	for _, c := range []struct {
		method, body string
		key          bool
		answers      []int
		status, sent int
		body2        string
	}{
		{"PUT", "x", false, []int{429, 201}, 201, 2, "answer 2"},
		{"POST", "x", false, []int{503, 429, 201}, 201, 3, "answer 3"},
		{"POST", long, false, []int{201}, 201, 1, "answer 1"},
		{"PUT", long, false, []int{429, 500, 201}, 201, 3, "answer 3"},
		{"GET", "", false, []int{500, 200}, 200, 2, "answer 2"},
		{"POST", "x", false, []int{500, 201}, 500, 1, "answer 1"},
		{"POST", "x", true, []int{500, 201}, 201, 2, "answer 2"},
		{"PUT", "x", false, []int{404, 201}, 404, 1, "answer 1"},
		{"PUT", "x", false, []int{0, 201}, 201, 2, "answer 2"},
		{"POST", "x", false, []int{0, 201}, 502, 1, "may have accepted"},
		{"PUT", "x", false, []int{429}, 429, 0, "answer"},
	} {
		n, answers = 0, c.answers
		name := fmt.Sprintf("%s of %d bytes, %v", c.method, len(c.body), c.answers)
		start(t, Options{Limits: throttle.Limits{InFlight: 4}}, handle, func(w *world) {
			req := w.request(c.method, "/x", c.body)
			if c.key {
				req.Header.Set("Idempotency-Key", "k")
			}
			a := w.do(req)
			if a.status != c.status || !strings.Contains(a.body, c.body2) ||
				c.sent > 0 && n != c.sent {
				t.Errorf("%s: %d %q after %d requests", name, a.status, a.body, n)
			}
			if c.status == 502 && a.Outcome != retry.Unknown {
				t.Errorf("%s: outcome %v", name, a.Outcome)
			}
		})
	}
}

// The queue is bounded in number and time, and a refused client learns when to come back.
func TestQueueIsBounded(t *testing.T) {
	o := Options{Limits: throttle.Limits{Rate: 1}, QueueRequests: 5, QueueBytes: 1000,
		QueueWait: 30 * time.Second}
	handle := func(http.ResponseWriter, *http.Request) { time.Sleep(10 * time.Millisecond) }
	start(t, o, handle, func(w *world) {
		w.send("PUT", "/x", "x")
		done := make(chan answer, 10)
		background := func(body string) {
			req := w.request("PUT", "/x", body)
			go func() { done <- w.do(req) }()
			synctest.Wait()
		}
		for range 2 {
			background("x")
		}
		req := w.request("PUT", "/x", "")
		req.Header.Set("Prefer", "respond-async, wait=1")
		if a := w.do(req); a.status != 503 || a.took != 0 || a.header.Get("Retry-After") != "2" ||
			a.Outcome != retry.Deferred {
			t.Errorf("who waits for a second: %d %s after %v", a.status, a.body, a.took)
		}
		background(strings.Repeat("x", 900))
		if a := w.send("PUT", "/x", strings.Repeat("x", 500)); a.status != 503 ||
			!strings.Contains(a.Detail, "--queue-bytes") {
			t.Errorf("bodies: %d %s", a.status, a.body)
		}
		background("x")
		background("x")
		if a := w.send("PUT", "/x", "x"); a.status != 503 ||
			!strings.Contains(a.Detail, "5 requests wait") || a.header.Get("Retry-After") == "" {
			t.Errorf("too many: %d %s", a.status, a.body)
		}
		for range 5 {
			if a := <-done; a.status != 200 {
				t.Errorf("one that was taken: %d %s", a.status, a.body)
			}
		}
		w.want("PUT /base/x?from=relay 0s", "PUT /base/x?from=relay 1s",
			"PUT /base/x?from=relay 2s", "PUT /base/x?from=relay 3s",
			"PUT /base/x?from=relay 4s", "PUT /base/x?from=relay 5s")
	})
}

// A request whose client has gone away is not sent.
func TestClientGone(t *testing.T) {
	start(t, Options{Limits: throttle.Limits{Rate: 0.1}}, ok, func(w *world) {
		w.send("PUT", "/first", "x")
		for _, body := range []string{"", "x"} {
			req := w.request("PUT", "/gone", body)
			ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
			a := w.do(req.WithContext(ctx))
			cancel()
			if a.status != 0 {
				t.Errorf("%d %s", a.status, a.body)
			}
		}
		w.send("PUT", "/last", "x")
		w.want("PUT /base/first?from=relay 0s", "PUT /base/last?from=relay 10s")
		synctest.Wait() // the last one has its answer before the relay has ended it
		if s := w.relay.Stats(time.Now()); s.Lost != 2 || s.Waiting != 0 || s.Active != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// A target that cannot be reached is a problem of the gateway, in words and without secrets.
func TestProblems(t *testing.T) {
	o := Options{Targets: []Target{{URL: parse(t, "https://target/?key=sesame")}},
		Header: http.Header{"Authorization": {"Bearer sesame-2"}}, Attempts: 1,
		GiveUpAfter: time.Second}
	start(t, o, ok, func(w *world) {
		a := w.send("PUT", "/x", "x")
		if a.Status != 502 || a.Outcome != retry.Failed || a.Detail == "" {
			t.Errorf("TLS to a server that speaks none: %d %s", a.status, a.body)
		}
		if strings.Contains(a.body+w.logged(), "sesame") {
			t.Errorf("a secret is shown: %s\n%s", a.body, w.logged())
		}
	})
}

// A client that asks before it sends is told to when its turn has come.
func TestExpectContinue(t *testing.T) {
	handle := func(rw http.ResponseWriter, req *http.Request) {
		text, _ := io.ReadAll(req.Body)
		rw.Write(text)
	}
	start(t, Options{Limits: throttle.Limits{Rate: 0.1}}, handle, func(w *world) {
		w.send("PUT", "/first", "x")
		var read time.Time
		req := w.request("PUT", "/x", "x")
		req.Body = io.NopCloser(io.MultiReader(readerFunc(func([]byte) (int, error) {
			read = time.Now()
			return 0, io.EOF
		}), strings.NewReader("asked for")))
		req.ContentLength = int64(len("asked for"))
		req.Header.Set("Expect", "100-continue")
		if a := w.do(req); a.body != "asked for" || read.Sub(w.begin) != 10*time.Second {
			t.Errorf("%d %q, sent after %v", a.status, a.body, read.Sub(w.begin))
		}
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// The fault of a client is its own: it is told, and the target is not blamed.
func TestClientFaults(t *testing.T) {
	handle := func(rw http.ResponseWriter, req *http.Request) { io.Copy(io.Discard, req.Body) }
	start(t, Options{Stall: 5 * time.Second}, handle, func(w *world) {
		for _, c := range []struct {
			name   string
			method string
			size   int
		}{{"small", "PUT", 100}, {"large", "PUT", 1 << 20}, {"large, once", "POST", 1 << 20}} {
			conn, err := w.client.Transport.(*http.Transport).DialContext(w.t.Context(), "tcp", "x")
			test.OK(t, err)
			fmt.Fprintf(conn, "%s /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\nabc",
				c.method, c.size)
			begin := time.Now()
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			test.OK(t, err)
			if resp.StatusCode != 408 || time.Since(begin) != 5*time.Second {
				t.Errorf("%s: %d after %v", c.name, resp.StatusCode, time.Since(begin))
			}
			conn.Close()
		}
		u, _ := w.relay.transport.Lookup("http://target")
		if a := w.send("PUT", "/x", "x"); a.status != 200 || u.Stats().Throttled != 0 {
			t.Errorf("afterwards %d, %+v", a.status, u.Stats())
		}
	})
}

// An answer that comes before the body does not wait for it.
func TestEarlyAnswer(t *testing.T) {
	handle := func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusTeapot) }
	start(t, Options{Stall: time.Minute}, handle, func(w *world) {
		for _, method := range []string{"PUT", "POST"} {
			dial := w.client.Transport.(*http.Transport).DialContext
			conn, err := dial(w.t.Context(), "tcp", "x")
			test.OK(t, err)
			begin := time.Now()
			fmt.Fprintf(conn, "%s /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n"+
				"\r\nabc", method)
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil || resp.StatusCode != 418 || time.Since(begin) != 0 {
				t.Errorf("%s: %v, %v after %v", method, resp, err, time.Since(begin))
			}
			conn.Close()
		}
	})
}

// The first signal lets what was accepted end, and takes nothing new.
func TestStops(t *testing.T) {
	for _, c := range []struct {
		takes, timeout time.Duration
		status         int
		ends           time.Duration
	}{
		{3 * time.Second, 5 * time.Second, 200, 3 * time.Second},
		{time.Hour, 5 * time.Second, 503, 6 * time.Second},
	} {
		handle := func(rw http.ResponseWriter, req *http.Request) {
			io.Copy(io.Discard, req.Body)
			select {
			case <-time.After(c.takes):
			case <-req.Context().Done():
			}
		}
		start(t, Options{StopTimeout: c.timeout}, handle, func(w *world) {
			done := make(chan answer)
			go func() { done <- w.send("PUT", "/long", "x") }()
			idle, err := w.client.Transport.(*http.Transport).DialContext(w.t.Context(), "tcp", "x")
			test.OK(t, err)
			time.Sleep(time.Second)
			w.stop(errors.New("interrupted"))
			synctest.Wait()
			fmt.Fprint(idle, "GET /new HTTP/1.1\r\nHost: localhost\r\n\r\n")
			resp, err := http.ReadResponse(bufio.NewReader(idle), nil)
			if err != nil || resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "5" {
				t.Errorf("a new one: %+v, %v", resp, err)
			}
			if a := <-done; a.status != c.status {
				t.Errorf("what was accepted: %d %s", a.status, a.body)
			}
			<-w.ended
			if d := time.Since(w.begin); d < c.ends || d > c.ends+time.Second {
				t.Errorf("ended after %v, want %v", d, c.ends)
			}
			idle.Close()
		})
	}
}

// Each answer says what the cache had to do with it, and where the time went.
func TestSaysWhereFrom(t *testing.T) {
	handle := func(rw http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/base/fail" {
			panic(http.ErrAbortHandler)
		}
		rw.Header().Set("Cache-Control", "max-age=10")
	}
	o := Options{CacheBytes: 1 << 20, Attempts: 1, GiveUpAfter: time.Second}
	start(t, o, handle, func(w *world) {
		const direct = `queue;dur=0.0, attempts;desc="1", upstream;dur=0.0`
		for _, c := range []struct {
			method, path                string
			after                       time.Duration
			status                      int
			cacheStatus, age, timesThat string
		}{
			{"GET", "/x", 0, 200, "penstock; fwd=uri-miss; fwd-status=200; ttl=10; stored", "",
				direct},
			{"GET", "/x", 4 * time.Second, 200, "penstock; hit; ttl=6", "4", "queue;dur=0.0"},
			{"GET", "/x", 7 * time.Second, 200, "penstock; fwd=stale; fwd-status=200; ttl=10; " +
				"stored", "", direct},
			{"PUT", "/x", 0, 200, "penstock; fwd=method; fwd-status=200", "", direct},
			{"GET", "/fail", 0, 502, "penstock; fwd=miss", "", direct},
			{"GET", "/../x", 0, 400, "", "", "queue;dur=0.0"},
		} {
			time.Sleep(c.after)
			a := w.send(c.method, c.path, "")
			h := a.header
			if a.status != c.status || h.Get("Cache-Status") != c.cacheStatus ||
				h.Get("Age") != c.age || h.Get("Server-Timing") != c.timesThat {
				t.Errorf("%s %s: %d %v", c.method, c.path, a.status, h)
			}
		}
	})
}

// A client that may not wait is served if it is its turn at once.
func TestWaitsForNothing(t *testing.T) {
	start(t, Options{Limits: throttle.Limits{Rate: 0.1}}, ok, func(w *world) {
		for _, want := range []int{200, 503} {
			req := w.request("PUT", "/x", "x")
			req.Header.Set("Prefer", "wait=0")
			req.Body = io.NopCloser(io.MultiReader(readerFunc(func([]byte) (int, error) {
				time.Sleep(time.Millisecond)
				return 0, io.EOF
			}), strings.NewReader("x")))
			if a := w.do(req); a.status != want {
				t.Errorf("%d %s, want %d", a.status, a.body, want)
			}
		}
	})
}

// OPTIONS goes no further than it may.
func TestMaxForwards(t *testing.T) {
	handle := func(rw http.ResponseWriter, req *http.Request) {
		io.WriteString(rw, req.Header.Get("Max-Forwards"))
	}
	start(t, Options{}, handle, func(w *world) {
		for _, c := range []struct {
			method, most string
			status       int
			body         string
		}{
			{"OPTIONS", "3", 200, "2"},
			{"OPTIONS", "", 200, ""},
			{"OPTIONS", "many", 200, "many"},
			{"OPTIONS", "0", 501, ""},
			{"PUT", "0", 200, "0"},
		} {
			req := w.request(c.method, "/x", "")
			if c.most != "" {
				req.Header.Set("Max-Forwards", c.most)
			}
			if a := w.do(req); a.status != c.status || a.status == 200 && a.body != c.body {
				t.Errorf("%s %q: %d %q", c.method, c.most, a.status, a.body)
			}
		}
	})
}

// A place of the target's that a client is told is one that it reaches by the relay.
func TestLocation(t *testing.T) {
	for _, row := range []struct {
		to, name   string // the target
		path       string // of the request
		says, want string
	}{
		{"http://target", "", "/a", "http://target/b?c=d#e", "/b?c=d#e"},
		{"http://target", "", "/a", "http://TARGET:80/b", "/b"},
		{"http://target", "", "/a", "/b", "/b"},
		{"http://target", "", "/a/x", "b", "b"},
		{"http://target", "", "/a", "http://target", "/"},
		{"http://target", "", "/a", "https://target/b", "https://target/b"},
		{"http://target", "", "/a", "http://other/b", "http://other/b"},
		{"http://target", "", "/a", "http://target//b", "/.//b"},
		{"http://target/base?from=us", "", "/a", "http://target/base/b?from=us&c=d", "/b?c=d"},
		{"http://target/base?from=us", "", "/a", "http://target/base/b%2Fc?from=us", "/b%2Fc"},
		{"http://target/base?from=us", "", "/a", "/base/b", "/b"},
		{"http://target/base/", "", "/a", "http://target/base/", "/"},
		{"http://target/base", "", "/a", "http://target/basement", "http://target/basement"},
		{"http://target/base", "", "/a", "/elsewhere", "/elsewhere"},
		{"http://target", "files", "/files/a", "http://target/b", "/files/b"},
		{"http://target/base", "files", "/files/a", "/base/b", "/files/b"},
		{"http://target", "", "/a", ":", ":"},
		{"http://target", "", "/a", "", ""},
	} {
		o := Options{Targets: []Target{{Name: row.name, URL: parse(t, row.to)}}}
		if row.name != "" {
			o.Targets = append(o.Targets, Target{Name: "x", URL: parse(t, "http://x")})
		}
		start(t, o, func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Location", row.says)
			rw.Header().Set("Content-Location", row.says)
			rw.WriteHeader(http.StatusCreated)
		}, func(w *world) {
			a := w.send("POST", row.path, "x")
			for _, name := range []string{"Location", "Content-Location"} {
				if got := a.header.Get(name); got != row.want {
					t.Errorf("to %s as %q: %s %q is %q, want %q", row.to, row.name, name, row.says,
						got, row.want)
				}
			}
		})
	}
}
