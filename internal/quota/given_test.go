package quota

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/test"
)

// A run that gives what runs have given goes on after people have set something else.
func TestSetByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		a := e.host(per(50))
		ten, none := per(10).Rate, per(0).Rate
		test.OK(t, a.Set(t.Context(), Changes{Rate: &ten}))
		for _, c := range []struct {
			rate                 float64
			overruled, conflicts bool
		}{{50, true, false}, {10, false, false}, {20, false, true}, {0, false, false}} {
			var log noticeLog
			o := per(c.rate)
			o.Notify = log.add
			q, err := e.open(o)
			if errors.As(err, new(*ConflictError)) != c.conflicts {
				t.Errorf("%v: error %v", c.rate, err)
			}
			if got := len(log.of(Overruled)) == 1; got != c.overruled {
				t.Errorf("%v: overruled: %v", c.rate, got)
			}
			if q != nil {
				if got := q.Settings().Rate; got != 10 {
					t.Errorf("%v: a rate of %v", c.rate, got)
				}
				test.OK(t, q.Close(t.Context()))
			}
		}
		test.OK(t, a.Set(t.Context(), Changes{Rate: &none}))
		if got := e.host(per(50)).Settings().Rate; got != 0 {
			t.Errorf("a rate of %v, want none", got)
		}
		s, err := a.State(t.Context())
		test.OK(t, err)
		if s.Given.Rate != 50 || s.Settings.Rate != 0 {
			t.Errorf("%+v", s)
		}
		if _, err := e.open(per(20)); !errors.As(err, new(*ConflictError)) {
			t.Errorf("error %v", err)
		}

		// What people set before any run does is the only number.
		e.m.FlushAll()
		b := e.host(Options{})
		test.OK(t, b.Set(t.Context(), Changes{Rate: &ten}))
		if _, err := e.open(per(20)); !errors.As(err, new(*ConflictError)) {
			t.Errorf("error %v", err)
		}
		e.host(per(10))
	})
}

// A process that comes before the others have told a server that lost the state changes nothing.
func TestSetSurvives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		a := e.host(per(100))
		a.Attach(upstream())
		time.Sleep(1010 * time.Millisecond) // not to the millisecond of a beat
		e.m.FlushAll()
		var log noticeLog
		o := per(50)
		o.InFlight, o.Notify = 7, log.add
		late, err := e.open(o)
		test.OK(t, err) // it is the first to say something
		late.Attach(upstream())
		time.Sleep(2 * time.Second)
		if got := a.Settings(); got != (Settings{Rate: 100}) {
			t.Errorf("%+v", got)
		}
		if n := log.of(Differs); len(n) != 1 || !errors.As(n[0].Err, new(*ConflictError)) {
			t.Errorf("it was told %+v", n)
		}
		test.OK(t, late.Close(t.Context()))

		ten, eight := per(10).Rate, 8
		test.OK(t, a.Set(t.Context(), Changes{Rate: &ten, InFlight: &eight}))
		time.Sleep(2010 * time.Millisecond)
		e.m.FlushAll()
		o = per(100)
		o.Burst = 4
		b := e.host(o)
		b.Attach(upstream())
		time.Sleep(3 * time.Second)
		// What it alone gives is settled again.
		for _, q := range []*Quota{a, b} {
			if got, want := q.Settings(), (Settings{10, 4, 8}); got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		}
	})
}

// A process by itself keeps to what was set by hand, if that is less than its own rate.
func TestLocalSetByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		var r record
		ctx, stop := r.context(t)
		defer stop()
		o, u := per(50), upstream()
		o.Down, o.LocalRate = Local, 50
		q := e.host(o)
		q.Attach(u)
		r.saturate(ctx, 0, 50, u)
		ten := per(10).Rate
		test.OK(t, q.Set(t.Context(), Changes{Rate: &ten}))
		time.Sleep(3 * time.Second)
		e.kill()
		time.Sleep(20 * time.Second)
		begin := time.Now().Add(-15 * time.Second)
		if least, most := r.windows(begin, time.Now(), time.Second); least < 9 || most > 11 {
			t.Errorf("%d to %d in a second, want 10", least, most)
		}
		e.restart()
	})
}
