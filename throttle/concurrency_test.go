package throttle

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// An acquirer is a goroutine that wants a permit.
type acquirer struct {
	cancel context.CancelFunc
	done   atomic.Bool
	permit *Permit
	err    error
}

func acquire(c *Concurrency) *acquirer {
	a := &acquirer{}
	var ctx context.Context
	ctx, a.cancel = context.WithCancel(context.Background())
	go func() {
		a.permit, a.err = c.Acquire(ctx)
		a.done.Store(true)
	}()
	synctest.Wait()
	return a
}

// has reports whether the permit came, nil if neither it nor an error did.
func (a *acquirer) has() bool {
	synctest.Wait()
	return a.done.Load() && a.err == nil
}

func TestConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewConcurrency(2)
		var all []*acquirer
		for range 6 {
			all = append(all, acquire(c))
		}
		want := func(what string, limit, held, waiting int, has ...bool) {
			t.Helper()
			synctest.Wait()
			if got := c.Stats(); got != (ConcurrencyStats{limit, held, waiting}) {
				t.Errorf("%s: %+v, want limit %d, held %d, waiting %d", what, got, limit, held, waiting)
			}
			for i, want := range has {
				if all[i].has() != want {
					t.Errorf("%s: permit %d: %v, want %v", what, i, !want, want)
				}
			}
		}
		want("at first", 2, 2, 4, true, true, false)
		all[1].permit.Release()
		want("after a release", 2, 2, 3, true, true, true, false)
		all[1].permit.Release()
		all[1].permit.Done(Feedback{Outcome: Success})
		want("after it was released again", 2, 2, 3, true, true, true, false)
		all[3].cancel()
		want("after the first in line left", 2, 2, 2, true, true, true, false, false)
		c.SetLimit(0)
		all[0].permit.Done(Feedback{})
		all[0].permit.Release()
		want("at limit 0", 0, 1, 2, true, true, true, false, false)
		all[2].permit.Release()
		want("at limit 0, all back", 0, 0, 2)
		c.SetLimit(-7)
		want("below 0", -7, 0, 2, true, true, true, false, false)
		c.SetLimit(5)
		want("raised", 5, 2, 0, true, true, true, false, true, true)
		for _, a := range all {
			a.cancel()
		}
	})
}

func TestConcurrencyReturnsTheCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("enough")
		c := NewConcurrency(0)
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() {
			time.Sleep(time.Second)
			cancel(cause)
		}()
		for range 2 { // while waiting, and on arrival
			if _, err := c.Acquire(ctx); err != cause {
				t.Errorf("got %v, want the cause", err)
			}
			c.SetLimit(1)
		}
		if s := c.Stats(); s.Held != 0 || s.Waiting != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestConcurrencyEqualsModel does at random all that can be done and compares who
// holds a permit with a list of who should.
func TestConcurrencyEqualsModel(t *testing.T) {
	for seed := range uint64(100) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 0))
			limit := rnd.IntN(4)
			c := NewConcurrency(limit)
			var held, waiting, gone []*acquirer
			serve := func() {
				for len(waiting) > 0 && len(held) < limit {
					held = append(held, waiting[0])
					waiting = waiting[1:]
				}
			}
			take := func(from *[]*acquirer) *acquirer {
				if len(*from) == 0 {
					return nil
				}
				i := rnd.IntN(len(*from))
				a := (*from)[i]
				*from = slices.Delete(slices.Clone(*from), i, i+1)
				return a
			}
			for range 200 {
				switch rnd.IntN(10) {
				case 0, 1, 2, 3:
					waiting = append(waiting, acquire(c))
				case 4, 5:
					if a := take(&held); a != nil {
						a.permit.Release()
						gone = append(gone, a)
					}
				case 6:
					if a := take(&waiting); a != nil {
						a.cancel()
						synctest.Wait()
						if !a.done.Load() || a.err == nil {
							t.Error("cancelled, but not ended")
						}
					}
				case 7:
					if a := take(&held); a != nil {
						a.permit.Done(Feedback{Outcome: Success})
						gone = append(gone, a)
					}
				case 8: // what ended before ends no more
					if len(gone) > 0 {
						gone[rnd.IntN(len(gone))].permit.Release()
					}
				case 9:
					limit = rnd.IntN(8) - 1
					c.SetLimit(limit)
				}
				serve()
				synctest.Wait()
				for i, a := range held {
					if !a.has() {
						t.Errorf("seed %d: number %d of the holders has no permit", seed, i)
					}
				}
				for i, a := range waiting {
					if a.done.Load() {
						t.Errorf("seed %d: number %d in line was served", seed, i)
					}
				}
				if got := c.Stats(); got != (ConcurrencyStats{limit, len(held), len(waiting)}) {
					t.Errorf("seed %d: %+v, want limit %d, %d held, %d waiting", seed, got, limit, len(held), len(waiting))
				}
				if t.Failed() {
					break
				}
			}
			for _, a := range slices.Concat(waiting, held, gone) {
				a.cancel()
			}
		})
		if t.Failed() {
			return
		}
	}
}

// However permits end and whatever ends at the same time, none is lost and none
// is there twice.
func TestConcurrencyConcurrentUse(t *testing.T) {
	const limit = 3
	c := NewConcurrency(limit)
	var held, most atomic.Int64
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			for range 300 {
				ctx, cancel := context.WithCancel(t.Context())
				if rand.IntN(2) == 0 {
					go cancel()
				}
				p, err := c.Acquire(ctx)
				cancel()
				if err != nil {
					continue
				}
				n := held.Add(1)
				for {
					m := most.Load()
					if n <= m || most.CompareAndSwap(m, n) {
						break
					}
				}
				held.Add(-1)
				var ends sync.WaitGroup
				ends.Go(p.Release)
				ends.Go(func() { p.Done(Feedback{}) })
				p.Release()
				ends.Wait()
			}
		})
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 300 {
			c.SetLimit(i % (limit + 1))
			c.Stats()
		}
		c.SetLimit(limit)
	}()
	group.Wait()
	<-done
	if s := c.Stats(); s != (ConcurrencyStats{Limit: limit}) || most.Load() > limit {
		t.Errorf("in the end %+v, at most %d at once; want none held, and no more than %d", s, most.Load(), limit)
	}
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
			ends.Go(func() { p.Done(Feedback{Outcome: Success}) })
		}
		ends.Wait()
	}
	if s := u.Stats(); s.Succeeded != 200 || s.InFlight != 0 {
		t.Errorf("%d successes of 200, %d in flight", s.Succeeded, s.InFlight)
	}
}
