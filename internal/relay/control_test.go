package relay

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/penstock/penstock/internal/board"
	"github.com/penstock/penstock/internal/clientconn"
	"github.com/penstock/penstock/internal/test"
	"github.com/penstock/penstock/throttle"
)

// What the state says is what clients and the target have seen.
func TestState(t *testing.T) {
	handle := func(rw http.ResponseWriter, req *http.Request) {
		switch req.URL.Path {
		case "/base/slow":
			time.Sleep(20 * time.Second)
		case "/base/broken":
			panic(http.ErrAbortHandler)
		}
	}
	o := Options{Limits: throttle.Limits{InFlight: 1, Fixed: true}, CacheBytes: 1 << 20,
		Attempts: 1, Header: http.Header{"Authorization": {"Bearer sesame-sesame"}}}
	start(t, o, handle, func(w *world) {
		w.send("POST", "/broken?token=sesame-sesame", "")
		time.Sleep(time.Minute)
		w.send("GET", "/fast", "")
		w.send("GET", "http://no", "") // is refused
		var all sync.WaitGroup
		for i, client := range []string{"one", "two", "two", "sesame-sesame"} {
			all.Go(func() {
				req := w.request("PUT", "/slow", "1234")
				req.Header.Set(clientconn.NameHeader, client)
				w.do(req)
			})
			time.Sleep(time.Duration(i+1) * time.Second)
		}
		now := time.Now()
		got := w.relay.State()
		all.Wait()
		limit := map[string]float64{"bandwidth": 0, "concurrency": 9, "cool_down": 0, "down": 0,
			"rate": 0, "quota": 0}
		if diff := cmp.Diff(board.State{
			Command: "relay", Started: w.begin, Now: now,
			Holding: "no answer for 10 s",
			Upstreams: []board.Upstream{{Name: "http://target", Phase: "fixed", Sent: 3,
				Accepted: 1, Overloaded: 1, InFlight: 1, Waiting: 1, InFlightLimit: 1,
				Holding: "held by your --concurrency 1", Waited: limit}},
			Queue: &board.Queue{Requests: 7, Answered: 1, Failed: 1, Refused: 1, Waiting: 3,
				Bytes: 12, Oldest: 9, Clients: []board.Client{
					{Name: "two", Waiting: 2, Oldest: 9},
					{Name: "***", Waiting: 1, Oldest: 4}}},
			Cache: &board.Cache{Misses: 1},
			Failures: []board.Failure{{At: w.begin, What: "POST /base/broken",
				Why: "POST http://target/base/broken: the server closed the connection without an " +
					"answer; the server may have accepted the request: check there before you " +
					"send it again"}},
		}, got, cmpopts.EquateApproxTime(0)); diff != "" {
			t.Error(diff)
		}
		w.stop(nil)
		<-w.ended
		if s := w.relay.State(); !s.Draining || s.Ended.IsZero() {
			t.Errorf("after the end: draining %v, ended %v", s.Draining, s.Ended)
		}
	})
}

// A pause by hand has requests wait, and not be refused; it ends by hand or by itself. What the
// target itself asked for holds for as long as it said.
func TestPauseByHand(t *testing.T) {
	handle := func(rw http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/base/full" {
			rw.Header().Set("Retry-After", "30")
			rw.WriteHeader(http.StatusTooManyRequests)
		}
	}
	start(t, Options{QueueWait: time.Hour}, handle, func(w *world) {
		send := func(path string) (took time.Duration) {
			t.Helper()
			a := w.send("GET", path, "")
			if a.status != http.StatusOK {
				t.Errorf("%s: %d %s", path, a.status, a.Detail)
			}
			return a.took
		}
		want := func(holding string, paused bool, until time.Duration) {
			t.Helper()
			s := w.relay.State()
			u := s.Upstreams[0]
			got := fmt.Sprintf("%q %q %v", s.Holding, u.Holding, s.Paused)
			if want := fmt.Sprintf("%q %[1]q %v", holding, paused); got != want {
				t.Errorf("%s, want %s", got, want)
			}
			if until == 0 && !u.Until.IsZero() || until != 0 && u.Until.Sub(s.Now) != until {
				t.Errorf("until %v, want in %v", u.Until, until)
			}
		}
		want("", false, 0)
		later := func(after time.Duration, do func() error) {
			time.AfterFunc(after, func() { test.Check(t, do()) })
		}
		resume := func() error { return w.relay.Resume("", "me") }

		test.OK(t, w.relay.Pause("", 0, "me"))
		want("paused by hand", true, 0)
		req := w.request("GET", "/", "")
		req.Header.Set("Prefer", "wait=60")
		a := w.do(req)
		again := a.header.Get("Retry-After")
		if a.status != 503 || a.took != time.Minute || again != "1" {
			t.Errorf("%d after %v, again in %s s: %s", a.status, a.took, again, a.Detail)
		}
		later(10*time.Minute, resume)
		if took := send("/"); took != 10*time.Minute {
			t.Errorf("it waited for %v", took)
		}

		test.OK(t, w.relay.Pause("", time.Hour, "me"))
		test.OK(t, w.relay.Pause("", time.Minute, "me")) // instead
		want("paused by hand for another 1 m 0 s", true, time.Minute)
		if took := send("/"); took != time.Minute {
			t.Errorf("it waited for %v", took)
		}

		go w.send("GET", "/full", "")
		time.Sleep(time.Second)
		test.OK(t, resume()) // there is nothing by hand
		want("paused 29 s: Retry-After", false, 29*time.Second)
		test.OK(t, w.relay.Pause("", time.Second, "me")) // is over before
		want("paused 29 s: Retry-After", false, 29*time.Second)
		test.OK(t, w.relay.Pause("", 0, "me"))
		want("paused by hand", true, 0)
		test.OK(t, w.relay.Pause("", time.Hour, "me"))
		time.Sleep(9 * time.Second)
		test.OK(t, resume())
		want("paused 20 s: Retry-After", false, 20*time.Second)
		if !strings.Contains(w.logged(),
			"http://target resumed by me; the server itself asked for a wait of another 20 s") {
			t.Errorf("the log: %s", w.logged())
		}
	})
}

// New limits hold for requests that wait already: a tenth of a token is there when the other nine
// tenths take 18 s. To give them back has them found again.
func TestLimitsChange(t *testing.T) {
	handle := func(http.ResponseWriter, *http.Request) {}
	o := Options{QueueWait: time.Hour, Limits: throttle.Limits{Rate: 0.01}}
	start(t, o, handle, func(w *world) {
		w.send("GET", "/1", "")
		time.AfterFunc(10*time.Second, func() {
			test.Check(t, w.relay.SetLimits("", Change{Rate: new(0.05)}, "me"))
		})
		w.send("PUT", "/2?wait", "")
		test.OK(t, w.relay.SetLimits("", Change{Rate: new(0.0)}, "me"))
		w.send("GET", "/3", "")
		w.want("GET /base/1?from=relay 0s", "PUT /base/2?from=relay&wait 28s",
			"GET /base/3?from=relay 28s")
	})
}

// To drain is to end as by a signal: what was accepted is answered, nothing new is taken.
func TestDrain(t *testing.T) {
	handle := func(rw http.ResponseWriter, req *http.Request) { time.Sleep(3 * time.Second) }
	start(t, Options{}, handle, func(w *world) {
		test.OK(t, w.relay.Ready())
		var one answer
		var under sync.WaitGroup
		under.Go(func() { one = w.send("PUT", "/", "1") })
		time.Sleep(time.Second)
		w.relay.Drain(errors.New("told to drain by me"))
		if err := w.relay.Ready(); err == nil {
			t.Error("it is ready")
		}
		if a := w.send("PUT", "/", "1"); a.status != http.StatusServiceUnavailable {
			t.Errorf("%d %s", a.status, a.body)
		}
		under.Wait()
		<-w.ended
		if one.status != http.StatusOK || one.took != 3*time.Second {
			t.Errorf("%d after %v", one.status, one.took)
		}
		if !strings.Contains(w.logged(), "told to drain by me: taking nothing new, 1 request may "+
			"finish within 5 s; two signals end it at once") {
			t.Errorf("the log: %s", w.logged())
		}
	})
}

// What is stored is part of the state, and one that fails is among the failures.
func TestStoredState(t *testing.T) {
	handle := func(rw http.ResponseWriter, req *http.Request) { rw.WriteHeader(http.StatusGone) }
	startStored(t, newStore(t), Options{}, handle, func(w *world) {
		test.OK(t, w.relay.Ready())
		at := w.put("PUT", "/a?b=c", "body")
		synctest.Wait()
		s := w.relay.State()
		if *s.Stored != (board.Stored{Failed: 1, Bytes: 4}) {
			t.Errorf("%+v", *s.Stored)
		}
		_, id, _ := strings.Cut(at, RequestsPath)
		want := board.Failure{At: w.begin, What: "PUT /a?b=*** (" + id + ")",
			Why: "failed: PUT http://target/base/a: 410 Gone"}
		if diff := cmp.Diff([]board.Failure{want}, s.Failures); diff != "" {
			t.Error(diff)
		}
	})
}
