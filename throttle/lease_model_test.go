package throttle

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// leaseModel is a line that needs nothing but slots, as a list of what happens.
type leaseModel struct {
	slots  []time.Duration // granted, and neither used nor void
	queue  []*leaseWait
	paused time.Duration // until
}

type leaseWait struct {
	n    int // slots, those that it has left out
	at   time.Duration
	done bool
}

// run serves those that wait for as long as it can at an instant.
func (m *leaseModel) run(now time.Duration) {
	m.slots = slices.DeleteFunc(m.slots, func(at time.Duration) bool { return at < now-slotLife })
	for len(m.queue) > 0 && now >= m.paused {
		i := slices.IndexFunc(m.slots, func(at time.Duration) bool { return at <= now })
		if i < 0 {
			return
		}
		m.slots = slices.Delete(m.slots, i, i+1)
		w := m.queue[0]
		if w.n--; w.n == 0 {
			w.at, w.done = now, true
			m.queue = m.queue[1:]
		}
	}
}

// next returns the first instant after now at which somebody may be served.
func (m *leaseModel) next(now time.Duration) time.Duration {
	next := never
	for _, at := range append(slices.Clone(m.slots), m.paused) {
		if at > now {
			next = min(next, at)
		}
	}
	return next
}

// TestLeaserEqualsModel has callers come, wait, and leave at random, with pauses, while leases of
// any kind come, and compares the instant of each permit with the model's: each slot is used by the
// one that waits, at its instant; by one that comes within 20 ms; or never.
func TestLeaserEqualsModel(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) { compareLeaser(t, seed) })
		if t.Failed() {
			t.Fatal("seed", seed)
		}
	}
}

func compareLeaser(t *testing.T, seed uint64) {
	rnd, grants := rand.New(rand.NewPCG(seed, 0)), rand.New(rand.NewPCG(seed, 1))
	begin := time.Now()
	now := func() time.Duration { return time.Since(begin) }
	var (
		mu    sync.Mutex
		m     leaseModel
		to    time.Duration // until when the model has run
		last  time.Duration
		log   []string
		group sync.WaitGroup
	)
	defer func() {
		if t.Failed() {
			t.Log(log)
		}
	}()
	note := func(format string, args ...any) {
		log = append(log, fmt.Sprintf("%v ", now())+fmt.Sprintf(format+"\n", args...))
	}
	pass := func() { // requires mu
		for next := m.next(to); next <= now(); next = m.next(to) {
			to = next
			m.run(to)
		}
		to = now()
		m.run(to)
	}
	leaser := newFakeLeaser(func(ctx context.Context, want int) (Lease, error) {
		mu.Lock()
		takes, fails := time.Duration(grants.Int64N(int64(20*ms))), grants.IntN(10) == 0
		mu.Unlock()
		select {
		case <-time.After(takes):
		case <-ctx.Done():
			return Lease{}, ctx.Err()
		}
		mu.Lock()
		defer mu.Unlock()
		if fails {
			return Lease{}, &PausedError{Until: time.Now().Add(takes)}
		}
		pass()
		n := grants.IntN(want + 1)
		first := max(last, now()) + time.Duration(grants.Int64N(int64(30*ms)))
		every := time.Duration(grants.Int64N(int64(10 * ms)))
		if grants.IntN(5) == 0 {
			every = 0
		}
		note("%d of %d from %v every %v", n, want, first, every)
		for i := range n {
			last = first + time.Duration(i)*every
			m.slots = append(m.slots, last)
		}
		m.run(now())
		return Lease{First: begin.Add(first), Every: every, N: n}, nil
	})
	u := NewUpstream(Limits{Fixed: true})
	u.SetLeaser(leaser)
	type real struct {
		*leaseWait
		cancel context.CancelFunc
		got    time.Duration
		err    error
	}
	var waits []*real
	for range 150 {
		time.Sleep(time.Duration(rnd.ExpFloat64() * float64(8*ms)))
		synctest.Wait()
		mu.Lock()
		pass()
		switch op := rnd.IntN(20); {
		case op < 14:
			n := 1 + rnd.IntN(2)*rnd.IntN(3)
			note("comes, for %d", n)
			w := &real{leaseWait: &leaseWait{n: n}}
			waits = append(waits, w)
			m.queue = append(m.queue, w.leaseWait)
			m.run(to)
			var ctx context.Context
			ctx, w.cancel = context.WithCancel(t.Context())
			group.Go(func() {
				p, err := u.Acquire(ctx, n)
				if w.err = err; err == nil {
					w.got = now()
					p.Done(Feedback{Signal: SignalSuccess})
				}
			})
		case op < 17 && len(m.queue) > 0:
			i := rnd.IntN(len(m.queue))
			note("leaves: %d", i)
			w := waits[slices.IndexFunc(waits, func(w *real) bool { return w.leaseWait == m.queue[i] })]
			m.queue = slices.Delete(m.queue, i, i+1)
			m.run(to)
			w.cancel()
		case op == 17:
			m.paused = max(m.paused, now()+time.Duration(rnd.Int64N(int64(60*ms))))
			note("pause until %v", m.paused)
			u.Pause(begin.Add(m.paused), "")
		case op == 18:
			p, ok := u.TryAcquire(1)
			note("tries: %v", ok)
			can := len(m.queue) == 0 && now() >= m.paused &&
				slices.ContainsFunc(m.slots, func(at time.Duration) bool { return at <= to })
			if ok != can {
				t.Errorf("%v: TryAcquire returns %v, want %v", now(), ok, can)
			}
			if ok {
				p.Done(Feedback{Signal: SignalSuccess})
				m.queue = append(m.queue, &leaseWait{n: 1})
				m.run(to)
			}
		}
		mu.Unlock()
		synctest.Wait()
		mu.Lock()
		got, want := u.Stats().Waiting, len(m.queue)
		mu.Unlock()
		if got != want {
			t.Errorf("%v: %d wait, want %d", now(), got, want)
			break
		}
	}
	if !t.Failed() { // all get their slots in the end
		for deadline := time.Now().Add(time.Minute); u.Stats().Waiting > 0 && time.Now().Before(deadline); {
			time.Sleep(time.Second)
		}
	}
	mu.Lock()
	pass()
	mu.Unlock()
	u.Stop(nil)
	group.Wait()
	for i, w := range waits {
		w.cancel()
		if w.done != (w.err == nil) || w.done && w.got != w.at {
			t.Errorf("wait %d: %v at %v, want %v at %v", i, w.err, w.got, w.done, w.at)
		}
	}
}
