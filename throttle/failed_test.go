package throttle

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

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
				const requests = 2000
				u := NewUpstream(test.limits)
				var sent atomic.Int64
				begin := time.Now()
				var senders sync.WaitGroup
				for range 20 {
					senders.Go(func() {
						for range requests / 20 {
							p, err := u.Acquire(context.Background(), 1)
							if err != nil {
								t.Error(err)
								return
							}
							f := Feedback{Outcome: Success, Latency: 5 * time.Millisecond}
							if sent.Add(1)%10 == 0 {
								f.Outcome = Failed
							}
							time.Sleep(f.Latency)
							p.Done(f)
						}
					})
				}
				senders.Wait()
				s := u.Stats()
				took := time.Since(begin).Seconds()
				t.Logf("%.1f s at %g/s", took, float64(s.Rate))
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
