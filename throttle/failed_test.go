package throttle

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A tenth of the requests fails, whatever the pace: that is no reason for another one, nor an outage. A
// given rate stands as it is.
func TestFailuresAtRandom(t *testing.T) {
	for _, test := range []struct {
		name    string
		limits  Limits
		seconds float64
	}{
		{"nothing given", Limits{}, 8},
		{"rate given", Limits{Rate: 200}, 17},
		{"number given", Limits{InFlight: 4}, 8},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const requests = 2000
				u := NewUpstream(test.limits)
				rnd := rand.New(rand.NewPCG(1, 2))
				var lock sync.Mutex
				left := requests
				begin := time.Now()
				var senders sync.WaitGroup
				for range 20 {
					senders.Go(func() {
						for {
							lock.Lock()
							left--
							done, fails := left < 0, rnd.IntN(10) == 0
							lock.Unlock()
							if done {
								return
							}
							p, err := u.Acquire(context.Background(), 1)
							if err != nil {
								t.Error(err)
								return
							}
							time.Sleep(5 * time.Millisecond)
							f := Feedback{Outcome: Success, Latency: 5 * time.Millisecond}
							if fails {
								f.Outcome = Failed
							}
							p.Done(f)
						}
					})
				}
				senders.Wait()
				s := u.Stats()
				took := time.Since(begin).Seconds()
				t.Logf("%.1f s, at last %+v", took, s)
				if took > test.seconds {
					t.Errorf("took %.1f s, want at most %g", took, test.seconds)
				}
				if want := float64(test.limits.Rate); want > 0 && float64(s.Rate) != want {
					t.Errorf("the given rate of %g is now %g", want, s.Rate)
				}
			})
		})
	}
}
