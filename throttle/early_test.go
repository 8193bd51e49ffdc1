package throttle

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/race"
	"github.com/penstock/penstock/internal/seconds"
)

// Few requests say little about the rate: where only some of the first were refused, it soon grows by multiples.
func TestUpstreamRefusedOnlyAtFirst(t *testing.T) {
	for _, test := range []struct {
		name    string
		refused []int // in order of arrival
		after   time.Duration
		most    time.Duration
	}{
		{"5 and 9", []int{5, 9}, 2 * time.Second, time.Minute},
		{"1 and 9", []int{1, 9}, 2 * time.Second, time.Minute},
		{"3 and 5", []int{3, 5}, 2 * time.Second, time.Minute},
		{"5 and 15", []int{5, 15}, 2 * time.Second, time.Minute},
		{"1, 2 and 4", []int{1, 2, 4}, 2 * time.Second, time.Minute},
		{"5, 9 and 13", []int{5, 9, 13}, 2 * time.Second, 80 * time.Second},
		{"5 and 9, for a second", []int{5, 9}, time.Second, time.Minute},
		{"5 and 9, for 10 s", []int{5, 9}, 10 * time.Second, 5 * time.Minute},
		{"5 and 9, for half a minute", []int{5, 9}, 30 * time.Second, 15 * time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			var all []time.Duration
			for seed := range race.Of(20) {
				synctest.Test(t, func(t *testing.T) { all = append(all, sendThousand(t, seed, test.refused, test.after)) })
			}
			slices.Sort(all)
			t.Logf("from %v to %v: %v", all[0], all[len(all)-1], all)
			if slowest := all[len(all)-1]; slowest > test.most {
				t.Errorf("a thousand requests took %v, want %v at most", slowest, test.most)
			}
		})
	}
}

// sendThousand returns how long a thousand requests take until all are accepted.
func sendThousand(t *testing.T, seed uint64, refused []int, after time.Duration) time.Duration {
	u, begin := NewUpstream(Limits{}), time.Now()
	random := rand.New(rand.NewPCG(seed, 5))
	var mu sync.Mutex
	var senders sync.WaitGroup
	arrived, accepted := 0, 0
	send := func() (done bool) {
		p, err := u.Acquire(t.Context(), 1)
		if err != nil {
			t.Error(err)
			return true
		}
		mu.Lock()
		latency := 50*time.Microsecond + time.Duration(random.ExpFloat64()*float64(100*time.Microsecond))
		arrived++
		f := Feedback{Signal: SignalSuccess, Latency: latency}
		if slices.Contains(refused, arrived) {
			f.Signal = SignalThrottled
		} else {
			accepted++
		}
		done = accepted >= 1000
		mu.Unlock()
		time.Sleep(latency)
		if f.Signal == SignalThrottled {
			f.RetryAt = time.Now().Add(after)
		}
		p.Done(f)
		return done
	}
	for range 40 {
		senders.Go(func() {
			for !send() {
			}
		})
	}
	senders.Wait()
	return time.Since(begin)
}

// A rate far below one a second grows, too, but a limiter that takes no more refuses little.
func TestUpstreamSlowLimiter(t *testing.T) {
	for _, test := range []struct{ rate, burst float64 }{{0.02, 1}, {0.02, 3}, {0.1, 1}, {0.1, 10}} {
		t.Run(fmt.Sprintf("%v a second, burst %v", test.rate, test.burst), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u, begin := NewUpstream(Limits{}), time.Now()
				server := &tokens{rate: test.rate, burst: test.burst, level: test.burst, last: begin}
				span := seconds.Duration(400 / test.rate)
				var mu sync.Mutex
				var senders sync.WaitGroup
				accepted, refused := 0., 0.
				for range 10 {
					senders.Go(func() {
						for time.Since(begin) < span {
							p, err := u.Acquire(t.Context(), 1)
							if err != nil {
								t.Error(err)
								return
							}
							time.Sleep(20 * ms)
							f := Feedback{Signal: SignalSuccess, Latency: 25 * ms}
							mu.Lock()
							if server.take(time.Now()) {
								accepted++
							} else {
								refused++
								f.Signal = SignalThrottled
								f.RetryAt = time.Now().Add(seconds.Duration(math.Ceil((1 - server.level) / test.rate)))
							}
							mu.Unlock()
							time.Sleep(5 * ms)
							p.Done(f)
						}
					})
				}
				senders.Wait()
				share := accepted / (test.burst + test.rate*time.Since(begin).Seconds())
				waste := refused / (accepted + refused)
				t.Logf("%.3f of the rate, %.1f %% refused", share, 100*waste)
				if share < 0.9 || waste > 0.1 {
					t.Errorf("%.3f of the rate and %.1f %% refused, want 0.9 at least and 10 %% at most", share, 100*waste)
				}
			})
		})
	}
}
