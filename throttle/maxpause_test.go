package throttle

import (
	"errors"
	"io"
	"math"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// wantPaused checks that the caller was refused at the given instant.
func wantPaused(t *testing.T, c *caller, at time.Duration, until time.Time) {
	t.Helper()
	synctest.Wait()
	var paused *PausedError
	if !errors.As(c.err, &paused) || !paused.Until.Equal(until) || !paused.RetryAt().Equal(until) || paused.Source != "test" || c.sent != at {
		t.Errorf("%v at %v, want a PausedError until %v at %v", c.err, c.sent, until, at)
	}
}

// A cool-down too long to be sat out fails the waiters, for a token or for a permit, and those that
// come while too much of it is left; no others.
func TestMaxWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		tr := &Transport{Limits: Limits{Rate: 1, InFlight: 3}, MaxPause: time.Minute}
		u := tr.Upstream("a")
		flying := call(t, c, u, 1, 0)
		token, heavy, permit := call(t, c, u, 1, 0), call(t, c, u, 5, 0), call(t, c, u, 1, 0)
		c.at(100 * ms)
		u.Pause(c.time(time.Minute+100*ms), "test") // just short enough
		c.at(200 * ms)
		if s := u.Stats(); s.Waiting != 3 {
			t.Errorf("%d wait", s.Waiting)
		}
		until := c.time(10 * time.Minute)
		u.Pause(until, "test")
		for _, w := range []*caller{token, heavy, permit} {
			wantPaused(t, w, 200*ms, until)
		}
		wantPaused(t, call(t, c, u, 1, 0), 200*ms, until)
		if s := u.Stats(); s.InFlight != 1 || s.Waiting != 0 || held(u) != 1 {
			t.Errorf("%+v", s)
		}

		// The rest of it is short enough; that it is asked for again fails nobody.
		c.at(9*time.Minute - 1)
		wantPaused(t, call(t, c, u, 1, 0), 9*time.Minute-1, until)
		c.at(9 * time.Minute)
		late := []*caller{call(t, c, u, 1, 0), call(t, c, u, 1, 0)}
		u.Pause(until, "test")
		c.at(11 * time.Minute)
		wantSent(t, late, 10*time.Minute, 10*time.Minute+time.Second)
		for _, w := range append(late, flying) {
			if w.err != nil {
				t.Error(w.err)
			}
			w.permit.Release()
		}

		// Lifted.
		u.Pause(c.time(time.Hour), "test")
		wantPaused(t, call(t, c, u, 1, 0), 11*time.Minute, c.time(time.Hour))
		u.Resume()
		lifted := []*caller{call(t, c, u, 1, ms), call(t, c, u, 1, ms)}
		c.at(12 * time.Minute)
		wantSent(t, lifted, 11*time.Minute, 11*time.Minute+time.Second)
		wantIdle(t, "lifted", u)
	})
}

// The zero value sits out an hour, the largest one anything, as does an upstream without a
// Transport.
func TestMaxWaitDefaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		for _, u := range []*Upstream{(&Transport{}).Upstream(""), (&Transport{MaxPause: -1}).Upstream("")} {
			u.Pause(c.time(time.Hour), "test")
			fits := call(t, c, u, 1, ms)
			if fits.err != nil {
				t.Error(fits.err)
			}
			u.Pause(c.time(time.Hour+1), "test")
			wantPaused(t, fits, 0, c.time(time.Hour+1))
		}
		var callers []*caller
		for _, u := range []*Upstream{NewUpstream(Limits{}), (&Transport{MaxPause: math.MaxInt64}).Upstream("")} {
			u.Pause(c.time(47*time.Hour), "test")
			callers = append(callers, call(t, c, u, 1, ms))
		}
		c.at(48 * time.Hour)
		wantSent(t, callers, 47*time.Hour, 47*time.Hour)
	})
	for want, e := range map[string]PausedError{
		"throttle: cool-down until 2030-01-02T03:04:05Z (retry-after), nothing was sent; try again then": {Source: "retry-after"},
		"throttle: cool-down until 2030-01-02T03:04:05Z, nothing was sent; try again then":               {},
	} {
		e.Until = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
		if e.Error() != want {
			t.Errorf("%q, want %q", e.Error(), want)
		}
	}
}

// A server that asks to be left alone for ten years hangs nobody: each worker, who knows of
// throttle's errors only that they say when, gives its request back.
func TestMaxWaitHostileServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			w.Header().Set("Retry-After", "315360000")
			w.WriteHeader(429)
			io.WriteString(w, "later")
		})
		client := &http.Client{Transport: &Transport{Base: s.base, Limits: Limits{Rate: 0.1, InFlight: 4}}}
		var group sync.WaitGroup
		var mu sync.Mutex
		refused, deferred := 0, 0
		for range 20 {
			group.Go(func() {
				for range 5 {
					resp, err := client.Post("http://a/", "", strings.NewReader("body"))
					var notBefore interface{ RetryAt() time.Time }
					mu.Lock()
					if err == nil {
						refused++
						resp.Body.Close()
					} else if errors.As(err, &notBefore) && notBefore.RetryAt().Round(time.Second).Equal(s.time(315360001*time.Second)) {
						deferred++
					} else {
						t.Error(err)
					}
					mu.Unlock()
				}
			})
		}
		group.Wait()
		if s.now() != time.Second || refused != 1 || deferred != 99 {
			t.Errorf("at %v: %d refused, %d deferred; want 1 and 99 at 1s", s.now(), refused, deferred)
		}
	})
}

// A wait of our own is sat out, also where it is longer than what the server asks for.
func TestMaxWaitOfOurOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &Transport{MaxPause: 2 * time.Second}
		u := tr.Upstream("a")
		begin := time.Now()
		for time.Since(begin) < time.Minute {
			p, err := u.Acquire(t.Context(), 1)
			if err != nil {
				t.Fatalf("%v after %v", err, time.Since(begin))
			}
			p.Done(Feedback{Signal: SignalThrottled, RetryAt: time.Now().Add(time.Second), Source: "test"})
		}
	})
}
