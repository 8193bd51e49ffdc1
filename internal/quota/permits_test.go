package quota

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/standing"
	"github.com/penstock/penstock/internal/test"
	"github.com/penstock/penstock/throttle"
)

// A flight counts requests in flight, of all hosts.
type flight struct {
	mu        sync.Mutex
	now, most int
	area      time.Duration // in flight times time
	last      time.Time
}

func (f *flight) add(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	f.area += time.Duration(f.now) * now.Sub(f.last)
	f.last = now
	f.now += n
	f.most = max(f.most, f.now)
}

// take returns the mean and the most since the last call.
func (f *flight) take(length time.Duration) (mean float64, most int) {
	f.add(0)
	f.mu.Lock()
	defer f.mu.Unlock()
	mean, most = float64(f.area)/float64(length), f.most
	f.area, f.most = 0, f.now
	return mean, most
}

// A flyer is a host that has requests in flight, for a second or so each.
type flyer struct {
	q      *Quota
	u      *throttle.Upstream
	cancel func()
	done   sync.WaitGroup
}

func (f *flight) host(e *engine, o Options, workers int) *flyer {
	return f.hostBy(e.host(o), workers)
}

func (f *flight) hostBy(q *Quota, workers int) *flyer {
	h := &flyer{q: q, u: upstream()}
	h.q.Attach(h.u)
	ctx, cancel := context.WithCancel(context.Background())
	h.cancel = cancel
	for range workers {
		h.done.Go(func() {
			for ctx.Err() == nil {
				p, err := h.u.Acquire(ctx, 1)
				if err != nil {
					return
				}
				f.add(1)
				time.Sleep(time.Duration(rand.IntN(int(time.Second))))
				f.add(-1)
				p.Done(throttle.Feedback{Signal: throttle.SignalSuccess})
			}
		})
	}
	return h
}

func (h *flyer) stop() {
	h.cancel()
	h.done.Wait()
}

func inFlight(n int) Options { return Options{Settings: Settings{InFlight: n}} }

// All hosts together have so many in flight, and no more, whoever comes and goes.
func TestPermits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		var f flight
		expect := func(n int) {
			t.Helper()
			mean, most := f.take(10 * time.Second)
			if most > n || mean < float64(n)*.97 {
				t.Errorf("%.2f in flight, %d at most, want %d", mean, most, n)
			}
		}
		one := f.host(e, inFlight(8), 20)
		defer one.stop()
		time.Sleep(5 * time.Second)
		f.take(1)
		time.Sleep(10 * time.Second)
		expect(8)

		var others []*flyer
		for _, workers := range []int{20, 1, 20} {
			others = append(others, f.host(e, Options{}, workers))
		}
		time.Sleep(5 * time.Second)
		f.take(1)
		time.Sleep(10 * time.Second)
		expect(8)
		for i, h := range append(others, one) {
			n := h.u.Stats().InFlight
			if want := map[bool]int{true: 1, false: 2}[i == 1]; n < want || n > want+1 {
				t.Errorf("host %d has %d in flight, want %d or one more", i, n, want)
			}
		}

		// One goes in good order, and one does not any more while the others do not know.
		others[1].stop()
		others[2].stop()
		test.OK(t, others[2].q.Close(context.Background()))
		time.Sleep(3 * time.Second)
		f.take(1)
		time.Sleep(10 * time.Second)
		expect(8)

		three := 3
		test.OK(t, one.q.Set(t.Context(), Changes{InFlight: &three}))
		time.Sleep(2 * time.Second)
		f.take(1)
		time.Sleep(10 * time.Second)
		expect(3)
		none := 0
		test.OK(t, one.q.Set(t.Context(), Changes{InFlight: &none}))
		time.Sleep(2 * time.Second)
		if n := one.u.Stats().InFlight; n != 20 {
			t.Errorf("without a limit %d are in flight, want 20", n)
		}
		others[0].stop()
	})
}

// A host with one caller that gets turns for many, as a relay has, soon has as much as others.
func TestPermitsCrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		var f flight
		one := f.host(e, inFlight(100), 200)
		defer one.stop()
		time.Sleep(5 * time.Second)
		u := upstream()
		e.host(Options{}).Attach(u)
		var crowd atomic.Int64
		crowd.Store(200)
		ctx, cancel := context.WithCancel(
			context.WithValue(t.Context(), standing.CrowdKey{}, &crowd))
		defer cancel()
		go func() {
			for {
				p, err := u.Acquire(ctx, 1)
				if err != nil {
					return
				}
				time.AfterFunc(500*time.Millisecond, func() {
					p.Done(throttle.Feedback{Signal: throttle.SignalSuccess})
				})
			}
		}()
		time.Sleep(5 * time.Second)
		synctest.Wait() // some end at this instant
		if n := u.Stats().InFlight; n != 50 {
			t.Errorf("%d in flight, want 50", n)
		}
	})
}

// There may be fewer permits than hosts: they go round.
func TestPermitsFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		var f flight
		var all []*flyer
		for range 5 {
			all = append(all, f.host(e, inFlight(2), 3))
		}
		time.Sleep(10 * time.Second)
		before := make([]int64, len(all))
		for i, h := range all {
			before[i] = h.u.Stats().Sent
		}
		f.take(1)
		time.Sleep(100 * time.Second)
		mean, most := f.take(100 * time.Second)
		if most > 2 || mean < 1.6 {
			t.Errorf("%.2f in flight, %d at most", mean, most)
		}
		for i, h := range all {
			if n := h.u.Stats().Sent - before[i]; n < 50 || n > 100 {
				t.Errorf("host %d sent %d", i, n)
			}
			h.cancel()
		}
		for _, h := range all {
			h.stop()
		}
	})
}

// What a host that was killed had is for the others after its time, and not sooner.
func TestPermitsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		var f flight
		a := f.host(e, inFlight(8), 20)
		defer a.stop()
		b := f.host(e, Options{}, 20)
		time.Sleep(5 * time.Second)
		b.q.cancel() // it says nothing more
		dead := time.Now()
		for range 8 {
			time.Sleep(time.Second)
			if n := a.u.Stats().InFlight; n > 4 {
				t.Errorf("%d in flight after %v", n, time.Since(dead))
			}
		}
		time.Sleep(5 * time.Second)
		if n := a.u.Stats().InFlight; n != 8 {
			t.Errorf("%d in flight after %v", n, time.Since(dead))
		}
		if n := b.u.Stats().InFlight; n != 0 {
			t.Errorf("the other has %d", n)
		}
		if _, most := f.take(1); most > 8 {
			t.Errorf("%d in flight", most)
		}
		b.stop()
	})
}

// The server may lose the state: nobody gets more until all are back.
func TestPermitsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		var f flight
		var all []*flyer
		for range 4 {
			all = append(all, f.host(e, inFlight(8), 10))
		}
		time.Sleep(5 * time.Second)
		for range 10 {
			e.m.FlushAll()
			time.Sleep(3 * time.Second)
		}
		mean, most := f.take(35 * time.Second)
		if most > 8 || mean < 7 {
			t.Errorf("%.2f in flight, %d at most", mean, most)
		}
		for _, h := range all {
			h.cancel()
		}
		for _, h := range all {
			h.stop()
		}
	})
}
