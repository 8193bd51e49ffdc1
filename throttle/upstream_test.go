package throttle

import (
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
)

const ms = time.Millisecond

// clock tells a test's own time.
type clock struct{ begin time.Time }

func newClock() clock                          { return clock{time.Now()} }
func (c clock) now() time.Duration             { return time.Since(c.begin) }
func (c clock) until(d time.Duration)          { time.Sleep(time.Until(c.begin.Add(d))) }
func (c clock) at(d time.Duration)             { c.until(d); synctest.Wait() }
func (c clock) time(d time.Duration) time.Time { return c.begin.Add(d).Round(0) }

// A caller is a goroutine that wants to send a request through an upstream and holds its permit for
// a while, or until it is told to end if that is 0.
type caller struct {
	sent   time.Duration // -1: not yet
	err    error
	permit *Permit
}

func call(t *testing.T, c clock, u *Upstream, weight int, hold time.Duration) *caller {
	r := &caller{sent: -1}
	go func() {
		r.permit, r.err = u.Acquire(t.Context(), weight)
		r.sent = c.now()
		if r.err == nil && hold > 0 {
			time.Sleep(hold)
			r.permit.Release()
		}
	}()
	synctest.Wait()
	return r
}

// wantSent compares the instants at which the callers went, in any order.
func wantSent(t *testing.T, callers []*caller, want ...time.Duration) {
	t.Helper()
	synctest.Wait()
	var got []time.Duration
	for _, c := range callers {
		got = append(got, c.sent)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("went at %v, want %v", got, want)
	}
}

func wantWaited(t *testing.T, u *Upstream, holding Holding, want Waited) {
	t.Helper()
	if s := u.Stats(); s.Waited != want || s.Holding != holding {
		t.Errorf("held by %q, waited %+v; want %q, %+v", s.Holding, s.Waited, holding, want)
	}
}

// A permit comes before the token, so no token grows old while it waits for one.
func TestUpstreamPermitBeforeToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		u := NewUpstream(Limits{Rate: 10, InFlight: 1})
		var callers []*caller
		for range 5 {
			callers = append(callers, call(t, c, u, 1, 0))
		}
		c.at(time.Second)
		if s := u.Stats(); s.Sent != 1 || s.InFlight != 1 || s.Waiting != 4 {
			t.Errorf("%+v", s)
		}
		u.SetLimits(Limits{Rate: 10})
		c.at(2 * time.Second)
		wantSent(t, callers, 0, time.Second, 1100*ms, 1200*ms, 1300*ms)
		for _, r := range callers {
			r.permit.Done(Feedback{Signal: SignalSuccess})
		}
		s := u.Stats()
		if s.Sent != 5 || s.InFlight != 0 || s.MaxInFlight != 5 || s.Waiting != 0 || s.Succeeded != 5 || s.Unclaimed != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// A waiter for a permit, while the holders of permits wait for tokens, is waiting for the rate.
func TestUpstreamWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		u := NewUpstream(Limits{Rate: 10, InFlight: 2})
		var callers []*caller
		for range 5 {
			callers = append(callers, call(t, c, u, 1, 300*ms))
		}
		wantWaited(t, u, HoldingRate, Waited{})
		c.at(50 * ms)
		wantWaited(t, u, HoldingRate, Waited{Rate: 50 * ms})
		c.at(200 * ms)
		wantWaited(t, u, HoldingConcurrency, Waited{Rate: 100 * ms, Concurrency: 100 * ms})
		c.at(time.Second)
		wantSent(t, callers, 0, 100*ms, 300*ms, 400*ms, 600*ms)
		wantWaited(t, u, HoldingNone, Waited{Rate: 100 * ms, Concurrency: 500 * ms})
	})
}

// A pause counts only while it holds somebody who could go otherwise.
func TestUpstreamWaitedInCoolDowns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		u := NewUpstream(Limits{Rate: 10, InFlight: 2})
		callers := []*caller{call(t, c, u, 1, ms), call(t, c, u, 1, ms), call(t, c, u, 1, ms), call(t, c, u, 1, ms)}
		c.at(50 * ms)
		u.Pause(c.time(400*ms), "test")
		c.at(200 * ms)
		wantWaited(t, u, HoldingCoolDown, Waited{Rate: 50 * ms, CoolDown: 150 * ms})
		u.Pause(c.time(time.Second), "test") // prolonged
		u.Pause(c.time(300*ms), "test")      // no matter
		c.at(1500 * ms)
		wantSent(t, callers, 0, 1000*ms, 1100*ms, 1200*ms)
		want := Waited{Rate: 250 * ms, CoolDown: 950 * ms}
		wantWaited(t, u, HoldingNone, want)

		// Nobody waits for its first half.
		c.at(2 * time.Second)
		u.Pause(c.time(3*time.Second), "test")
		c.at(2500 * ms)
		wantWaited(t, u, HoldingNone, want)
		call(t, c, u, 1, ms)
		c.at(4 * time.Second)
		want.CoolDown += 500 * ms
		wantWaited(t, u, HoldingNone, want)

		// Lifted.
		u.Pause(c.time(time.Hour), "test")
		late := []*caller{call(t, c, u, 1, ms), call(t, c, u, 1, ms)}
		c.at(4400 * ms)
		u.Resume()
		c.at(5 * time.Second)
		wantSent(t, late, 4400*ms, 4500*ms)
		want.CoolDown += 400 * ms
		want.Rate += 100 * ms
		wantWaited(t, u, HoldingNone, want)

		// Waiters for a permit are not held by a pause.
		u.SetLimits(Limits{Rate: 10, InFlight: 1})
		holder := call(t, c, u, 1, 0)
		waiter := call(t, c, u, 1, ms)
		u.Pause(c.time(6*time.Second), "test")
		c.at(5500 * ms)
		want.Concurrency += 500 * ms
		wantWaited(t, u, HoldingConcurrency, want)
		holder.permit.Release()
		c.at(7 * time.Second)
		want.CoolDown += 500 * ms
		wantWaited(t, u, HoldingNone, want)
		wantSent(t, []*caller{waiter}, 6*time.Second)
	})
}

func TestUpstreamWaitedForBandwidth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		u := NewUpstream(Limits{Rate: 2, InFlight: 2, Bandwidth: 1000})
		var sends sync.WaitGroup
		send := func(bytes int64) {
			sends.Go(func() {
				p, err := u.Acquire(t.Context(), 1)
				if err != nil {
					t.Error(err)
					return
				}
				io.Copy(io.Discard, u.bandwidth.Reader(t.Context(), zeros(bytes)))
				p.Release()
			})
			synctest.Wait()
		}
		send(512)  // all there
		send(2512) // from 0.5 s on; 500 more are there by then
		send(0)    // has a permit at once, and a token at 1 s
		send(0)    // waits for a permit from 0 s on, for the rate, gets it at 1 s
		c.at(200 * ms)
		wantWaited(t, u, HoldingRate, Waited{Rate: 200 * ms})
		c.at(1700 * ms)
		wantWaited(t, u, HoldingBandwidth, Waited{Rate: 1500 * ms, Bandwidth: 200 * ms})
		send(0)
		send(1) // a permit waiter while the one who holds both waits for bytes
		sends.Wait()
		c.at(4 * time.Second)
		if s := u.Stats(); s.Waited.Concurrency != 0 || s.Waited.Rate+s.Waited.Bandwidth != 2513*ms || s.Sent != 6 {
			t.Errorf("%+v", s)
		}
	})
}

func TestUpstreamWeight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		u := NewUpstream(Limits{Rate: 10})
		callers := []*caller{call(t, c, u, 0, ms), call(t, c, u, 5, ms), call(t, c, u, -3, ms)}
		c.at(time.Second)
		wantSent(t, callers, 0, 500*ms, 600*ms)
	})
}

func TestUpstreamLiveLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		u := NewUpstream(Limits{Rate: 1, Burst: 2, InFlight: 3})
		var callers []*caller
		for range 7 {
			callers = append(callers, call(t, c, u, 1, 0))
		}
		c.at(500 * ms)
		want := Limits{Rate: 10, InFlight: 5, Bandwidth: 1e6}
		if err := u.SetLimits(want); err != nil {
			t.Error(err)
		}
		if s := u.Stats(); s.Limits != want || !u.bandwidth.limited() {
			t.Errorf("%+v", s)
		}
		c.at(2 * time.Second)
		u.SetLimits(Limits{Fixed: true})
		wantSent(t, callers, 0, 0, 550*ms, 650*ms, 750*ms, 2*time.Second, 2*time.Second)
		if u.bandwidth.limited() {
			t.Error("a bandwidth limit is left")
		}
	})
}

func TestLimitsValidate(t *testing.T) {
	for _, ok := range []Limits{{}, {Rate: rate.Inf, Burst: 1, InFlight: math.MaxInt, Bandwidth: 0.1}} {
		if err := ok.Validate(); err != nil {
			t.Errorf("%+v: %v", ok, err)
		}
	}
	bad := Limits{Rate: rate.Limit(math.NaN()), Burst: -1, InFlight: -2, Bandwidth: -3}
	for _, what := range []struct {
		name string
		err  error
	}{
		{"Validate", bad.Validate()},
		{"SetLimits", NewUpstream(Limits{}).SetLimits(bad)},
		{"Acquire", func() error { _, err := NewUpstream(bad).Acquire(t.Context(), 1); return err }()},
	} {
		if what.err == nil {
			t.Errorf("%s: no error", what.name)
			continue
		}
		for _, part := range []string{"throttle: ", "Rate is NaN", "Burst is -1", "InFlight is -2", "Bandwidth is -3"} {
			if !strings.Contains(what.err.Error(), part) {
				t.Errorf("%s: %q does not say %q", what.name, what.err, part)
			}
		}
	}

	good := Limits{Rate: 7, InFlight: 3}
	u := NewUpstream(bad)
	if err := u.SetLimits(good); err != nil {
		t.Fatal(err)
	}
	if err := u.SetLimits(bad); err == nil || u.Stats().Limits != good {
		t.Errorf("invalid limits changed something: %v, %+v", err, u.Stats().Limits)
	}
	if p, err := u.Acquire(t.Context(), 1); err != nil {
		t.Error(err)
	} else {
		p.Release()
	}
}

// Stop fails all waiters, and leaves requests in flight alone.
// A rate that another process has found holds from now on, but not against a limit that was given,
// nor in a cool-down.
func TestUpstreamExpect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			name   string
			limits Limits
			rate   rate.Limit
			want   rate.Limit
		}{
			{"none found yet", Limits{}, 10, 10},
			{"given", Limits{Rate: 50}, 10, 50},
			{"fixed", Limits{Fixed: true}, 10, rate.Inf},
			{"no rate", Limits{}, 0, rate.Inf},
			{"below zero", Limits{}, -1, rate.Inf},
			{"not a number", Limits{}, rate.Limit(math.NaN()), rate.Inf},
			{"no limit", Limits{}, rate.Inf, rate.Inf},
		} {
			u := NewUpstream(test.limits)
			u.Expect(test.rate)
			if got := u.Stats().Rate; got != test.want {
				t.Errorf("%s: %v a second, want %v", test.name, got, test.want)
			}
		}

		u := NewUpstream(Limits{})
		u.Expect(10)
		begin := time.Now()
		for i := range 30 {
			p, err := u.Acquire(t.Context(), 1)
			if err != nil {
				t.Fatal(err)
			}
			if at, want := time.Since(begin), time.Duration(i+1)*time.Second/10; at != want {
				t.Errorf("request %d leaves after %v, want %v", i, at, want)
			}
			p.Done(Feedback{Signal: SignalSuccess, Latency: time.Millisecond})
		}

		p, err := u.Acquire(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		p.Done(Feedback{Signal: SignalThrottled, RetryAt: time.Now().Add(time.Minute)})
		u.Expect(100)
		if got := u.Stats().Rate; got > 10 {
			t.Errorf("%v a second were expected in a cool-down", got)
		}
	})
}

func TestUpstreamStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		why := errors.New("the day is over")
		u := NewUpstream(Limits{Rate: 10, InFlight: 2, Bandwidth: 1000})
		flying := call(t, c, u, 1, 0)
		waiters := []*caller{call(t, c, u, 1, 0), call(t, c, u, 1, 0)} // for a token, for a permit
		c.at(50 * ms)
		u.Stop(why)
		u.Stop(errors.New("again"))
		wantSent(t, waiters, 50*ms, 50*ms)
		waiters = append(waiters, call(t, c, u, 1, 0))
		for i, w := range waiters {
			var stop *StopError
			if !errors.As(w.err, &stop) || !errors.Is(w.err, why) || !stop.RetryAt().IsZero() ||
				!strings.HasPrefix(w.err.Error(), "throttle: ") {
				t.Errorf("waiter %d: %v", i, w.err)
			}
		}
		if n, err := io.Copy(io.Discard, u.bandwidth.Reader(t.Context(), zeros(5000))); n != 5000 || err != nil {
			t.Errorf("in flight: %d bytes, %v", n, err)
		}
		flying.permit.Done(Feedback{Signal: SignalSuccess})
		if s := u.Stats(); s.Succeeded != 1 || s.InFlight != 0 || s.Sent != 1 || s.Waiting != 0 || held(u) != 0 {
			t.Errorf("%+v", s)
		}
		if err := (&StopError{}).Error(); err != "throttle: stopped, nothing was sent" {
			t.Error(err)
		}
	})
}

// What one hears pauses all.
func TestUpstreamFeedback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		u := NewUpstream(Limits{Rate: 10, Fixed: true})
		permit := func() *Permit {
			t.Helper()
			p, err := u.Acquire(t.Context(), 1)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		one, two, three, four, five := permit(), permit(), permit(), permit(), permit()
		waiter := call(t, c, u, 1, ms)
		one.Done(Feedback{Signal: SignalSuccess, RetryAt: c.time(time.Hour)})
		two.Done(Feedback{Signal: SignalTimedOut, RetryAt: c.time(time.Hour)})
		if s := u.Stats(); !s.Paused.IsZero() {
			t.Errorf("paused until %v", s.Paused)
		}
		three.Done(Feedback{Signal: SignalThrottled, RetryAt: c.time(3 * time.Second), Source: "retry-after"})
		four.Done(Feedback{Signal: SignalOverloaded, RetryAt: c.time(2 * time.Second), Source: "earlier"})
		five.Done(Feedback{Signal: SignalThrottled})
		s := u.Stats()
		if !s.Paused.Equal(c.time(3*time.Second)) || s.PauseSource != "retry-after" {
			t.Errorf("paused until %v by %q", s.Paused, s.PauseSource)
		}
		if s.Succeeded != 1 || s.TimedOut != 1 || s.Throttled != 2 || s.Overloaded != 1 || s.InFlight != 0 {
			t.Errorf("%+v", s)
		}
		c.at(2500 * ms)
		u.Pause(c.time(4*time.Second), "later")
		u.Pause(c.time(time.Second), "past")
		if s := u.Stats(); !s.Paused.Equal(c.time(4*time.Second)) || s.PauseSource != "later" || s.Holding != HoldingCoolDown {
			t.Errorf("paused until %v by %q", s.Paused, s.PauseSource)
		}
		c.at(5 * time.Second)
		wantSent(t, []*caller{waiter}, 4*time.Second)
		if s := u.Stats(); !s.Paused.IsZero() || s.PauseSource != "" {
			t.Errorf("paused until %v by %q", s.Paused, s.PauseSource)
		}
		permit().Done(Feedback{Signal: 99}) // says nothing
	})
}

// Without a rate a pause holds all the same, and then they are free.
func TestUpstreamWithoutLimitsPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		u := NewUpstream(Limits{Fixed: true})
		call(t, c, u, 1, 0).permit.Done(Feedback{Signal: SignalThrottled, RetryAt: c.time(time.Second)})
		callers := []*caller{call(t, c, u, 1, ms), call(t, c, u, 9, ms)}
		c.at(2 * time.Second)
		wantSent(t, callers, time.Second, time.Second)
	})
}

func TestUpstreamCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("enough")
		u := NewUpstream(Limits{Rate: 0.001, InFlight: 2})
		p, err := u.Acquire(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		var group sync.WaitGroup
		for range 2 { // for a token, for a permit
			group.Go(func() {
				if _, err := u.Acquire(ctx, 1); err != cause {
					t.Errorf("got %v, want the cause", err)
				}
			})
		}
		synctest.Wait()
		cancel(cause)
		group.Wait()
		if _, err := u.Acquire(ctx, 1); err != cause {
			t.Errorf("on arrival: got %v, want the cause", err)
		}
		p.Release()
		if s := u.Stats(); s.InFlight != 0 || s.Waiting != 0 || s.Sent != 1 || held(u) != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// The words are those of the controller, and go to JSON and back.
func TestSignalAndPhaseText(t *testing.T) {
	for o, want := range map[Signal]string{
		0: "none", SignalIgnored: "ignored", SignalSuccess: "success", SignalThrottled: "throttled",
		SignalOverloaded: "overloaded", SignalTimedOut: "timed out", SignalAnswered: "answered",
		SignalFailed: "failed",
	} {
		text, err := o.MarshalText()
		var back Signal
		if err != nil || string(text) != want || back.UnmarshalText(text) != nil || back != o {
			t.Errorf("%d: %q, %v, read as %v; want %q", o, text, err, back, want)
		}
	}
	for p, want := range map[Phase]string{
		0: "none", PhaseStarting: "starting", PhaseSteady: "steady",
		PhaseHoldingBack: "holding back", PhaseDown: "down", PhaseFixed: "fixed",
	} {
		text, err := p.MarshalText()
		var back Phase
		if err != nil || string(text) != want || back.UnmarshalText(text) != nil || back != p {
			t.Errorf("%d: %q, %v, read as %v; want %q", p, text, err, back, want)
		}
	}
	var s Signal
	if err := s.UnmarshalText([]byte("well")); err == nil || Signal(99).String() != "throttle.Signal(99)" {
		t.Errorf("a word that there is not: %v; signal 99 is %q", err, Signal(99))
	}
}

func TestUpstreamLatency(t *testing.T) { synctest.Test(t, testUpstreamLatency) }

func testUpstreamLatency(t *testing.T) {
	u := NewUpstream(Limits{})
	tell := func(o Signal, latency time.Duration) time.Duration {
		p, err := u.Acquire(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		p.Done(Feedback{Signal: o, Latency: latency})
		return u.Stats().Latency
	}
	for i, step := range []struct {
		outcome       Signal
		latency, mean time.Duration
	}{
		{SignalThrottled, 10 * time.Millisecond, 0}, // refusals are fast and say nothing
		{SignalSuccess, 80 * time.Millisecond, 80 * time.Millisecond},
		{SignalSuccess, 160 * time.Millisecond, 90 * time.Millisecond},
		{SignalSuccess, 0, 90 * time.Millisecond},
		{SignalTimedOut, time.Minute, 90 * time.Millisecond},
	} {
		if got := tell(step.outcome, step.latency); got != step.mean {
			t.Errorf("after %d: %v, want %v", i, got, step.mean)
		}
	}
}

// A quota that is used up holds also while something is in flight, whichever request lands, and its
// end is an instant at which waiters go by themselves.
func TestUpstreamQuotaUsedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		u := NewUpstream(Limits{InFlight: 8})
		long, last := call(t, c, u, 1, 0), call(t, c, u, 1, 0)
		c.at(100 * ms)
		last.permit.Done(Feedback{Signal: SignalSuccess, Quotas: []Quota{{Remaining: 0, Reset: 5 * time.Second, Limit: 100, Window: -1}}})
		callers := []*caller{call(t, c, u, 1, ms), call(t, c, u, 1, ms)}
		c.at(time.Second)
		long.permit.Done(Feedback{}) // which says nothing, and leaves its place
		callers = append(callers, call(t, c, u, 1, 10*time.Minute))
		c.at(4 * time.Second)
		if n := u.Stats().Waiting; n != 3 {
			t.Errorf("%d wait while the quota is used up, want 3", n)
		}
		c.at(6 * time.Second)
		if first := callers[0]; first.sent != 5*time.Second {
			t.Errorf("the first went at %v, want 5s", first.sent)
		}
		c.at(20 * time.Minute)
	})
	// The same where what is in flight stays there for longer than the window.
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		u := NewUpstream(Limits{InFlight: 8})
		call(t, c, u, 1, 10*time.Minute)
		last := call(t, c, u, 1, 0)
		last.permit.Done(Feedback{Signal: SignalSuccess, Quotas: []Quota{{Remaining: 0, Reset: 5 * time.Second, Limit: 100, Window: -1}}})
		small := call(t, c, u, 1, ms)
		if s := u.Stats(); s.Holding != HoldingConcurrency {
			t.Errorf("held by %q", s.Holding)
		}
		c.at(time.Minute)
		wantSent(t, []*caller{small}, 5*time.Second)
		c.at(20 * time.Minute)
	})
}

// Requests in flight do not make the room overflow where int has 32 bits.
func TestUpstreamRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := NewUpstream(Limits{InFlight: 3})
		for range 3 {
			p, err := u.Acquire(t.Context(), 1)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Release()
			if s := u.Stats(); s.Limit != 3 {
				t.Errorf("limit %d with %d in flight", s.Limit, s.InFlight)
			}
		}
	})
}

// What overload taught holds below new ceilings: another rate alone does not put as many in flight
// as before.
func TestUpstreamSetLimitsKeepsWhatWasLearned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		u := NewUpstream(Limits{InFlight: 64, Rate: 1000, Burst: 64})
		for range 12 {
			var callers []*caller
			for range 64 {
				callers = append(callers, call(t, c, u, 1, 0))
			}
			c.at(c.now() + time.Second)
			for i, r := range callers {
				if r.permit == nil {
					continue
				}
				if i == 0 {
					r.permit.Done(Feedback{Signal: SignalSuccess})
				} else {
					r.permit.Done(Feedback{Signal: SignalOverloaded})
				}
			}
			if u.Stats().Limit < 16 {
				break
			}
		}
		before := u.Stats().Limit
		if err := u.SetLimits(Limits{InFlight: 64, Rate: 900, Burst: 64}); err != nil {
			t.Fatal(err)
		}
		if after := u.Stats().Limit; before >= 64 || after != before {
			t.Errorf("limit %d before, %d after another rate", before, after)
		}
		if err := u.SetLimits(Limits{InFlight: 128}); err != nil {
			t.Fatal(err)
		}
		if after := u.Stats().Limit; after != before {
			t.Errorf("limit %d before, %d after a higher ceiling", before, after)
		}
		u.Stop(nil)
	})
}

// Of many ends of one permit only one gives feedback.
func TestPermitEndsOnce(t *testing.T) {
	u := NewUpstream(Limits{})
	for range 200 {
		p, err := u.Acquire(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		var ends sync.WaitGroup
		for range 4 {
			ends.Go(func() { p.Done(Feedback{Signal: SignalSuccess}) })
		}
		ends.Wait()
	}
	if s := u.Stats(); s.Succeeded != 200 || s.InFlight != 0 {
		t.Errorf("%d successes of 200, %d in flight", s.Succeeded, s.InFlight)
	}
}
