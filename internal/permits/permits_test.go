package permits

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

func acquire(l *Limit) *acquirer {
	a := &acquirer{}
	var ctx context.Context
	ctx, a.cancel = context.WithCancel(context.Background())
	go func() {
		a.permit, a.err = l.Acquire(ctx)
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

func TestAcquireReturnsTheCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("enough")
		l := New(0)
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() {
			time.Sleep(time.Second)
			cancel(cause)
		}()
		for range 2 { // while waiting, and on arrival
			if _, err := l.Acquire(ctx); err != cause {
				t.Errorf("got %v, want the cause", err)
			}
			l.SetLimit(1)
		}
		if l.held != 0 || l.waiting.Len() != 0 {
			t.Errorf("%d held, %d waiting", l.held, l.waiting.Len())
		}
	})
}

// TestLimitEqualsModel does at random all that can be done and compares who
// holds a permit with a list of who should.
func TestLimitEqualsModel(t *testing.T) {
	for seed := range uint64(100) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 0))
			limit := rnd.IntN(4)
			l := New(limit)
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
					waiting = append(waiting, acquire(l))
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
				case 7, 8: // what ended before ends no more
					if len(gone) > 0 {
						gone[rnd.IntN(len(gone))].permit.Release()
					}
				case 9:
					limit = rnd.IntN(8) - 1
					l.SetLimit(limit)
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
				if l.held != len(held) || l.waiting.Len() != len(waiting) {
					t.Errorf("seed %d: %d held, %d waiting, want %d, %d", seed, l.held,
						l.waiting.Len(), len(held), len(waiting))
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
func TestConcurrentUse(t *testing.T) {
	const limit = 3
	l := New(limit)
	var held, most atomic.Int64
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			for range 300 {
				ctx, cancel := context.WithCancel(t.Context())
				if rand.IntN(2) == 0 {
					go cancel()
				}
				p, err := l.Acquire(ctx)
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
				ends.Go(p.Release)
				p.Release()
				ends.Wait()
			}
		})
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 300 {
			l.SetLimit(i % (limit + 1))
		}
		l.SetLimit(limit)
	}()
	group.Wait()
	<-done
	if l.held != 0 || l.waiting.Len() != 0 || most.Load() > limit {
		t.Errorf("in the end %d held, %d waiting, at most %d at once; want none, and no more than %d",
			l.held, l.waiting.Len(), most.Load(), limit)
	}
}
