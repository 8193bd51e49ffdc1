package quota

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/test"
	"github.com/penstock/penstock/throttle"
)

// near reports whether two instants are the same but for the time of a call.
func near(a, b time.Time) bool { return a.Sub(b).Abs() <= time.Millisecond }

// A pause that one host hears of is in force for all of them at once, and those that come later.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		a, b, c := upstream(), upstream(), upstream()
		q := e.host(per(10))
		q.Attach(a)
		other := e.host(Options{})
		other.Attach(b)
		time.Sleep(time.Second)
		until := time.Now().Add(5 * time.Second)
		for _, event := range []throttle.Event{
			{Kind: throttle.EventPaused, Until: until.Add(time.Hour)}, // its own backoff
			{Kind: throttle.EventPaused, Until: until, Source: "retry-after"},
			// another answer of the same instant
			{
				Kind: throttle.EventPaused, Until: until.Add(50 * time.Millisecond),
				Source: "retry-after",
			},
			{Kind: throttle.EventEnded},
		} {
			q.Observe(event)
		}
		paused := func(u *throttle.Upstream, until time.Time, source string) {
			t.Helper()
			s := u.Stats()
			if !near(s.Paused, until) || s.PauseSource != source {
				t.Errorf("paused until %v by %q, want %v by %q", s.Paused, s.PauseSource, until,
					source)
			}
		}
		time.Sleep(time.Millisecond)
		paused(a, until, "retry-after")
		paused(b, until, "retry-after")
		e.host(Options{}).Attach(c)
		paused(c, until, "retry-after")

		// Of several the one that ends last holds.
		test.OK(t, q.Pause(t.Context(), until.Add(-time.Second), "less"))
		time.Sleep(time.Millisecond)
		paused(b, until, "retry-after")
		test.OK(t, q.Pause(t.Context(), until.Add(time.Minute), "more of it"))
		time.Sleep(time.Millisecond)
		for _, u := range []*throttle.Upstream{a, b, c} {
			paused(u, until.Add(time.Minute), "more of it")
		}
		s, err := other.State(t.Context())
		test.OK(t, err)
		if !near(s.Paused, until.Add(time.Minute)) || s.PauseSource != "more of it" {
			t.Errorf("the state says %v, %q", s.Paused, s.PauseSource)
		}

		test.OK(t, other.Resume(t.Context()))
		time.Sleep(time.Millisecond)
		for _, u := range []*throttle.Upstream{a, b, c} {
			paused(u, time.Time{}, "")
		}
	})
}

// No slot is granted in a pause, and none of it afterwards.
func TestPauseLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		q := e.host(per(10))
		time.Sleep(time.Second)
		until := time.Now().Add(5 * time.Second)
		test.OK(t, q.Pause(t.Context(), until, ""))
		l, err := q.Lease(t.Context(), 5)
		test.OK(t, err)
		if l.N != 0 || l.Again.Before(until.Add(-time.Second)) || l.Again.After(until) {
			t.Errorf("in the pause: %+v", l)
		}
		time.Sleep(time.Until(l.Again))
		l, err = q.Lease(t.Context(), 5)
		test.OK(t, err)
		if l.N == 0 || !l.First.Equal(until) {
			t.Errorf("afterwards: %+v, want the first at %v", l, until)
		}
	})
}

// A server that has lost the state is told of the pause by those that obey it, and of the settings.
func TestStateLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		q := e.host(Options{Settings: Settings{Rate: 10, Burst: 2, InFlight: 7}})
		q.Attach(upstream())
		time.Sleep(3 * time.Second)
		until := time.Now().Add(time.Minute)
		test.OK(t, q.Pause(t.Context(), until, "retry-after"))
		e.m.FlushAll()
		u := upstream()
		late := e.host(Options{}) // the first that the server hears of
		late.Attach(u)
		time.Sleep(2 * time.Second)
		if s := u.Stats(); !near(s.Paused, until) {
			t.Errorf("paused until %v, want %v", s.Paused, until)
		}
		if got, want := late.Settings(), (Settings{10, 2, 7}); got != want {
			t.Errorf("settings %v, want %v", got, want)
		}
	})
}

// After the state was lost nothing is granted that may have been granted before.
func TestStateLostSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		var r record
		ctx, stop := r.context(t)
		defer stop()
		for i := range 4 {
			u := upstream()
			e.host(per(100)).Attach(u)
			r.saturate(ctx, i, 50, u)
		}
		time.Sleep(3 * time.Second)
		begin := time.Now()
		for range 5 {
			time.Sleep(time.Second)
			e.m.FlushAll()
		}
		time.Sleep(time.Second)
		least, most := r.windows(begin, time.Now(), time.Second)
		if most > 103 || least < 75 {
			t.Errorf("%d to %d in a second", least, most)
		}
	})
}

// Settings are changed while all run.
func TestSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		var r record
		ctx, stop := r.context(t)
		defer stop()
		var notices []Notice
		q := e.host(Options{Notify: func(n Notice) { notices = append(notices, n) }})
		u := throttle.NewUpstream(throttle.Limits{Rate: 5})
		q.Attach(u)
		r.saturate(ctx, 0, 50, u)
		sent := func(within time.Duration) int {
			begin := time.Now()
			time.Sleep(within)
			_, n := r.windows(begin, time.Now(), within)
			return n
		}
		within := func(got, want int) {
			t.Helper()
			if got < want*97/100-1 || got > want*103/100+1 {
				t.Errorf("%d sent, want %d", got, want)
			}
		}
		sent(time.Second)
		within(sent(5*time.Second), 25) // its own limit
		test.OK(t, u.SetLimits(throttle.Limits{InFlight: 100}))
		admin := e.host(Options{})
		for _, n := range []float64{2, 500, 20} {
			limit := per(n).Rate
			test.OK(t, admin.Set(t.Context(), Changes{Rate: &limit}))
			sent(time.Second) // it finds how much it can use
			within(sent(5*time.Second), int(5*n))
		}
		if n := len(notices); n < 3 || notices[n-1].Kind != Changed ||
			notices[n-1].Settings != per(20).Settings {
			t.Errorf("notices %v", notices)
		}
		if s, err := admin.State(t.Context()); err != nil || len(s.Hosts) != 1 {
			t.Errorf("%+v, %v: who only looks is no host", s, err)
		}
	})
}
