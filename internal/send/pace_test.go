package send

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/internal/test"
	"github.com/penstock/penstock/internal/upstream"
	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
)

// With answers that take seconds the pool has to grow to many times the size that it begins with.
func TestPoolGrowsUntilNoTokenIsLate(t *testing.T) {
	const rate, files = 50, 1000
	onFakeTime(t, files, taking(3*time.Second), func(w *world) {
		w.Limits = throttle.Limits{Rate: rate, InFlight: 256}
		s := w.run()
		w.ended(s, exit.Delivered, files, 0, 0, 0, 0)
		if n := w.got(4*time.Second, 19*time.Second); n < rate*15*99/100 {
			t.Errorf("%d requests in 15 s, want %d a second", n, rate)
		}
		lost := w.since() - (files-1)*time.Second/rate - 3*time.Second
		if lost > 100*time.Millisecond {
			t.Errorf("the beginning cost %v", lost)
		}
		if s.InFlight.Max < 3*rate || s.InFlight.Max > 3*rate+2 {
			t.Errorf("at most %d in flight, want %d", s.InFlight.Max, 3*rate)
		}
		for _, snap := range w.watch.snapshots {
			// of 150 that are needed, grown by a half
			if workers := snap.InFlight + snap.Waiting; workers > 230 {
				t.Fatalf("%d workers after %v", workers, snap.Elapsed)
			}
		}
	})
}

func TestPoolStaysWithinConcurrency(t *testing.T) {
	onFakeTime(t, 200, taking(3*time.Second), func(w *world) {
		w.Limits = throttle.Limits{Rate: 50, InFlight: 20}
		s := w.run()
		w.ended(s, exit.Delivered, 200, 0, 0, 0, 0)
		if s.InFlight.Max != 20 {
			t.Errorf("at most %d in flight, want 20", s.InFlight.Max)
		}
		for _, snap := range w.watch.snapshots {
			// one who just left may be counted twice
			if workers := snap.InFlight + snap.Waiting; workers > 22 {
				t.Fatalf("%d workers after %v", workers, snap.Elapsed)
			}
		}
		if s.Waited[progress.LimitConcurrency] < s.Waited[progress.LimitRate] {
			t.Errorf("waited for %+v, want mostly concurrency", s.Waited)
		}
	})
}

// [waiting] One answer stops all requests, for as long as it asks.
func TestPauseSendsNothingAndSaysSo(t *testing.T) {
	refuse := answering(http.StatusTooManyRequests, "Retry-After", "30")
	handlers := append(slices.Repeat([]http.HandlerFunc{atOnce}, 9), refuse, atOnce)
	onFakeTime(t, 40, inTurn(handlers...), func(w *world) {
		w.Limits = throttle.Limits{Rate: 10, InFlight: 256}
		s := w.run()
		w.ended(s, exit.Delivered, 40, 0, 0, 0, 0)
		const refused, end = 900 * time.Millisecond, 30*time.Second + 900*time.Millisecond
		if n := w.got(0, refused+1); n != 10 || w.got(refused, refused+1) != 1 {
			t.Fatalf("%d requests until the refusal", n)
		}
		if n := w.got(refused+1, end); n != 0 {
			t.Errorf("%d requests during the pause", n)
		}
		if n := w.got(end, end+time.Second); n == 0 || n > 11 {
			t.Errorf("%d requests in the second after the pause", n)
		}
		if want := 30.0; s.Waited[progress.LimitCoolDown] < want-0.1 ||
			s.Waited[progress.LimitCoolDown] > want+0.1 {
			t.Errorf("%v s of cool-down", s.Waited[progress.LimitCoolDown])
		}
		for _, snap := range w.watch.snapshots {
			if snap.Elapsed == refused {
				continue // either may be the first in this instant
			}
			paused := snap.Elapsed > refused && snap.Elapsed < end
			if (snap.Limit == progress.LimitCoolDown) != paused {
				t.Fatalf("%v after the start the limit is %q", snap.Elapsed, snap.Limit)
			}
			wait := end - snap.Elapsed
			says := fmt.Sprintf("paused %d s: Retry-After", int(math.Ceil(wait.Seconds())))
			if paused && (snap.Pause != wait || snap.Holding != says) {
				t.Fatalf("%v before its end the pause is %v, %q", wait, snap.Pause, snap.Holding)
			}
		}
		w.logged("http://127.0.0.1 asked us to wait 30 s (Retry-After); paused until", 1)
	})
}

// A pause is one server's own: others go on, though their items come between those that wait.
func TestPauseHoldsUpNoOtherServer(t *testing.T) {
	const each = 40
	first := inTurn(answering(http.StatusTooManyRequests, "Retry-After", "100"), atOnce)
	onFakeTime(t, 1, func(w http.ResponseWriter, r *http.Request) {
		if r.Host == "127.0.0.2" {
			atOnce(w, r)
		} else {
			first(w, r)
		}
	}, func(w *world) {
		w.hosts(2, each)
		w.Limits.InFlight = 4
		w.ended(w.run(), exit.Delivered, 2*each, 0, 0, 0, 0)
		if n := w.count(func(c *call) bool {
			return c.host == "127.0.0.2" && c.accepted < 3*time.Second
		}); n != each {
			t.Errorf("%d of %d accepted while the other server pauses", n, each)
		}
		if w.since() < 100*time.Second {
			t.Errorf("over after %v", w.since())
		}
	})
}

// A server that asks for a second each second does not fill the log.
func TestPausesAreToldOnceInAWhile(t *testing.T) {
	refuse := answering(http.StatusServiceUnavailable, "Retry-After", "2")
	onFakeTime(t, 1, inTurn(append(slices.Repeat([]http.HandlerFunc{refuse}, 20), atOnce)...),
		func(w *world) {
			w.ended(w.run(), exit.Delivered, 1, 0, 0, 0, 0)
			told := strings.Count(w.watch.talk.String(),
				"level=INFO msg=\"http://127.0.0.1 asked us")
			if most := int(w.since()/upstream.NoticeEvery) + 1; told < 2 || told > most {
				t.Errorf("told %d times in %v", told, w.since())
			}
		})
}

// The connections that are there before a pause may be dead after it. What is sent first then is
// sent once more, and holds nothing up.
func TestConnectionsDieDuringPauses(t *testing.T) {
	const pauses = 10
	again := answering(http.StatusServiceUnavailable, "Retry-After", "60")
	handlers := append(slices.Repeat([]http.HandlerFunc{again, atOnce}, pauses), atOnce)
	onFakeTime(t, 2*pauses, inTurn(handlers...), func(w *world) {
		w.ended(w.run(), exit.Delivered, 2*pauses, 0, 0, 0, 0)
		if late := w.since() - pauses*time.Minute; late < 0 || late > 30*time.Second {
			t.Errorf("over after %v", w.since())
		}
	})
}

// The longest pause of one's own is as long as --stall-timeout. No connection ends by that just
// when a request goes on it: before, the idle ones are closed.
func TestIdleConnectionsDoNotStall(t *testing.T) {
	again := answering(http.StatusServiceUnavailable, "Retry-After", "60")
	onFakeTime(t, 10, inTurn(again, atOnce), func(w *world) {
		var open atomic.Int64
		open.Store(-1)
		time.AfterFunc(55*time.Second, func() { open.Store(w.conns.Load()) })
		w.ended(w.run(), exit.Delivered, 10, 0, 0, 0, 0)
		if n := open.Load(); n != 0 {
			t.Errorf("%d connections are open in the pause", n)
		}
	})
}

// An acceptance counts from when its request was sent, also where the package retry judges it later
// than it came since the request was still being written.
func TestAcceptanceCountsFromSending(t *testing.T) {
	onFakeTime(t, 1, func(http.ResponseWriter, *http.Request) {}, func(w *world) {
		r := newRun(w.Options)
		defer func() { _ = r.pool.Drain(w.Context()) }()
		for it := range w.Source.Items() {
			j := &job{item: it}
			req, err := http.NewRequestWithContext(context.WithValue(w.Context(), jobKey{}, j),
				it.Method, it.URL, nil)
			test.OK(t, err)
			key, sent := nethttp.OriginOf(it.URL), time.Now()
			r.observe(throttle.Event{Kind: throttle.EventSent, Key: key, Request: req, Token: sent})
			time.Sleep(time.Second)
			r.observe(throttle.Event{Kind: throttle.EventEnded, Key: key, Request: req,
				Status: http.StatusOK, Latency: time.Second})
			time.Sleep(time.Second)
			s := r.servers.Of(key)
			s.Refuse(filepath.Dir(it.Path), http.StatusNotFound)
			time.Sleep(8 * time.Second)
			r.retrying(retry.Event{Request: req, Attempt: 1, Status: http.StatusOK})
			if s.AcceptedLike(it.Method, sent) || !s.AcceptedLike(it.Method, sent.Add(-1)) {
				t.Error("the newest that was accepted was not sent then")
			}
			if accepted, row := s.Accepted(), s.Row(); accepted != 1 || row.Items != 1 {
				t.Errorf("%d accepted, %d refused since: want 1, and the one that was sent later",
					accepted, row.Items)
			}
		}
	})
}

// An answer that was sent before a refusal and is judged after it is no evidence that the server
// refuses a pace.
func TestLateJudgementIsNoEvidence(t *testing.T) {
	onFakeTime(t, 1, func(http.ResponseWriter, *http.Request) {}, func(w *world) {
		r := newRun(w.Options)
		defer func() { _ = r.pool.Drain(w.Context()) }()
		for it := range w.Source.Items() {
			key := nethttp.OriginOf(it.URL)
			send := func() *http.Request {
				j := &job{item: it}
				req, err := http.NewRequestWithContext(context.WithValue(w.Context(), jobKey{},
					j), it.Method, it.URL, nil)
				test.OK(t, err)
				r.observe(throttle.Event{Kind: throttle.EventSent, Key: key, Request: req,
					Token: time.Now()})
				return req
			}
			for range 2 {
				early, refused := send(), send()
				time.Sleep(time.Second)
				r.observe(throttle.Event{Kind: throttle.EventEnded, Key: key, Request: early,
					Status: http.StatusOK, Signal: throttle.SignalSuccess, Latency: time.Second})
				r.observe(throttle.Event{Kind: throttle.EventEnded, Key: key, Request: refused,
					Status: http.StatusServiceUnavailable, Signal: throttle.SignalOverloaded,
					Latency: time.Second})
				time.Sleep(9 * time.Second)
				r.retrying(retry.Event{Request: early, Attempt: 1, Status: http.StatusOK})
			}
			s := r.servers.Of(key)
			if n := s.Accepted(); n != 2 || s.IsPressed() {
				t.Errorf("%d accepted, evidence %v: want 2, and none", n, s.IsPressed())
			}
		}
	})
}
