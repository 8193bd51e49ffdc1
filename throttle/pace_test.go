package throttle

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A server that answers 429 to everything for a while, as for maintenance, gets few
// requests meanwhile, and what was learned of its quota is not forgotten.
func TestUpstreamRefusesAWhile(t *testing.T) {
	// A second that is asked for is less by the time that it takes to count it.
	for _, after := range []time.Duration{0, 50 * ms, 200 * ms, 500 * ms, time.Second - time.Microsecond, time.Second, time.Minute} {
		for _, while := range []time.Duration{10 * time.Second, time.Minute, 10 * time.Minute} {
			t.Run(fmt.Sprintf("%v, Retry-After %v", while, after), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := newClock()
					u := NewUpstream(Limits{})
					server := &tokens{rate: 10, burst: 10, level: 10, last: time.Now()}
					from, to := time.Minute, time.Minute+while
					ctx, cancel := context.WithCancel(t.Context())
					var group sync.WaitGroup
					var mu sync.Mutex
					refused, accepted := 0, 0 // in that while; in the second minute after it
					for range 40 {
						group.Go(func() {
							for {
								p, err := u.Acquire(ctx, 1)
								if err != nil {
									return
								}
								f, wait := Feedback{Signal: SignalSuccess, Latency: 100 * ms}, time.Second
								at := c.now()
								mu.Lock()
								if at >= from && at < to {
									f, wait = Feedback{Signal: SignalThrottled, Latency: 5 * ms}, after
									refused++
								} else if !server.take(time.Now()) {
									f = Feedback{Signal: SignalThrottled, Latency: 5 * ms}
								} else if at >= to+time.Minute && at < to+2*time.Minute {
									accepted++
								}
								mu.Unlock()
								time.Sleep(f.Latency)
								if f.Signal == SignalThrottled && wait > 0 {
									f.RetryAt = time.Now().Add(wait)
								}
								p.Done(f)
							}
						})
					}
					c.at(to + 2*time.Minute)
					cancel()
					group.Wait()
					t.Logf("%d refused, %d accepted", refused, accepted)
					most := 12 + int(while/(10*time.Second)) // one at a time
					if refused > most {
						t.Errorf("%d requests to a server that refuses all, want at most %d", refused, most)
					}
					if accepted < 500 {
						t.Errorf("%d accepted in the second minute after it, want 500 of 600", accepted)
					}
				})
			})
		}
	}
}
