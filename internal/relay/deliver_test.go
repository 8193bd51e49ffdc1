package relay

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/outbox"
	"github.com/penstock/penstock/internal/test"
)

// What becomes of a stored request by how it is answered, again and again.
func TestStoredOutcomes(t *testing.T) {
	status := func(codes ...int) func(n int, w http.ResponseWriter) {
		return func(n int, w http.ResponseWriter) { w.WriteHeader(codes[min(n, len(codes)-1)]) }
	}
	reset := func(then ...int) func(n int, w http.ResponseWriter) {
		return func(n int, w http.ResponseWriter) {
			if n == 0 {
				panic(http.ErrAbortHandler)
			}
			status(then...)(n-1, w)
		}
	}
	for _, c := range []struct {
		name   string
		method string
		key    bool
		answer func(n int, w http.ResponseWriter)
		want   outbox.State
		hits   int
	}{
		{"accepted", "POST", false, status(201), "delivered", 1},
		{"throttled", "POST", false, status(429, 429, 503, 200), "delivered", 4},
		{"a failure", "PUT", false, status(500, 200), "delivered", 2},
		{"a failure, not to be repeated", "POST", false, status(500), "unknown", 1},
		{"a failure with a key", "POST", true, status(502, 200), "delivered", 2},
		{"reset", "DELETE", false, reset(200), "delivered", 2},
		{"reset, not to be repeated", "PATCH", false, reset(200), "unknown", 1},
		{"reset, with a key", "PATCH", true, reset(200), "delivered", 2},
		{"its key is in use", "POST", true, status(409, 201), "delivered", 2},
		{"refused", "PUT", false, status(422), "failed", 1},
		{"not implemented", "POST", true, status(501), "failed", 1},
		{"moved", "POST", false, func(_ int, w http.ResponseWriter) {
			w.Header().Set("Location", "http://other/")
			w.WriteHeader(302)
		}, "failed", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var mu sync.Mutex
			n := 0
			handle := func(w http.ResponseWriter, req *http.Request) {
				io.Copy(io.Discard, req.Body)
				mu.Lock()
				n++
				now := n
				mu.Unlock()
				if req.URL.Path == "/base/other" { // it accepts something now and then
					return
				}
				c.answer(now-2, w)
			}
			startStored(t, newStore(t), Options{Idempotent: c.key}, handle, func(w *world) {
				w.send("PUT", "/other", "x")
				at := w.put(c.method, "/it", "x")
				time.Sleep(time.Hour)
				s := w.state(at, c.want)
				if hits := len(w.arrived()) - 1; hits != c.hits || s.Attempts != c.hits {
					t.Errorf("%d hits, %d attempts, want %d", hits, s.Attempts, c.hits)
				}
				if (s.Reason == "") != (c.want == outbox.Delivered) {
					t.Errorf("reason %q", s.Reason)
				}
			})
		})
	}
}

// A request that fails while others are accepted has failed after so many attempts. Those behind it
// are not held up.
func TestStoredFails(t *testing.T) {
	startStored(t, newStore(t), Options{}, func(w http.ResponseWriter, req *http.Request) {
		if strings.HasSuffix(req.URL.Path, "bad") {
			w.WriteHeader(500)
		}
	}, func(w *world) {
		bad := w.put("PUT", "/bad", "")
		for i := range 60 {
			w.put("PUT", fmt.Sprint("/", i), "")
			time.Sleep(10 * time.Second)
		}
		s := w.state(bad, "failed")
		if s.Attempts < 8 || s.Status != 500 || !strings.Contains(s.Reason, "500") {
			t.Errorf("%+v", s)
		}
		if st := w.relay.Store.Stats(); st.Delivered != 60 {
			t.Errorf("%+v", st)
		}
		if log := w.logged(); !strings.Contains(log, "the stored request PUT /bad (") {
			t.Error(log)
		}
		if f := w.relay.State().Failures; len(f) != 1 || !strings.HasPrefix(f[0].What, "PUT /bad") {
			t.Errorf("%+v", f)
		}
		if a := w.send("POST", bad+"/retry", ""); a.status != 204 {
			t.Errorf("retry: %d %s", a.status, a.body)
		}
		if s := w.shown(bad); s.State != outbox.Waiting && s.State != outbox.Sending {
			t.Errorf("retried: %+v", s)
		}
	})
}

// With InOrder one that fails holds up those of its client behind it until it is dropped.
func TestStoredInOrder(t *testing.T) {
	var mu sync.Mutex
	var paths []string
	startStored(t, newStore(t), Options{InOrder: true},
		func(w http.ResponseWriter, req *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			paths = append(paths, req.URL.Path[len("/base"):])
			if strings.HasSuffix(req.URL.Path, "bad") {
				w.WriteHeader(422)
			}
		}, func(w *world) {
			put := func(client, path string) string {
				return w.put("POST", path, "", "X-Penstock-Client", client)
			}
			want := func(want ...string) {
				t.Helper()
				time.Sleep(time.Hour)
				mu.Lock()
				defer mu.Unlock()
				if !slices.Equal(paths, want) {
					t.Errorf("arrived: %q, want %q", paths, want)
				}
				paths = nil
			}
			put("a", "/1")
			synctest.Wait()
			bad := put("a", "/bad")
			synctest.Wait()
			put("a", "/2")
			last := put("a", "/3")
			put("b", "/4")
			want("/1", "/bad", "/4")
			s := w.state(last, "waiting")
			if !strings.Contains(s.Reason, "sent after "+bad[len(RequestsPath):]) {
				t.Errorf("it waits since %q", s.Reason)
			}
			w.send("POST", bad+"/retry", "")
			want("/bad")
			if a := w.send("POST", bad+"/drop", ""); a.status != 204 {
				t.Errorf("drop: %d %s", a.status, a.body)
			}
			want("/2", "/3")
		})
}

// Live requests go before stored ones, and clients by turns.
func TestStoredBehind(t *testing.T) {
	var mu sync.Mutex
	var paths []string
	o := Options{}
	o.Limits.Rate, o.Limits.Fixed = 1, true
	startStored(t, newStore(t), o, func(w http.ResponseWriter, req *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		paths = append(paths, req.URL.Path[len("/base"):])
	}, func(w *world) {
		for _, path := range []string{"/a0", "/a1", "/a2", "/b0", "/b1"} {
			w.put("PUT", path, "", "X-Penstock-Client", path[1:2])
			synctest.Wait()
		}
		var group sync.WaitGroup
		for range 2 {
			group.Go(func() { w.send("PUT", "/live", "") })
		}
		group.Wait()
		time.Sleep(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		want := []string{"/a0", "/live", "/live", "/a1", "/b0", "/a2", "/b1"}
		if !slices.Equal(paths, want) {
			t.Errorf("arrived: %q, want %q", paths, want)
		}
	})
}

// Credentials that are refused keep the rest stored until they are accepted.
func TestStoredUnauthorized(t *testing.T) {
	var mu sync.Mutex
	code, hits := 401, 0
	startStored(t, newStore(t), Options{}, func(w http.ResponseWriter, req *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		hits++
		w.WriteHeader(code)
	}, func(w *world) {
		for i := range 30 {
			w.put("PUT", fmt.Sprint("/", i), "")
			synctest.Wait()
		}
		time.Sleep(10*time.Minute - time.Second)
		if st := w.relay.Store.Stats(); st.Failed != 9 || st.Waiting != 21 || hits != 9+10 {
			t.Errorf("%+v after %d hits", st, hits)
		}
		if log := w.logged(); strings.Count(log, "one is tried each 1 m") != 1 {
			t.Error(log)
		}
		mu.Lock()
		code = 200
		mu.Unlock()
		time.Sleep(11 * time.Minute)
		if st := w.relay.Store.Stats(); st.Failed != 9 || st.Delivered != 21 {
			t.Errorf("%+v", st)
		}
	})
}

// A new relay with the credentials that were refused does not fail more requests to find that out,
// and one with others delivers what waits.
func TestStoredUnauthorizedOverRestart(t *testing.T) {
	var code, hits atomic.Int32
	code.Store(401)
	dir := newStore(t)
	refuse := func(w http.ResponseWriter, _ *http.Request) {
		hits.Add(1)
		w.WriteHeader(int(code.Load()))
	}
	startStored(t, dir, Options{}, refuse, func(w *world) {
		for i := range 30 {
			w.put("PUT", fmt.Sprint("/", i), "")
			synctest.Wait()
		}
	})
	hits.Store(0)
	startLater(t, time.Hour, dir, Options{}, refuse, func(w *world) {
		time.Sleep(5*time.Minute - time.Second)
		if st := w.relay.Store.Stats(); st.Failed != 9 || st.Waiting != 21 || hits.Load() != 5 {
			t.Errorf("%+v after %d hits", st, hits.Load())
		}
		if log := w.logged(); strings.Count(log, "one is tried each 1 m") != 1 {
			t.Error(log)
		}
	})
	code.Store(200)
	startLater(t, 2*time.Hour, dir, Options{}, refuse, func(w *world) {
		time.Sleep(11 * time.Minute)
		if st := w.relay.Store.Stats(); st.Failed != 9 || st.Delivered != 21 {
			t.Errorf("%+v", st)
		}
	})
}

// What waits for its turn when the relay's credentials are refused is not sent with them.
func TestStoredUnauthorizedUnsent(t *testing.T) {
	var code, hits atomic.Int32
	code.Store(503)
	startStored(t, newStore(t), Options{}, func(w http.ResponseWriter, _ *http.Request) {
		hits.Add(1)
		w.Header().Set("Retry-After", "5")
		w.WriteHeader(int(code.Load()))
	}, func(w *world) {
		for i := range 60 {
			w.put("POST", fmt.Sprint("/", i), "")
		}
		synctest.Wait()
		hits.Store(0)
		code.Store(401)
		time.Sleep(time.Minute)
		if n := hits.Load(); n > 20 { // ten, and what was in flight with the tenth
			t.Errorf("%d requests", n)
		}
		if st := w.relay.Store.Stats(); st.Failed != 9 || st.Waiting != 51 {
			t.Errorf("%+v", st)
		}
		code.Store(200)
		time.Sleep(11 * time.Minute)
		if st := w.relay.Store.Stats(); st.Failed != 9 || st.Delivered != 51 {
			t.Errorf("%+v", st)
		}
	})
}

// What is stored survives a stop, and is delivered by the next relay.
func TestStoredOverRestart(t *testing.T) {
	dir := newStore(t)
	var ids []string
	down := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }
	startStored(t, dir, Options{}, down, func(w *world) {
		for i := range 5 {
			ids = append(ids, w.put("POST", fmt.Sprint("/", i), fmt.Sprint(i)))
		}
		time.Sleep(time.Hour)
		w.state(ids[0], "waiting")
	})
	startStored(t, dir, Options{}, func(w http.ResponseWriter, req *http.Request) {
		io.Copy(w, req.Body)
	}, func(w *world) {
		time.Sleep(time.Minute)
		for i, id := range ids {
			s := w.state(id, "delivered")
			if s.Answer == nil || s.Answer.Body != fmt.Sprint(i) {
				t.Errorf("%+v", s)
			}
		}
		if log := w.logged(); !strings.Contains(log, "5 stored requests wait, the oldest for ") {
			t.Error(log)
		}
	})
	other := Options{Targets: []Target{{Name: "other", URL: parse(t, "http://other")}}}
	startStored(t, dir, other, down, func(w *world) {
		w.put("PUT", "/other/x", "")
	})
	startStored(t, dir, Options{}, down, func(w *world) {
		synctest.Wait()
		if !strings.Contains(w.logged(), "1 stored request is for other, which is no target of this relay") {
			t.Error(w.logged())
		}
	})
}

// A body that was changed on disk is not sent. Others are.
func TestStoredTampered(t *testing.T) {
	dir := newStore(t)
	var up atomic.Bool
	startStored(t, dir, Options{}, func(w http.ResponseWriter, req *http.Request) {
		io.Copy(io.Discard, req.Body)
		if !up.Load() {
			w.WriteHeader(503)
		}
	}, func(w *world) {
		body := strings.Repeat("x", 100_000)
		bad, good := w.put("PUT", "/bad", body), w.put("POST", "/good", body)
		synctest.Wait()
		name := filepath.Join(dir, "bodies", bad[len(RequestsPath):])
		test.OK(t, os.WriteFile(name, []byte(strings.Repeat("y", len(body))), 0o600))
		w.arrived()
		up.Store(true)
		time.Sleep(time.Minute)
		if n := len(w.arrived()); n != 1 { // not even the head of the other one
			t.Errorf("%d have arrived", n)
		}
		if s := w.state(bad, "failed"); !strings.Contains(s.Reason, "was changed") {
			t.Errorf("it has failed since %q", s.Reason)
		}
		w.state(good, "delivered")
	})
}

// If a server has failed everything since the relay began, a request that is all alone is not at
// fault.
func TestStoredAlone(t *testing.T) {
	var up atomic.Bool
	startStored(t, newStore(t), Options{}, func(w http.ResponseWriter, _ *http.Request) {
		if !up.Load() {
			w.WriteHeader(500)
		}
	}, func(w *world) {
		at := w.put("PUT", "/it", "")
		time.Sleep(time.Hour)
		if n := len(w.arrived()); n > 2500/6 {
			t.Errorf("%d probes", n)
		}
		if s := w.shown(at); s.State != outbox.Waiting && s.State != outbox.Sending {
			t.Errorf("%+v", s)
		}
		up.Store(true)
		time.Sleep(time.Minute)
		w.state(at, "delivered")
	})
}

// Where the server may have forgotten the key by which it knows a request, that is not repeated:
// also if a relay was stopped meanwhile. Somebody has to look.
func TestStoredKeyForgotten(t *testing.T) {
	dir := newStore(t)
	var at string
	startStored(t, dir, Options{Idempotent: true}, func(w http.ResponseWriter, _ *http.Request) {
		panic(http.ErrAbortHandler)
	}, func(w *world) {
		at = w.put("POST", "/it", "")
		time.Sleep(time.Second) // in a minute it may have used up its attempts
		w.state(at, "sending")
	})
	busy := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }
	startLater(t, 23*time.Hour, dir, Options{}, busy, func(w *world) {
		time.Sleep(time.Minute)
		if s := w.shown(at); s.State != "sending" && s.State != "waiting" {
			t.Errorf("%+v", s)
		}
	})
	startLater(t, 25*time.Hour, dir, Options{}, busy, func(w *world) {
		time.Sleep(time.Minute)
		if s := w.state(at, "unknown"); !strings.Contains(s.Reason, "forgotten") {
			t.Errorf("%+v", s)
		}
		w.arrived()
		w.send("POST", at+"/retry", "")
		time.Sleep(time.Minute)
		if len(w.arrived()) == 0 {
			t.Error("it is not sent again, though somebody asked for that")
		}
	})
}

// What a stored request has changed is asked for anew.
func TestStoredInvalidates(t *testing.T) {
	startStored(t, newStore(t), Options{CacheBytes: 1 << 20},
		func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Cache-Control", "max-age=3600")
		}, func(w *world) {
			for range 2 {
				w.send("GET", "/a", "")
			}
			w.put("PUT", "/a", "x")
			synctest.Wait()
			w.send("GET", "/a", "")
			const path = " /base/a?from=relay 0s"
			w.want("GET"+path, "PUT"+path, "GET"+path)
		})
}

// A stop waits for what is with the target, and leaves the rest.
func TestStoredStop(t *testing.T) {
	dir := newStore(t)
	var at string
	startStored(t, dir, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(3 * time.Second)
	}, func(w *world) {
		at = w.put("POST", "/", "")
		synctest.Wait()
		begin := time.Now()
		w.stop(nil)
		<-w.ended
		if took := time.Since(begin); took < 3*time.Second || took > 4*time.Second {
			t.Errorf("it ended after %v", took)
		}
		if log := w.logged(); !strings.Contains(log, "1 request may finish") {
			t.Error(log)
		}
	})
	startStored(t, dir, Options{}, nil, func(w *world) {
		time.Sleep(time.Minute)
		w.state(at, "delivered")
		w.want()
	})
}

// The end of a relay that is not waited for leaves what was under way in doubt, unless it may be
// repeated.
func TestStoredKilled(t *testing.T) {
	dir := newStore(t)
	var post, put string
	o := Options{}
	o.Limits.InFlight, o.Limits.Fixed = 2, true
	startStored(t, dir, o, func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(time.Hour)
	}, func(w *world) {
		post = w.put("POST", "/post", "")
		synctest.Wait()
		put = w.put("PUT", "/put", "")
		synctest.Wait()
		w.want("POST /base/post?from=relay 0s", "PUT /base/put?from=relay 0s")
		w.kill()
		<-w.ended
		time.Sleep(time.Hour) // which the target does
	})
	startStored(t, dir, Options{}, func(http.ResponseWriter, *http.Request) {}, func(w *world) {
		time.Sleep(time.Minute)
		w.state(post, "unknown")
		w.state(put, "delivered")
	})
}
