package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/board"
	"github.com/penstock/penstock/internal/courier"
	"github.com/penstock/penstock/internal/outbox"
	"github.com/penstock/penstock/internal/problem"
	"github.com/penstock/penstock/internal/receipt"
	"github.com/penstock/penstock/internal/test"
)

// startStored runs a test in a world whose relay has a store in dir.
func startStored(t *testing.T, dir string, o Options, handle http.HandlerFunc, do func(w *world)) {
	t.Helper()
	startLater(t, 0, dir, o, handle, do)
}

// startLater is startStored so long after the bubble's time has begun.
func startLater(t *testing.T, after time.Duration, dir string, o Options, handle http.HandlerFunc,
	do func(w *world)) {

	t.Helper()
	if o.StoreBytes == 0 {
		o.StoreBytes = 1 << 20
	}
	if o.Keep == 0 {
		o.Keep = 7 * 24 * time.Hour
	}
	startIn(t, parkFrom, o, func(o *Options) {
		time.Sleep(after)
		s, err := outbox.Open(context.Background(), outbox.Options{Dir: dir, MaxRequests: 100,
			MaxBytes: o.StoreBytes, InOrder: o.InOrder, Interrupted: courier.Interrupted})
		test.OK(t, err)
		o.Store = s
	}, handle, do)
}

func newStore(t *testing.T) string { return filepath.Join(t.TempDir(), "store") }

// later sends a request that is to be stored.
func (w *world) later(method, path, body string, header ...string) answer {
	w.t.Helper()
	req := w.request(method, path, body)
	req.Header.Set("Prefer", "respond-async")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return w.do(req)
}

// put stores a request, and returns where to ask for it.
func (w *world) put(method, path, body string, header ...string) (at string) {
	w.t.Helper()
	a := w.later(method, path, body, header...)
	if a.status != 202 {
		w.t.Fatalf("%d %s", a.status, a.body)
	}
	return a.header.Get("Location")
}

func (w *world) shown(at string) (s receipt.Receipt) {
	w.t.Helper()
	a := w.send("GET", at, "")
	if a.status != 200 {
		w.t.Fatalf("%s: %d %s", at, a.status, a.body)
	}
	test.OK(w.t, json.Unmarshal([]byte(a.body), &s))
	return s
}

// state compares what became of a request.
func (w *world) state(at string, want outbox.State) receipt.Receipt {
	w.t.Helper()
	s := w.shown(at)
	if s.State != want {
		w.t.Errorf("%s %s is %s, want %s: %s", s.Method, s.URI, s.State, want, s.Reason)
	}
	return s
}

// A request that is stored is answered at once, and delivered as a live one would be.
func TestStored(t *testing.T) {
	var got *http.Request
	var body string
	o := Options{Header: http.Header{"Authorization": {"Bearer relay"}}}
	startStored(t, newStore(t), o, func(w http.ResponseWriter, req *http.Request) {
		got = req
		text, _ := io.ReadAll(req.Body)
		body = string(text)
		w.Header().Set("Location", "http://target/base/v1/items/7")
		w.WriteHeader(201)
		io.WriteString(w, "done")
	}, func(w *world) {
		a := w.later("POST", "/v1/items?x=%2F&y", "some text", "Content-Type", "text/plain",
			"X-Penstock-Client", "nightly", "Prefer", "return=minimal, Respond-Async;x=1")
		var body1 acceptance
		test.OK(t, json.Unmarshal([]byte(a.body), &body1))
		at := a.header.Get("Location")
		if a.status != 202 || a.header.Get("Preference-Applied") != "respond-async" ||
			body1 != (acceptance{strings.TrimPrefix(at, RequestsPath), "waiting", at}) ||
			a.took != 0 {

			t.Errorf("%d %v %q after %v", a.status, a.header, a.body, a.took)
		}
		synctest.Wait()
		w.want("POST /base/v1/items?from=relay&x=%2F&y 0s")
		h := got.Header
		if body != "some text" || h.Get("Content-Type") != "text/plain" ||
			h.Get("Authorization") != "Bearer relay" || h.Get("Prefer") != "return=minimal" ||
			h.Get("Via") != "1.1 penstock" || h.Get("X-Penstock-Client") != "" ||
			got.ContentLength != 9 || got.Host != "target" {

			t.Errorf("%+v with %q", got, body)
		}
		s := w.state(at, "delivered")
		if s.Client != "nightly" || s.Attempts != 1 || s.URI != "/v1/items?x=%2F&y" ||
			s.Answer.Status != 201 || s.Answer.Body != "done" ||
			s.Answer.Headers.Get("Location") != "/v1/items/7" {

			t.Errorf("%+v", s)
		}
		if q := w.relay.State().Queue; q.Stored != 1 {
			t.Errorf("%+v", q)
		}
		if got := *w.relay.State().Stored; got != (board.Stored{Delivered: 1}) {
			t.Errorf("%+v", got)
		}
		if a := w.send("GET", RequestsPath+"1-x", ""); a.status != 404 ||
			a.Detail == "" {

			t.Errorf("unknown: %d %s", a.status, a.body)
		}
		if a := w.send("DELETE", at, ""); a.status != 409 {
			t.Errorf("withdrawn too late: %d %s", a.status, a.body)
		}
		if a := w.send("POST", at, ""); a.status != 405 || a.header.Get("Allow") == "" {
			t.Errorf("POST: %d %s", a.status, a.body)
		}
		req := w.request("GET", at, "")
		req.Host = "evil.example"
		if a := w.do(req); a.status != 421 {
			t.Errorf("another host: %d", a.status)
		}
	})
}

// What is not to be stored is refused, or served at once.
func TestNotStored(t *testing.T) {
	answers := func(w http.ResponseWriter, req *http.Request) { io.Copy(io.Discard, req.Body) }
	startStored(t, newStore(t), Options{Async: []string{"PUT"}, StoreBytes: 1000}, answers,
		func(w *world) {
			for _, c := range []struct {
				method, path, body string
				header             []string
				want               int
			}{
				{"POST", "/", "x", []string{"Authorization", "Basic eDp5"}, 400},
				{"POST", "/", "x", []string{"Cookie", "a=b"}, 400},
				{"POST", "/", "x", []string{"Proxy-Authorization", "Basic eDp5"}, 400},
				{"POST", "/", "x", []string{"X-Api-Key", "sesame"}, 400},
				{"POST", "/", "x", []string{"X-Other", "Bearer sesame"}, 400},
				{"POST", "/?access_token=sesame", "x", nil, 400},
				{"POST", "/", "x", []string{"Idempotency-Key", "k", "X-Other", "y"}, 202},
				{"POST", "/", strings.Repeat("x", 1001), nil, 413},
				{"POST", "/../x", "x", nil, 400},
				{"GET", "/", "", nil, 200},
				{"HEAD", "/", "", nil, 200},
				{"OPTIONS", "/", "", nil, 200},
				{"PUT", "/", "x", []string{"Prefer", "return=minimal"}, 202},
				{"DELETE", "/", "", []string{"Prefer", "return=minimal"}, 200},
				{"DELETE", "/", "", nil, 202},
			} {
				a := w.later(c.method, c.path, c.body, c.header...)
				if a.status != c.want || strings.Contains(a.body, "sesame") {
					t.Errorf("%s %s %v: %d %s", c.method, c.path, c.header, a.status, a.body)
				}
				if applied := a.header.Get("Preference-Applied"); (applied != "") !=
					(a.status == 202 && c.method != "PUT") {

					t.Errorf("%s %v: preference applied: %q", c.method, c.header, applied)
				}
			}
			for path, named := range map[string]string{
				"/?a=1&api_key=sesame":              `("api_key")`,
				"/?to=1&Expires=1&Signature=sesame": `("Signature")`,
			} {
				if a := w.later("POST", path, "x"); !strings.Contains(a.Detail, named) {
					t.Errorf("%s: %s", path, a.body)
				}
			}
			req := w.request("POST", "/", "")
			req.Header.Set("Prefer", "respond-async")
			req.Body = io.NopCloser(strings.NewReader(strings.Repeat("x", 1001)))
			if a := w.do(req); a.status != 413 { // without a Content-Length
				t.Errorf("too long in chunks: %d %s", a.status, a.body)
			}
		})
	start(t, Options{}, answers, func(w *world) {
		if a := w.later("POST", "/", "x"); a.status != 200 {
			t.Errorf("without a store: %d %s", a.status, a.body)
		}
		if a := w.send("GET", RequestsPath+"1-x", ""); a.status != 404 {
			t.Errorf("without a store: %d %s", a.status, a.body)
		}
	})
}

// A store that is full asks clients to come again.
func TestStoreFull(t *testing.T) {
	startStored(t, newStore(t), Options{StoreBytes: 1000},
		func(w http.ResponseWriter, req *http.Request) { w.WriteHeader(503) },
		func(w *world) {
			at := w.put("POST", "/", strings.Repeat("x", 900))
			synctest.Wait()
			want := board.Stored{Waiting: 1, Bytes: 900, Oldest: 3600}
			if got := *w.relay.storedState(w.begin.Add(time.Hour)); got != want {
				t.Errorf("%+v", got)
			}
			a := w.later("POST", "/", strings.Repeat("x", 101))
			if a.status != 503 || a.header.Get("Retry-After") != "5" ||
				!strings.Contains(a.Detail, "--store-bytes") {

				t.Errorf("%d %v %s", a.status, a.header, a.body)
			}
			test.OK(t, w.relay.Pause("", 0, "a test")) // of which nobody knows the end
			a = w.later("POST", "/", strings.Repeat("x", 101))
			if a.status != 503 || a.header.Get("Retry-After") != "5" {
				t.Errorf("paused: %d %v", a.status, a.header)
			}
			if a := w.send("DELETE", at, ""); a.status != 204 {
				t.Errorf("withdraw: %d %s", a.status, a.body)
			}
			w.put("POST", "/", strings.Repeat("x", 101))
			test.OK(t, w.relay.Resume("", "a test"))
		})
}

// What is wrong with the store is told to clients by a status that says whether to come again.
func TestStoreFaults(t *testing.T) {
	start(t, Options{}, nil, func(w *world) {
		c := &call{target: w.relay.targets[""]}
		for _, f := range []struct {
			err  error
			want int
		}{
			{&outbox.Error{Path: "x", Fault: outbox.Full, Err: syscall.ENOSPC}, 507},
			{&outbox.Error{Path: "x", Fault: outbox.Unwritten, Err: syscall.EROFS}, 507},
			{&outbox.Error{Path: "x", Fault: outbox.Meddled, Err: errors.New("replaced")}, 500},
			{outbox.ErrClosed, 503},
		} {
			p, ok := errors.AsType[*problem.Document](w.relay.notStored(c, f.err, false))
			if !ok || p.Status != f.want || (p.Again > 0) != (f.want == 503) {
				t.Errorf("%v: %+v", f.err, p)
			}
		}
	})
}

// A client may wait for the answer for a while.
func TestStoredAndAwaited(t *testing.T) {
	startStored(t, newStore(t), Options{}, func(w http.ResponseWriter, req *http.Request) {
		time.Sleep(3 * time.Second)
		w.Header().Set("X", "1")
		fmt.Fprint(w, "done")
	}, func(w *world) {
		const prefer = "respond-async, wait=10"
		a := w.later("PUT", "/", "x", "Prefer", prefer)
		if a.status != 200 || a.body != "done" || a.header.Get("X") != "1" ||
			a.header.Get("Preference-Applied") != "wait" || a.took != 3*time.Second {

			t.Errorf("%d %v %q after %v", a.status, a.header, a.body, a.took)
		}
		a = w.later("PUT", "/", "x", "Prefer", "respond-async, wait=2")
		if a.status != 202 || a.took != 2*time.Second || !strings.Contains(a.body, `"sending"`) {
			t.Errorf("%d %q after %v", a.status, a.body, a.took)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		w.state(a.header.Get("Location"), "delivered")
	})
}

// A relay that stops does not wait for those who wait for a stored request.
func TestStoredAwaitedStop(t *testing.T) {
	startStored(t, newStore(t), Options{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "30")
		w.WriteHeader(503)
	}, func(w *world) {
		time.AfterFunc(time.Second, func() { w.stop(nil) })
		a := w.later("PUT", "/", "x", "Prefer", "respond-async, wait=60")
		if a.status != 202 || a.took != time.Second {
			t.Errorf("%d %q after %v", a.status, a.body, a.took)
		}
	})
}

// A stop is no reason why a request waits, and the one that it had before stays.
func TestStoredStopReason(t *testing.T) {
	dir := newStore(t)
	var tried, queued string
	startStored(t, dir, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "20")
		w.WriteHeader(503)
	}, func(w *world) {
		tried = w.put("PUT", "/tried", "")
		synctest.Wait()
		queued = w.put("PUT", "/queued", "")
		synctest.Wait()
		test.OK(t, w.relay.Pause("", 0, "a test"))
		w.stop(nil)
		<-w.ended
		if log := w.logged(); strings.Contains(log, "may finish") {
			t.Errorf("nothing is with the target: %s", log)
		}
	})
	other := Options{Targets: []Target{{Name: "other", URL: parse(t, "http://other")}}}
	startStored(t, dir, other, nil, func(w *world) {
		if s := w.state(tried, "waiting"); s.Reason != "overloaded (503)" || s.Status != 503 {
			t.Errorf("%d %q", s.Status, s.Reason)
		}
		if s := w.state(queued, "waiting"); s.Reason != "" || s.Status != 0 {
			t.Errorf("%d %q", s.Status, s.Reason)
		}
	})
}

// A request says when it is tried next also if what it waits for is about its server.
func TestStoredNext(t *testing.T) {
	startStored(t, newStore(t), Options{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "40")
		w.WriteHeader(503)
	}, func(w *world) {
		want := func(at string, after time.Duration) {
			t.Helper()
			synctest.Wait()
			if s := w.state(at, "waiting"); !s.Next.Equal(w.begin.Add(after)) {
				t.Errorf("%v, want %v after %v", s.Next, after, w.begin)
			}
		}
		w.put("PUT", "/first", "")
		synctest.Wait()
		at := w.put("PUT", "/second", "")
		want(at, 40*time.Second)
		test.OK(t, w.relay.Pause("", 5*time.Minute, "a test"))
		want(at, 5*time.Minute)
		test.OK(t, w.relay.Pause("", 0, "a test"))
		if s := w.shown(at); !s.Next.IsZero() {
			t.Errorf("nobody knows that it is %v", s.Next)
		}
		test.OK(t, w.relay.Resume("", "a test"))
		want(at, 40*time.Second)
		e := outbox.Entry{State: outbox.Waiting, Due: w.begin}
		if next := w.relay.next(e, w.begin.Add(time.Second)); !next.IsZero() {
			t.Errorf("its turn comes at %v, which is over", next)
		}
	})
}
