package throttle

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock/internal/adaptive"
	"github.com/penstock/penstock/internal/seconds"
)

// TestUpstreamEqualsModel has many callers do at random all that they can do, with a
// server that does at random all that it can. The model counts who is in flight.
// Nobody waits while nothing holds, and once the server takes everything, everybody
// gets through.
func TestUpstreamEqualsModel(t *testing.T) {
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) { compareUpstream(t, seed) })
		if t.Failed() {
			t.Fatal("seed", seed)
		}
	}
}

// upstreamModel is what one who only counts knows.
type upstreamModel struct {
	mu       sync.Mutex
	rnd      *rand.Rand
	inFlight int
	allowed  int // so many were in flight when the limits were set
	limits   Limits
	well     bool // the server takes everything
}

func compareUpstream(t *testing.T, seed uint64) {
	m := &upstreamModel{rnd: rand.New(rand.NewPCG(seed, 3))}
	m.limits = m.randomLimits()
	u := NewUpstream(m.limits)
	check := func() {
		t.Helper()
		m.mu.Lock()
		defer m.mu.Unlock()
		s := u.Stats()
		u.mu.Lock()
		places, refused := u.mu.controller.Places(), u.mu.controller.Refused()
		u.mu.Unlock()
		if s.InFlight != m.inFlight || held(u) != m.inFlight || places != m.inFlight {
			t.Errorf("%d in flight, %d held, the controller has %d places; want %d", s.InFlight, held(u), places, m.inFlight)
		}
		if s.Limit < 0 || s.Limit == 0 && m.inFlight == 0 && s.Paused.IsZero() || !(s.Rate > 0) {
			t.Errorf("limit %d, rate %v", s.Limit, s.Rate)
		}
		if in := m.limits.InFlight; in > 0 && s.Limit > in {
			t.Errorf("limit %d above the ceiling %d", s.Limit, in)
		}
		if r := m.limits.Rate; r > 0 && s.Rate > r {
			t.Errorf("rate %v above the ceiling %v", s.Rate, r)
		}
		if (s.Phase == PhaseFixed) != (m.limits.Fixed && !refused) || (s.Phase == PhaseDown || s.Phase == PhaseHoldingBack) != refused {
			t.Errorf("phase %q", s.Phase)
		}
		if inVain(u) {
			t.Errorf("%v: somebody waits although nothing holds: %+v", time.Now(), s)
		}
	}

	var group sync.WaitGroup
	stop := make(chan struct{})
	for range 30 {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					m.request(t, u)
				}
			}
		})
	}
	begin := time.Now()
	for time.Since(begin) < 2*time.Minute {
		// Nothing need happen when orders change by themselves.
		for step := time.Now().Add(time.Duration(m.random(2e9))); ; check() {
			u.mu.Lock()
			end := u.mu.controller.Orders(time.Now()).Until
			u.mu.Unlock()
			if !end.After(time.Now()) || end.After(step) {
				time.Sleep(time.Until(step))
				synctest.Wait()
				break
			}
			time.Sleep(time.Until(end))
			synctest.Wait()
		}
		switch m.random(12) {
		case 0:
			m.mu.Lock()
			m.limits = m.randomLimits()
			m.allowed = m.inFlight
			u.SetLimits(m.limits)
			m.mu.Unlock()
		case 1:
			u.Pause(time.Now().Add(time.Duration(m.random(5e9))), "test")
		case 2:
			u.Resume()
		}
		synctest.Wait()
		check()
	}

	// All is well, and everybody is served.
	m.mu.Lock()
	m.well = true
	m.limits = Limits{}
	u.SetLimits(m.limits)
	m.mu.Unlock()
	close(stop)
	done := make(chan struct{})
	go func() {
		group.Wait()
		close(done)
	}()
	for range 3600 {
		time.Sleep(time.Second)
		synctest.Wait()
		check()
		select {
		case <-done:
			wantIdle(t, "in the end", u)
			return
		default:
		}
	}
	t.Errorf("a waiter waits forever: %+v", u.Stats())
	u.Stop(nil)
	<-done
}

// inVain reports whether the first in line waits although neither a pause nor the
// controller, asked now, holds it.
func inVain(u *Upstream) bool {
	now := time.Now()
	u.mu.Lock()
	defer u.mu.Unlock()
	o, b := u.mu.controller.Orders(now), u.line
	b.mu.Lock()
	defer b.mu.Unlock()
	w := b.mu.queue.first
	switch {
	case w == nil, b.mu.pause.until.After(now):
		return false
	case !u.mu.orders.Until.IsZero() && u.mu.orders.Until.Before(now):
		return true
	case o.Held && o.Probe.IsZero():
		return u.mu.controller.Places() == 0 // nothing is under way that could end it
	case o.Held && (o.Probe.After(now) || b.mu.door.inFlight >= o.Most), !o.Held && b.mu.door.inFlight >= o.Room:
		return false
	}
	// A rate that grows is looked at when something happens.
	return b.mu.reserved == 0 || b.mu.due-b.mu.now() > seconds.Duration(float64(w.n)/u.mu.orders.Rate)+1
}

func (m *upstreamModel) random(n int64) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rnd.Int64N(n)
}

// randomLimits requires that mu is held, or nobody else is there.
func (m *upstreamModel) randomLimits() (l Limits) {
	if m.rnd.IntN(2) == 0 {
		l.InFlight = 1 + m.rnd.IntN(20)
	}
	if m.rnd.IntN(3) == 0 {
		l.Rate = rate.Limit(5 + m.rnd.IntN(100))
		l.Burst = m.rnd.IntN(4)
	}
	l.Fixed = m.rnd.IntN(4) == 0
	return l
}

// request sends one request, which may be cancelled while it waits.
func (m *upstreamModel) request(t *testing.T, u *Upstream) {
	ctx, cancel := t.Context(), context.CancelFunc(func() {})
	m.mu.Lock()
	impatient, weight := !m.well && m.rnd.IntN(4) == 0, 1+m.rnd.IntN(2)
	patience := time.Duration(m.rnd.Int64N(3e9))
	m.mu.Unlock()
	if impatient {
		ctx, cancel = context.WithTimeout(ctx, patience)
	}
	defer cancel()
	p, err := u.Acquire(ctx, weight)
	if err != nil {
		if !impatient || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		return
	}
	m.mu.Lock()
	// Who goes finds room below the ceiling; those before it may be more, where that was lowered.
	if m.inFlight++; m.limits.InFlight > 0 && m.inFlight > max(m.limits.InFlight, m.allowed) {
		t.Errorf("%v: %d in flight where %d are allowed, then %d: %+v", time.Now(), m.inFlight, m.limits.InFlight, m.allowed, u.Stats())
	}
	f := m.feedback()
	m.mu.Unlock()
	time.Sleep(f.Latency)
	if f.RetryAt = time.Now().Add(time.Duration(m.random(3e9))); m.random(2) == 0 {
		f.RetryAt = time.Time{}
	}
	if f.Signal == SignalSuccess && m.random(2) == 0 {
		p.tell(f) // as a Transport does, and the answer is read for a while
		time.Sleep(time.Duration(m.random(1e9)))
		f = Feedback{}
	}
	m.mu.Lock()
	m.inFlight--
	m.allowed = min(m.allowed, m.inFlight)
	p.Done(f)
	p.Release()
	m.mu.Unlock()
}

// feedback requires that mu is held.
func (m *upstreamModel) feedback() Feedback {
	f := Feedback{Signal: SignalSuccess, Latency: time.Duration(m.rnd.ExpFloat64() * 200e6)}
	if m.well {
		return f
	}
	if m.rnd.IntN(3) == 0 {
		f.Signal = Signal(m.rnd.IntN(len(adaptive.Signals)))
	}
	if m.rnd.IntN(10) == 0 {
		f.Latency *= 100
	}
	if m.rnd.IntN(20) == 0 {
		f.Quotas = []Quota{{Remaining: m.rnd.Int64N(30) - 1, Reset: time.Duration(m.rnd.Int64N(10e9)) - 1, Limit: m.rnd.Int64N(30) - 1, Window: time.Duration(m.rnd.Int64N(10e9)) - 1}}
	}
	if m.rnd.IntN(20) == 0 {
		f.InFlight = m.rnd.IntN(30)
	}
	return f
}

// A liar of a server costs neither requests nor memory: how many requests it gets
// in a day of it is bounded.
func TestUpstreamLiars(t *testing.T) {
	year := 365 * 24 * time.Hour
	for name, test := range map[string]struct {
		most int // requests in a day
		lie  func(n int, rnd *rand.Rand) Feedback
	}{
		"429 forever": {1500, func(int, *rand.Rand) Feedback { return Feedback{Signal: SignalThrottled} }},
		"503 forever": {9000, func(int, *rand.Rand) Feedback { return Feedback{Signal: SignalOverloaded} }},
		"504 forever": {9000, func(int, *rand.Rand) Feedback { return Feedback{Signal: SignalTimedOut} }},
		"429, come back in a year": {1, func(int, *rand.Rand) Feedback {
			return Feedback{Signal: SignalThrottled, RetryAt: time.Now().Add(year)}
		}},
		"503, come back in a year": {1, func(int, *rand.Rand) Feedback {
			return Feedback{Signal: SignalOverloaded, RetryAt: time.Now().Add(year)}
		}},
		"429, come back a year ago": {1500, func(int, *rand.Rand) Feedback {
			return Feedback{Signal: SignalThrottled, RetryAt: time.Now().Add(-year)}
		}},
		"503, come back a year ago": {9000, func(int, *rand.Rand) Feedback {
			return Feedback{Signal: SignalOverloaded, RetryAt: time.Now().Add(-year)}
		}},
		"429, come back at once":     {9000, func(int, *rand.Rand) Feedback { return Feedback{Signal: SignalThrottled, RetryAt: time.Now().Add(ms)} }},
		"accepted, a latency of 1 h": {10000, func(int, *rand.Rand) Feedback { return Feedback{Signal: SignalSuccess, Latency: time.Hour} }},
		"429, wildly changing": {5000, func(n int, rnd *rand.Rand) Feedback {
			return Feedback{Signal: SignalThrottled, RetryAt: time.Now().Add(time.Duration(rnd.Int64N(120e9) - 60e9))}
		}},
		"accepted, nothing left for a year": {1, func(int, *rand.Rand) Feedback {
			return Feedback{Signal: SignalSuccess, Quotas: []Quota{{Remaining: 0, Reset: year, Limit: 10, Window: year}}}
		}},
		"quotas that contradict": {1000000, func(n int, rnd *rand.Rand) Feedback {
			f := Feedback{Signal: SignalSuccess}
			for range 3 {
				f.Quotas = append(f.Quotas, Quota{Remaining: rnd.Int64N(1000), Reset: time.Duration(rnd.Int64N(100e9)), Limit: rnd.Int64N(10), Window: time.Duration(rnd.Int64N(1000e9))})
			}
			return f
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rnd := rand.New(rand.NewPCG(1, 1))
				u := NewUpstream(Limits{})
				ctx, cancel := context.WithCancel(t.Context())
				var group sync.WaitGroup
				var mu sync.Mutex
				sent := 0
				for range 20 {
					group.Go(func() {
						for {
							p, err := u.Acquire(ctx, 1)
							if err != nil {
								return
							}
							mu.Lock()
							sent++
							f := test.lie(sent, rnd)
							mu.Unlock()
							time.Sleep(max(f.Latency, 10*ms))
							if !f.RetryAt.IsZero() {
								f.RetryAt = f.RetryAt.Add(10 * ms)
							}
							p.Done(f)
						}
					})
				}
				time.Sleep(24 * time.Hour)
				cancel()
				group.Wait()
				if sent == 0 || sent > test.most {
					t.Errorf("%d sent, want at most %d: %+v", sent, test.most, u.Stats())
				}
			})
		})
	}
}
