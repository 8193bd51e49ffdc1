package throttle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
)

// A fakeLeaser answers by the function, and notes each call.
type fakeLeaser struct {
	answer func(ctx context.Context, want int) (Lease, error)

	begin time.Time
	mu    sync.Mutex
	calls []string
}

func newFakeLeaser(answer func(ctx context.Context, want int) (Lease, error)) *fakeLeaser {
	return &fakeLeaser{answer: answer, begin: time.Now()}
}

func (f *fakeLeaser) Lease(ctx context.Context, want int) (Lease, error) {
	f.mu.Lock()
	f.calls = append(f.calls, fmt.Sprint(time.Since(f.begin), " ", want))
	f.mu.Unlock()
	return f.answer(ctx, want)
}

// called returns the calls since it was last asked.
func (f *fakeLeaser) called() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	calls := f.calls
	f.calls = nil
	return calls
}

// A gcra leases the slots of one rate, most at a time, an answer taking so long.
func gcra(every, takes time.Duration, most int) func(context.Context, int) (Lease, error) {
	var mu sync.Mutex
	var tat time.Time
	return func(ctx context.Context, want int) (Lease, error) {
		select {
		case <-time.After(takes):
		case <-ctx.Done():
			return Lease{}, ctx.Err()
		}
		mu.Lock()
		defer mu.Unlock()
		if now := time.Now(); tat.Before(now) {
			tat = now
		}
		l := Lease{First: tat, Every: every, N: min(want, most)}
		tat = tat.Add(time.Duration(l.N) * every)
		return l, nil
	}
}

// acquire starts a caller, and returns where it says when it got its permit.
func acquire(t *testing.T, u *Upstream, begin time.Time, weight int) <-chan string {
	t.Helper()
	got := make(chan string, 1)
	go func() {
		p, err := u.Acquire(t.Context(), weight)
		if err != nil {
			got <- fmt.Sprint(time.Since(begin), " ", err)
			return
		}
		got <- fmt.Sprint(time.Since(begin))
		p.Done(Feedback{Signal: SignalSuccess})
	}()
	synctest.Wait()
	return got
}

func want[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// Callers go at the instants that were granted. The first lease is for those that wait when it is
// asked for; the second, asked for while callers use up the first, for the others.
func TestLeaser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		f := newFakeLeaser(gcra(10*time.Millisecond, time.Millisecond, 100))
		u := NewUpstream(Limits{Fixed: true})
		u.SetLeaser(f)
		var got []<-chan string
		for range 4 {
			got = append(got, acquire(t, u, begin, 1))
		}
		want(t, "holding", u.Stats().Holding, HoldingQuota)
		for i, at := range []string{"1ms", "11ms", "21ms", "31ms"} {
			want(t, "caller", <-got[i], at)
		}
		want(t, "calls", fmt.Sprint(f.called()), "[0s 1 1ms 3]")
		s := u.Stats()
		want(t, "waited", s.Waited, Waited{Quota: 31 * time.Millisecond})
		want(t, "holding", s.Holding, HoldingNone)
		want(t, "unclaimed", s.Unclaimed, 1) // all that was wanted was used, and nobody waits
	})
}

// A slot is void 20 ms after its instant, and what is void does not leave as a burst.
func TestLeaserVoidSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		f := newFakeLeaser(func(context.Context, int) (Lease, error) {
			return Lease{First: begin.Add(10 * time.Millisecond), Every: 10 * time.Millisecond, N: 100}, nil
		})
		u := NewUpstream(Limits{Fixed: true})
		u.SetLeaser(f)
		want(t, "first", <-acquire(t, u, begin, 1), "10ms")
		time.Sleep(90 * time.Millisecond) // slots at 20 … 100 ms
		for range 3 {                     // at 80, 90 and 100 ms
			want(t, "next", <-acquire(t, u, begin, 1), "100ms")
		}
		want(t, "next", <-acquire(t, u, begin, 1), "110ms")
		time.Sleep(20*time.Millisecond + 1) // that of 120 ms is void by 140 ms
		want(t, "next", <-acquire(t, u, begin, 1), fmt.Sprint(130*time.Millisecond+1))
		time.Sleep(20*time.Millisecond - 1)
		want(t, "unclaimed", u.Stats().Unclaimed > 6, true)
	})
}

// Of a lease that began in the past only the last slots may be left; of one without a beginning
// there are none, and the Leaser is called 20 times a second.
func TestLeaserPastSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		past := newFakeLeaser(func(context.Context, int) (Lease, error) {
			return Lease{First: begin.Add(-time.Minute), Every: 30 * time.Millisecond, N: 2002}, nil
		})
		u := NewUpstream(Limits{Fixed: true})
		u.SetLeaser(past)
		want(t, "past", <-acquire(t, u, begin, 1), "0s")
		want(t, "past", <-acquire(t, u, begin, 1), "30ms")

		zero := newFakeLeaser(func(context.Context, int) (Lease, error) {
			return Lease{N: 100}, nil
		})
		u.SetLeaser(zero)
		got := acquire(t, u, begin, 1)
		time.Sleep(time.Second)
		if n := len(got) + len(zero.called()); n < 15 || n > 21 {
			t.Errorf("%d calls in a second, want 20", n)
		}
		u.Stop(context.Canceled)
		if text := <-got; !strings.Contains(text, "canceled") {
			t.Errorf("a slot without an instant was used at %s", text)
		}
	})
}

// Without a slot nothing is sent; after an error it is asked for again when the error says, or
// after a second. If it says never, those that wait fail.
func TestLeaserError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		down := errors.New("the engine is down")
		answers := []struct {
			l   Lease
			err error
		}{
			{err: down},
			{err: &StopError{down}},
			{err: &PausedError{Until: begin.Add(3 * time.Second)}},
			{l: Lease{}},
			{l: Lease{Again: begin.Add(4500 * time.Millisecond)}},
			{l: Lease{First: begin.Add(5 * time.Second), N: 1}},
		}
		f := newFakeLeaser(func(context.Context, int) (Lease, error) {
			a := answers[0]
			answers = answers[1:]
			return a.l, a.err
		})
		u := NewUpstream(Limits{Fixed: true})
		u.SetLeaser(f)
		first, second := acquire(t, u, begin, 1), acquire(t, u, begin, 1)
		const stop = "1s throttle: no quota: throttle: stopped, nothing was sent: the engine is down, nothing was sent"
		want(t, "first", <-first, stop)
		want(t, "second", <-second, stop)
		want(t, "calls", fmt.Sprint(f.called()), "[0s 1 1s 2]")
		want(t, "third", <-acquire(t, u, begin, 1), "5s")
		want(t, "calls", fmt.Sprint(f.called()), "[1.05s 1 3s 1 4s 1 4.5s 1]")
	})
}

// TryAcquire takes a slot that is there, and asks for one that is not.
func TestLeaserTryAcquire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeLeaser(gcra(10*time.Millisecond, time.Millisecond, 100))
		u := NewUpstream(Limits{Fixed: true})
		u.SetLeaser(f)
		try := func(weight int, ok bool) {
			t.Helper()
			p, got := u.TryAcquire(weight)
			want(t, fmt.Sprint("TryAcquire ", weight), got, ok)
			if got {
				p.Done(Feedback{Signal: SignalSuccess})
			}
		}
		try(2, false)
		synctest.Wait()
		time.Sleep(time.Millisecond)
		synctest.Wait()
		try(2, false) // the second is due in 10 ms
		time.Sleep(10 * time.Millisecond)
		try(2, true)
		try(1, false)
		time.Sleep(time.Second)
		want(t, "calls", fmt.Sprint(f.called()), "[0s 2]") // nobody waits: 50 ms were not over
		try(1, false)
		time.Sleep(time.Millisecond)
		synctest.Wait()
		try(1, true)
	})
}

// TryAcquire asks for no slots that it cannot use: those of a weight must be there at once.
func TestLeaserTryAcquireWeight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			every time.Duration
			got   bool
			calls int
		}{{11 * time.Millisecond, false, 1}, {10 * time.Millisecond, true, 20}} {
			f := newFakeLeaser(gcra(c.every, time.Millisecond, 100))
			u := NewUpstream(Limits{Fixed: true})
			u.SetLeaser(f)
			got := false
			for range 1000 {
				if p, ok := u.TryAcquire(3); ok {
					got = true
					p.Done(Feedback{Signal: SignalSuccess})
				}
				time.Sleep(time.Millisecond)
			}
			if n := len(f.called()); got != c.got || n > c.calls || n < c.calls/2 {
				t.Errorf("a slot each %v: got %v, want %v; %d calls, want %d", c.every, got, c.got,
					n, c.calls)
			}
		}
	})
}

// The own rate holds besides; a slot that falls due too early for it goes void.
func TestLeaserAndRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		f := newFakeLeaser(gcra(15*time.Millisecond, 10*time.Millisecond, 100))
		u := NewUpstream(Limits{Rate: 50, InFlight: 100, Fixed: true})
		u.SetLeaser(f)
		var got []<-chan string
		for range 6 {
			got = append(got, acquire(t, u, begin, 1))
		}
		for i, at := range []string{"10ms", "30ms", "50ms", "70ms", "90ms", "120ms"} {
			want(t, "caller", <-got[i], at)
		}
		if s := u.Stats(); s.Waited.Rate == 0 || s.Waited.Rate+s.Waited.Quota != 120*time.Millisecond {
			t.Errorf("waited %+v", s.Waited)
		}
	})
}

// A heavy request goes at the last of its slots.
func TestLeaserWeight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		u := NewUpstream(Limits{Fixed: true})
		u.SetLeaser(newFakeLeaser(gcra(10*time.Millisecond, 0, 3)))
		first, second := acquire(t, u, begin, 5), acquire(t, u, begin, 2)
		want(t, "first", <-first, "40ms")
		want(t, "second", <-second, "60ms")
	})
}

// Another Leaser, or none, acts on callers that wait. The call under way ends, and is not heard.
func TestSetLeaser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var ended atomic.Int64
		slow := newFakeLeaser(func(ctx context.Context, _ int) (Lease, error) {
			<-ctx.Done()
			ended.Add(1)
			return Lease{First: time.Now(), N: 100}, nil
		})
		u := NewUpstream(Limits{Fixed: true})
		u.SetLeaser(slow)
		first, second := acquire(t, u, begin, 1), acquire(t, u, begin, 1)
		time.Sleep(time.Second)
		u.SetLeaser(newFakeLeaser(gcra(time.Hour, time.Millisecond, 1)))
		want(t, "first", <-first, "1.001s")
		synctest.Wait()
		want(t, "ended", ended.Load(), 1)
		time.Sleep(time.Second)
		u.SetLeaser(nil)
		want(t, "second", <-second, "2.001s")
		u.SetLeaser(slow)
		third := acquire(t, u, begin, 1)
		u.Stop(errors.New("enough"))
		want(t, "third", <-third, "2.001s throttle: stopped, nothing was sent: enough")
		synctest.Wait()
		want(t, "ended", ended.Load(), 2)
	})
}

// What was granted before the machine was suspended is not used after.
func TestLeaserWhileSuspended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var slept atomic.Int64
		f := newFakeLeaser(gcra(10*time.Millisecond, 0, 3))
		u := NewUpstream(Limits{Fixed: true})
		u.line.asleep = func() time.Duration { return time.Duration(slept.Load()) }
		u.SetLeaser(f)
		got := acquire(t, u, begin, 3) // 0, 10, 20 ms
		time.Sleep(5 * time.Millisecond)
		slept.Add(int64(time.Hour))
		want(t, "after", <-got, "70ms") // it had taken one slot, which is not used
		want(t, "calls", fmt.Sprint(f.called()), "[0s 3 50ms 5]")
	})
}

// What a caller of a weight has gathered of one Leaser is no part of what it needs of the next.
func TestSetLeaserGathered(t *testing.T) {
	for _, between := range []func(u *Upstream){
		func(*Upstream) {},
		func(u *Upstream) { u.Cap(0, time.Now()); u.SetLeaser(nil) },
	} {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			u := NewUpstream(Limits{InFlight: 1000, Fixed: true})
			u.SetLeaser(newFakeLeaser(func(context.Context, int) (Lease, error) {
				return Lease{First: time.Now(), N: 9, Again: time.Now().Add(time.Hour)}, nil
			}))
			got := acquire(t, u, begin, 10)
			time.Sleep(time.Second)
			f := newFakeLeaser(gcra(time.Second, 0, 1))
			between(u)
			u.SetLeaser(f)
			u.Cap(-1, time.Time{})
			want(t, "after", <-got, "10s")
			want(t, "first call", f.called()[0], "0s 10")
		})
	}
}

// A Leaser that is set once more goes on, with its call that is under way and with its slots.
func TestSetLeaserAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		f := newFakeLeaser(gcra(10*time.Millisecond, 5*time.Millisecond, 100))
		u := NewUpstream(Limits{Fixed: true})
		u.SetLeaser(f)
		got := acquire(t, u, begin, 3)
		u.SetLeaser(f)
		time.Sleep(12 * time.Millisecond) // it has one slot, and those at 15 and 25 ms in stock
		u.SetLeaser(f)
		want(t, "after", <-got, "25ms")
		want(t, "calls", fmt.Sprint(f.called()), "[0s 3]")

		// One that cannot be compared is another.
		u.SetLeaser(leaserFunc(f.Lease))
		u.SetLeaser(leaserFunc(f.Lease))
	})
}

type leaserFunc func(context.Context, int) (Lease, error)

func (f leaserFunc) Lease(ctx context.Context, want int) (Lease, error) { return f(ctx, want) }

// Cap limits how many are in flight, until its instant.
func TestCap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var slept atomic.Int64
		u := NewUpstream(Limits{Rate: rate.Inf, InFlight: 3, Fixed: true})
		u.line.asleep = func() time.Duration { return time.Duration(slept.Load()) }
		u.Cap(2, begin.Add(10*time.Second))
		var permits []*Permit
		take := func(ok bool) {
			t.Helper()
			p, got := u.TryAcquire(1)
			want(t, "TryAcquire", got, ok)
			if got {
				permits = append(permits, p)
			}
		}
		give := func() {
			permits[0].Done(Feedback{Signal: SignalSuccess})
			permits = permits[1:]
		}
		take(true)
		take(true)
		take(false)
		waiter := acquire(t, u, begin, 1)
		want(t, "holding", u.Stats().Holding, HoldingQuota)
		time.Sleep(time.Second)
		give()
		want(t, "waiter", <-waiter, "1s")
		waiter = acquire(t, u, begin, 1)
		want(t, "waiter", <-waiter, "1s")
		time.Sleep(9 * time.Second)
		take(false) // it has ended
		waiter = acquire(t, u, begin, 1)
		time.Sleep(time.Second)
		want(t, "waits", len(waiter), 0)
		u.Cap(2, begin.Add(time.Minute))
		want(t, "waiter", <-waiter, "11s")
		slept.Add(int64(2 * time.Second))
		take(false)
		u.Cap(-1, time.Time{})
		take(true)
		take(true)
		take(false) // Limits hold
		for len(permits) > 0 {
			give()
		}
		want(t, "share", u.line.mu.share == nil, true)
	})
}

// LeaserFor gives each upstream its own. One that is idle may be forgotten, unless SetLeaser or Cap
// was called.
func TestLeaserFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var keys []string
		tr := &Transport{
			MaxUpstreams: 1,
			Limits:       Limits{Fixed: true},
			LeaserFor: func(key string) Leaser {
				keys = append(keys, key)
				if key == "b" {
					return nil
				}
				return newFakeLeaser(gcra(10*time.Millisecond, 0, 1))
			},
		}
		begin := time.Now()
		a := tr.Upstream("a")
		want(t, "a", <-acquire(t, a, begin, 1), "0s")
		want(t, "leased", a.line.mu.share != nil, true)
		b := tr.Upstream("b")
		want(t, "free", b.line.mu.share == nil, true)
		has := func(key string, want bool) {
			t.Helper()
			if _, ok := tr.Lookup(key); ok != want {
				t.Errorf("%s is there: %v, want %v", key, ok, want)
			}
		}
		has("a", false)
		b.Cap(1, begin.Add(time.Hour))
		tr.Upstream("c")
		has("b", true)
		b.Cap(-1, begin)
		b.SetLeaser(newFakeLeaser(nil))
		tr.Upstream("d")
		has("b", true)
		b.SetLeaser(nil)
		tr.Upstream("e")
		tr.Upstream("f")
		has("b", false)
		if got := keys; !slices.Equal(got, []string{"a", "b", "c", "d", "e", "f"}) {
			t.Error(got)
		}
	})
}
