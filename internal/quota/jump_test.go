package quota

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/race"
	"github.com/penstock/penstock/internal/test"
	"github.com/penstock/penstock/throttle"
)

// clock has the server's clock differ from ours for a time.
func (e *engine) clock(by, length time.Duration) {
	for end := time.Now().Add(length); time.Now().Before(end); {
		e.m.SetTime(time.Now().Add(by)) // miniredis keeps what it is set to
		time.Sleep(5 * time.Millisecond)
	}
}

// A copy is what a server that takes over knows.
type copied struct {
	hashes map[string]map[string]string
	sets   map[string]map[string]float64
}

func (e *engine) copy() copied {
	e.t.Helper()
	c := copied{map[string]map[string]string{}, map[string]map[string]float64{}}
	for _, key := range e.m.Keys() {
		if e.m.Type(key) == "zset" {
			set, err := e.m.SortedSet(key)
			test.OK(e.t, err)
			c.sets[key] = maps.Clone(set)
			continue
		}
		c.hashes[key] = map[string]string{}
		fields, err := e.m.HKeys(key)
		test.OK(e.t, err)
		for _, f := range fields {
			c.hashes[key][f] = e.m.HGet(key, f)
		}
	}
	return c
}

func (e *engine) takeOver(c copied) {
	e.t.Helper()
	e.m.FlushAll()
	for key, fields := range c.hashes {
		for f, value := range fields {
			e.m.HSet(key, f, value)
		}
	}
	for key, set := range c.sets {
		for member, score := range set {
			_, err := e.m.ZAdd(key, score, member)
			test.OK(e.t, err)
		}
	}
}

// Nothing is granted twice when the clock of the server is set, and little is lost.
func TestClockSetRates(t *testing.T) {
	for i, c := range []struct {
		hosts, rate int
		by          time.Duration
	}{
		{4, 100, time.Hour}, {4, 1000, 2 * time.Second}, {4, 1000, -time.Hour},
		{10, 3, -3 * time.Second}, {10, 3, time.Hour}, {10, 3, -time.Hour},
		{10, 2, -1200 * time.Millisecond},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			race.Few(t, i)
			synctest.Test(t, func(t *testing.T) {
				e := newEngine(t)
				var r record
				ctx, stop := r.context(t)
				defer stop()
				r.hosts(ctx, e, c.hosts, float64(c.rate), 100)
				time.Sleep(20 * time.Second)
				begin := time.Now()
				e.clock(c.by, 20*time.Second)
				_, most := r.windows(begin.Add(-time.Second), time.Now(), time.Second)
				least10, most10 := r.windows(begin.Add(-time.Second), time.Now(), 10*time.Second)
				t.Logf("%d in a second, %d to %d in 10", most, least10, most10)
				if most > c.rate+max(3, c.rate*3/100) || most10 > c.rate*10+max(2, c.rate/20) ||
					least10 < c.rate*10*6/10 {
					t.Errorf("%d in a second, %d to %d in 10", most, least10, most10)
				}
			})
		})
	}
}

// Nor are permits.
func TestClockSetPermits(t *testing.T) {
	for _, by := range []time.Duration{-time.Hour, time.Hour, 15 * time.Second, 48 * time.Hour} {
		t.Run(by.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEngine(t)
				var f flight
				var all []*flyer
				for range 4 {
					all = append(all, f.host(e, inFlight(8), 10))
				}
				time.Sleep(8 * time.Second)
				f.take(1)
				e.clock(by, 10*time.Second)
				if mean, most := f.take(10 * time.Second); most > 8 || mean < 6 {
					t.Errorf("%.2f in flight, %d at most, want 8", mean, most)
				}
				for _, h := range all {
					h.cancel()
				}
				for _, h := range all {
					h.stop()
				}
			})
		})
	}
}

// A server that takes over does not know which permits changed hands in the last second.
func TestFailoverPermits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		var f flight
		a, b := f.host(e, inFlight(8), 0), f.host(e, inFlight(8), 0)
		ctx, cancel := context.WithCancel(t.Context())
		burst := func(h *flyer) {
			for range 10 {
				h.done.Go(func() {
					p, err := h.u.Acquire(ctx, 1)
					if err != nil {
						return
					}
					f.add(1)
					time.Sleep(5 * time.Second)
					f.add(-1)
					p.Done(throttle.Feedback{Signal: throttle.SignalSuccess})
				})
			}
		}
		time.Sleep(20 * time.Second)
		for range 10 {
			was := e.copy()
			burst(a)
			time.Sleep(900 * time.Millisecond)
			e.takeOver(was)
			burst(b)
			time.Sleep(30 * time.Second)
		}
		if _, most := f.take(time.Second); most > 8 || most < 7 {
			t.Errorf("%d in flight, want 8", most)
		}
		cancel()
		a.stop()
		b.stop()
	})
}

// The server loses the state while some hosts cannot reach it: what those go on with is theirs.
func TestLostWhileCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		var r record
		ctx, stop := r.context(t)
		defer stop()
		l := newLink(e)
		for i := range 4 {
			q, u := e.via(l.dialIf(i < 2), per(100)), upstream()
			q.Attach(u)
			r.saturate(ctx, i, 100, u)
		}
		time.Sleep(10 * time.Second)
		l.set(true)
		e.m.FlushAll()
		begin := time.Now()
		time.Sleep(29 * time.Second)
		least, most := r.windows(begin.Add(2*time.Second), begin.Add(29*time.Second), time.Second)
		t.Logf("%d to %d in a second", least, most)
		if most > 103 || least < 75 {
			t.Errorf("%d to %d in a second", least, most)
		}
		time.Sleep(10 * time.Second)
		begin = time.Now()
		time.Sleep(5 * time.Second)
		if least, most := r.windows(begin, time.Now(), time.Second); most > 103 || least < 97 {
			t.Errorf("%d to %d in a second without those that are cut off", least, most)
		}
		l.set(false)
		time.Sleep(10 * time.Second)
		if _, most := r.windows(begin, time.Now(), time.Second); most > 103 {
			t.Errorf("%d in a second when they are back", most)
		}
	})
}

// So are their permits.
func TestLostPermitsWhileCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		var f flight
		l := newLink(e)
		a := f.hostBy(e.via(l.dialIf(true), inFlight(8)), 10)
		b := f.host(e, Options{}, 10)
		time.Sleep(8 * time.Second)
		l.set(true)
		e.m.FlushAll()
		f.take(time.Second)
		time.Sleep(9 * time.Second)
		if _, most := f.take(time.Second); most > 8 {
			t.Errorf("%d in flight, want 8", most)
		}
		time.Sleep(5 * time.Second)
		if n := b.u.Stats().InFlight; n != 8 {
			t.Errorf("the other has %d in flight when the time of those permits is over", n)
		}
		l.set(false)
		time.Sleep(5 * time.Second)
		if _, most := f.take(time.Second); most > 8 {
			t.Errorf("%d in flight when it is back", most)
		}
		a.cancel()
		b.cancel()
		a.stop()
		b.stop()
	})
}
