package throttle

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/race"
)

// sendUntil lets 20 senders have so many requests accepted, each of which takes 5 ms and ends as the
// function says, and returns how long that took.
func sendUntil(t *testing.T, u *Upstream, accepted int64, outcome func() Signal) time.Duration {
	t.Helper()
	begin := time.Now()
	var done atomic.Int64
	var mu sync.Mutex
	var senders sync.WaitGroup
	for range 20 {
		senders.Go(func() {
			for done.Load() < accepted && time.Since(begin) < 10*time.Minute {
				p, err := u.Acquire(context.Background(), 1)
				if err != nil {
					t.Error(err)
					return
				}
				f := Feedback{Latency: 5 * time.Millisecond}
				mu.Lock()
				f.Signal = outcome()
				mu.Unlock()
				time.Sleep(f.Latency)
				if f.Signal == SignalSuccess {
					done.Add(1)
				}
				p.Done(f)
			}
		})
	}
	senders.Wait()
	return time.Since(begin)
}

// Each tenth request fails, whatever the pace: that is no reason for another one, nor an outage. A given
// rate stands as it is.
func TestFailuresOfOneInTen(t *testing.T) {
	for _, test := range []struct {
		name    string
		limits  Limits
		seconds float64
	}{
		{"nothing given", Limits{}, 15},
		{"rate given", Limits{Rate: 200}, 11},
		{"number given", Limits{InFlight: 4}, 4},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u, n := NewUpstream(test.limits), 0
				took := sendUntil(t, u, 1800, func() Signal {
					if n++; n%10 == 0 {
						return SignalFailed
					}
					return SignalSuccess
				}).Seconds()
				s := u.Stats()
				t.Logf("%.1f s at %g/s", took, float64(s.Rate))
				if took > test.seconds {
					t.Errorf("took %.1f s, want at most %g", took, test.seconds)
				}
				if want := test.limits.Rate; want > 0 && s.Rate != want {
					t.Errorf("the given rate of %g is now %g", float64(want), float64(s.Rate))
				}
			})
		})
	}
}

// Refusals at random stay the same share, whatever the pace: they are about neither the rate nor the
// number in flight, and cost a short pause each, but not the pace.
func TestRefusalsAtRandom(t *testing.T) {
	for _, test := range []struct {
		name    string
		limits  Limits
		share   float64
		seconds float64
	}{
		{"1 of 50, rate given", Limits{Rate: 200}, 0.02, 25},
		{"1 of 12, rate given", Limits{Rate: 200}, 0.08, 40},
		{"1 of 5, rate given", Limits{Rate: 200}, 0.2, 210},
		{"1 of 12, low rate given", Limits{Rate: 20}, 0.08, 180},
		{"1 of 12, high rate given", Limits{Rate: 1000}, 0.08, 40},
		{"1 of 12, nothing given", Limits{}, 0.08, 40},
		{"1 of 12, number given", Limits{InFlight: 4}, 0.08, 40},
	} {
		t.Run(test.name, func(t *testing.T) {
			for seed := range race.Of(5) {
				synctest.Test(t, func(t *testing.T) {
					random := rand.New(rand.NewPCG(seed, 1))
					took := sendUntil(t, NewUpstream(test.limits), 2000, func() Signal {
						if random.Float64() < test.share {
							return SignalOverloaded
						}
						return SignalSuccess
					}).Seconds()
					t.Logf("seed %d: %.1f s", seed, took)
					if took > test.seconds {
						t.Errorf("seed %d: took %.1f s, want at most %g", seed, took, test.seconds)
					}
				})
			}
		})
	}
}
