package throttle

import (
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/race"
	"golang.org/x/time/rate"
)

// A server whose rate is lower than the one given, or becomes so, answers 503 to what is too fast: that stays a
// matter of the rate.
func TestLimiterBelowTheGivenRate(t *testing.T) {
	const change, end = time.Minute, 90 * time.Second
	for _, test := range []struct {
		name          string
		given, after  rate.Limit
		first, second rate.Limit // of the server
		latency       time.Duration
		before, then  float64 // shares of that, at least
	}{
		{"a third too high", 200, 200, 150, 150, 50 * ms, 0.5, 0.7},
		{"five times too high", 100, 100, 20, 20, 5 * ms, 0.8, 0.9},
		{"falls to a third", 100, 100, 95, 30, 5 * ms, 0.8, 0.8},
		{"falls, and the given one with it", 200, 60, 190, 55, 5 * ms, 0.65, 0.8},
	} {
		t.Run(test.name, func(t *testing.T) {
			for seed := range race.Of(3) {
				synctest.Test(t, func(t *testing.T) {
					u, server := NewUpstream(Limits{Rate: test.given}), rate.NewLimiter(test.first, 1)
					random := rand.New(rand.NewPCG(seed, 3))
					begin := time.Now()
					time.AfterFunc(change, func() {
						server.SetLimit(test.second)
						u.SetLimits(Limits{Rate: test.after})
					})
					var accepted [2]float64
					var mu sync.Mutex
					var senders sync.WaitGroup
					for range 40 {
						senders.Go(func() {
							for time.Since(begin) < end {
								p, err := u.Acquire(t.Context(), 1)
								if err != nil {
									t.Error(err)
									return
								}
								mu.Lock()
								way := time.Duration(random.Int64N(int64(ms)))
								mu.Unlock()
								time.Sleep(way)
								if !server.Allow() {
									time.Sleep(ms)
									p.Done(Feedback{Signal: SignalOverloaded, Latency: way + ms})
									continue
								}
								mu.Lock()
								accepted[min(time.Since(begin)/change, 1)]++
								mu.Unlock()
								time.Sleep(test.latency)
								p.Done(Feedback{Signal: SignalSuccess, Latency: way + test.latency})
							}
						})
					}
					senders.Wait()
					before := accepted[0] / change.Seconds() / float64(test.first)
					then := accepted[1] / (end - change).Seconds() / float64(test.second)
					t.Logf("seed %d: %.2f and then %.2f of the server's rate", seed, before, then)
					if before < test.before || then < test.then {
						t.Errorf("seed %d: %.2f and then %.2f of the server's rate, want at least %g and %g", seed, before, then, test.before, test.then)
					}
				})
			}
		})
	}
}
