package throttle

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
)

// A grant is n tokens given out at an instant.
type grant struct {
	at time.Duration
	n  int
}

// checkWindows reports the first window that holds more than
// rate·(t + catchUp) + burst tokens.
func checkWindows(t *testing.T, grants []grant, r float64, burst int, catchUp time.Duration) {
	t.Helper()
	// The fullest windows begin with a grant and end with one. With S the tokens
	// given out before a grant, it is S(last)+n(last) - S(first) that is bounded by
	// r·(last-first), so the first to compare with is the one of the lowest
	// S - r·at.
	var sum, lowest float64
	var from time.Duration
	lowest = math.Inf(1)
	for _, g := range grants {
		if s := sum - r*g.at.Seconds(); s < lowest {
			lowest, from = s, g.at
		}
		sum += float64(g.n)
		most := r*catchUp.Seconds() + float64(burst)
		if got := sum - r*g.at.Seconds() - lowest; got > most+1e-6 {
			t.Errorf("from %v to %v: %.3f tokens more than %g/s, want at most %.3f", from, g.at, got, r, most)
			return
		}
	}
}

// The two thousandth token comes when it should, to the nanosecond.
func TestBucketDoesNotDrift(t *testing.T) {
	for _, r := range []float64{3, 7, 0.3, 999, 12345.678, 1e6} {
		for _, workers := range []int{1, 3} {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				b := NewBucket(rate.Limit(r), 1)
				var mu sync.Mutex
				var grants []time.Duration
				var group sync.WaitGroup
				for range workers {
					group.Go(func() {
						for range 2100 / workers {
							if err := b.Wait(t.Context()); err != nil {
								t.Error(err)
							}
							mu.Lock()
							grants = append(grants, time.Since(begin))
							mu.Unlock()
						}
					})
				}
				group.Wait()
				for k, got := range grants {
					if ideal := float64(k) / r * 1e9; math.Abs(float64(got)-ideal) > 1.001 {
						t.Fatalf("%g/s, %d workers: token %d came after %d ns, want %.3f", r, workers, k, got, ideal)
					}
				}
			})
		}
	}
}

// late runs n waiters through a bucket whose first waiter always looks at it late,
// by what lateness says, and returns what was given out when. Here the test
// is who looks, so that it can be as late as it likes on fake time.
func late(t *testing.T, b *Bucket, n int, lateness func() time.Duration) (grants []grant) {
	begin := time.Now()
	var mu sync.Mutex
	var group sync.WaitGroup
	for range n {
		group.Go(func() {
			if err := b.Wait(t.Context()); err != nil {
				t.Error(err)
			}
			mu.Lock()
			grants = append(grants, grant{time.Since(begin), 1})
			mu.Unlock()
		})
	}
	synctest.Wait()
	for waiting := b.Stats().Waiting; waiting > 0; {
		b.line.mu.Lock()
		b.line.timer.Stop()
		wait := b.line.mu.due - b.line.mu.now()
		b.line.mu.Unlock()
		time.Sleep(wait + lateness())
		b.line.mu.Lock()
		b.line.settleLocked()
		b.line.mu.Unlock()
		before := waiting
		if waiting = b.Stats().Waiting; waiting == before {
			t.Error("a token was due, and nobody got it")
		}
	}
	group.Wait()
	return grants
}

func TestBucketMakesUpForLateness(t *testing.T) {
	for _, r := range []float64{10, 100, 1000, 20_000} {
		for _, burst := range []int{1, 5} {
			for seed := range uint64(2) {
				synctest.Test(t, func(t *testing.T) {
					rnd := rand.New(rand.NewPCG(seed, 1))
					most := catchUp
					grants := late(t, NewBucket(rate.Limit(r), burst), 1000, func() time.Duration {
						return time.Duration(rnd.Int64N(int64(most)))
					})
					checkWindows(t, grants, r, burst, most)
					last := grants[len(grants)-1].at.Seconds()
					if ideal := float64(1000-burst) / r; last < ideal-1e-9 || last > ideal+most.Seconds() {
						t.Errorf("%g/s, burst %d, seed %d: took %fs, want %f and no more than %v later", r, burst, seed, last, ideal, most)
					}
				})
			}
		}
	}
}

// [pace] After a stall, too, a second holds at most 1.005 times the rate, and one more.
func TestBucketDoesNotFloodAfterStalls(t *testing.T) {
	for _, catchUp := range []time.Duration{0, 5 * time.Millisecond, 100 * time.Millisecond} {
		for _, r := range []float64{10, 100, 1000, 20_000} {
			for _, burst := range []int{1, 5} {
				for seed := range uint64(2) {
					synctest.Test(t, func(t *testing.T) {
						rnd := rand.New(rand.NewPCG(seed, 2))
						b := NewBucket(rate.Limit(r), burst)
						b.line.mu.catchUp = catchUp
						grants := late(t, b, 500, func() time.Duration {
							switch rnd.IntN(20) {
							case 0:
								return 300 * time.Millisecond
							case 1, 2:
								return time.Duration(rnd.Int64N(int64(40 * time.Millisecond)))
							}
							return time.Duration(rnd.Int64N(int64(time.Millisecond)))
						})
						checkWindows(t, grants, r, burst, catchUp)
					})
				}
			}
		}
	}
}

// Who leaves when a token is overdue does not take it along.
func TestBucketLateWaiterLeaves(t *testing.T) {
	for _, lateness := range []time.Duration{5 * time.Millisecond, 500 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			b := NewBucket(10, 1)
			b.Allow()
			begin := time.Now()
			ctx, cancel := context.WithCancel(t.Context())
			go b.Wait(ctx)
			synctest.Wait()
			b.line.mu.Lock()
			b.line.timer.Stop()
			b.line.mu.Unlock()
			done := make(chan time.Duration)
			go func() {
				b.Wait(t.Context())
				done <- time.Since(begin)
			}()
			time.Sleep(100*time.Millisecond + lateness)
			cancel()
			if got := <-done; got != 100*time.Millisecond+lateness {
				t.Errorf("the next one went after %v", got)
			}
		})
	}
}

// With nothing made up, no two tokens are closer than 1/rate.
func TestBucketWithoutCatchUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBucket(100, 1)
		b.line.mu.catchUp = 0
		grants := late(t, b, 500, func() time.Duration { return time.Duration(rand.Int64N(int64(15 * time.Millisecond))) })
		for i := range grants[1:] {
			if gap := grants[i+1].at - grants[i].at; gap < 10*time.Millisecond {
				t.Fatalf("token %d came %v after the one before", i+1, gap)
			}
		}
	})
}

// Callers that read the clock and then waited for the lock through a stall do not
// leave as a burst either.
func TestBucketTakersAfterAStall(t *testing.T) {
	for _, catchUp := range []time.Duration{0, catchUp} {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			b := NewBucket(1000, 1)
			b.line.mu.catchUp = catchUp
			var grants []grant
			for range 5 {
				stale := b.line.mu.now()
				time.Sleep(300 * time.Millisecond)
				for range 64 {
					b.line.mu.Lock()
					if b.line.takeLocked(stale, 1) {
						grants = append(grants, grant{time.Since(begin), 1})
					} else {
						b.line.mu.unreserve(b.line.mu.now())
					}
					b.line.mu.Unlock()
				}
			}
			if len(grants) < 5 {
				t.Errorf("%d of 5 tokens", len(grants))
			}
			// One more: the first after each stall had its token before it, and it is
			// as if its call had returned late.
			checkWindows(t, grants, 1000, 2, catchUp)
		})
	}
}

func TestBucketInvalidArguments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nan := math.NaN()
		for _, r := range []float64{nan, -1, math.Inf(-1), 0} {
			b := NewBucket(rate.Limit(r), -3)
			if s := b.Stats(); s.Rate != 0 || s.Burst != 1 {
				t.Errorf("NewBucket(%v, -3) has %+v", r, s)
			}
			b.SetRate(5)
			b.SetRate(rate.Limit(r))
			if s := b.Stats(); s.Rate != 0 {
				t.Errorf("SetRate(%v) gave %v", r, s.Rate)
			}
		}
		b := NewBucket(rate.Limit(math.Inf(1)), 1)
		if s := b.Stats(); s.Rate != rate.Inf {
			t.Errorf("NewBucket(+Inf) has rate %v", s.Rate)
		}
		b = NewBucket(1000, 1)
		b.Pause(time.Time{})
		b.Pause(time.Now())
		if s := b.Stats(); !s.Paused.IsZero() {
			t.Errorf("paused until %v by an instant that is past", s.Paused)
		}
		if err := b.WaitN(t.Context(), math.MinInt); err != nil {
			t.Error(err)
		}
		// Centuries, which the deadline ends.
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := b.WaitN(ctx, math.MaxInt); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		begin := time.Now()
		if err := b.WaitN(t.Context(), 2); err != nil || time.Since(begin) != time.Millisecond {
			t.Errorf("the next two tokens: %v after %v", err, time.Since(begin))
		}
	})
}

func TestBucketReturnsTheCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("enough")
		b := NewBucket(0, 1)
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() {
			time.Sleep(time.Second)
			cancel(cause)
		}()
		for range 2 { // while waiting, and on arrival
			if err := b.Wait(ctx); err != cause {
				t.Errorf("got %v, want the cause", err)
			}
			if err := b.WaitN(ctx, 0); err != cause {
				t.Errorf("for nothing: got %v, want the cause", err)
			}
		}
	})
}

func TestBucketStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		b := NewBucket(10, 3)
		want := func(want BucketStats) {
			t.Helper()
			synctest.Wait()
			if got := b.Stats(); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		}
		want(BucketStats{Rate: 10, Burst: 3})
		b.Wait(t.Context())
		b.AllowN(1)
		want(BucketStats{Rate: 10, Burst: 3, Granted: 2, Unclaimed: 2})
		for range 4 {
			go b.WaitN(t.Context(), 2)
		}
		want(BucketStats{Rate: 10, Burst: 3, Waiting: 4, Granted: 2, Unclaimed: 2})
		time.Sleep(100 * time.Millisecond)
		want(BucketStats{Rate: 10, Burst: 3, Waiting: 3, Granted: 4, Unclaimed: 2})
		until := begin.Add(time.Second).Round(0)
		b.Pause(until)
		want(BucketStats{Rate: 10, Burst: 3, Waiting: 3, Granted: 4, Unclaimed: 2, Paused: until})
		time.Sleep(900 * time.Millisecond)
		want(BucketStats{Rate: 10, Burst: 3, Waiting: 3, Granted: 4, Unclaimed: 2})
		b.SetRate(rate.Inf)
		want(BucketStats{Rate: rate.Inf, Burst: 3, Granted: 10, Unclaimed: 2})
		b.WaitN(t.Context(), 5)
		want(BucketStats{Rate: rate.Inf, Burst: 3, Granted: 15, Unclaimed: 2})
	})
}

// Everything at once, for the race detector; no token and no waiter is lost.
func TestBucketConcurrentUse(t *testing.T) {
	b := NewBucket(20_000, 3)
	var group sync.WaitGroup
	var mu sync.Mutex
	var taken int64
	took := func(n int) {
		mu.Lock()
		taken += int64(n)
		mu.Unlock()
	}
	for i := range 16 {
		group.Go(func() {
			for range 50 {
				n := 1 + i%4
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.Int64N(int64(2*time.Millisecond))))
				if b.WaitN(ctx, n) == nil {
					took(n)
				}
				cancel()
				if b.AllowN(n) {
					took(n)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 200 {
			switch i % 8 {
			case 0:
				b.SetRate(0)
			case 1, 5:
				b.SetRate(20_000)
			case 2:
				b.SetBurst(1 + i%7)
			case 3:
				b.Pause(time.Now().Add(time.Millisecond))
			case 4:
				b.SetRate(rate.Inf)
			case 6:
				b.Resume()
			case 7:
				b.Stats()
			}
			time.Sleep(100 * time.Microsecond)
		}
		b.SetRate(20_000)
		b.Resume()
	}()
	group.Wait()
	<-done
	if s := b.Stats(); s.Waiting != 0 || s.Granted != taken {
		t.Errorf("%+v, but %d tokens were taken", s, taken)
	}
	if b.line.mu.queue.first != nil || b.line.mu.queue.last != nil {
		t.Error("the queue is not empty")
	}
}
