package throttle

import (
	"context"
	"fmt"
	"math"
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
								f, wait := Feedback{Outcome: Success, Latency: 100 * ms}, time.Second
								at := c.now()
								mu.Lock()
								if at >= from && at < to {
									f, wait = Feedback{Outcome: Throttled, Latency: 5 * ms}, after
									refused++
								} else if !server.take(time.Now()) {
									f = Feedback{Outcome: Throttled, Latency: 5 * ms}
								} else if at >= to+time.Minute && at < to+2*time.Minute {
									accepted++
								}
								mu.Unlock()
								time.Sleep(f.Latency)
								if f.Outcome == Throttled && wait > 0 {
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

// Where no other request is known, the pause that a refusal brings is the usual one.
func TestPaceWaitWithoutSpacing(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	var p pace
	p.setLimits(Limits{})
	accepted := ticket{at: now}
	p.sent(now)
	p.ended(accepted, true)
	p.accepted(accepted)
	p.sent(now)
	var gaps spacing
	for k := range gaps {
		gaps[k] = math.Inf(1)
	}
	if got := p.throttled(ticket{at: now}, time.Time{}, gaps, now).Sub(now); got != defaultWait {
		t.Errorf("%v, want %v", got, defaultWait)
	}
}

// A request that is sent once more counts once in the rate.
func TestPaceOfResentRequests(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	var c controller
	c.init(Limits{InFlight: 2}, now)
	for range 2 {
		sent := c.sent(now)
		for range 2 {
			now = now.Add(ms)
			c.recall(&sent, false, now)
			c.landed()
			c.resent(&sent, now)
		}
		now = now.Add(ms)
		c.done(sent, Feedback{Outcome: Success, Latency: ms}, now)
		c.landed()
	}
	never := c.sent(now) // sent again: its context ends first
	c.recall(&never, false, now)
	c.landed()
	c.done(never, Feedback{}, now)
	if p := &c.pace; p.count != 2 || p.pending != 0 || len(p.log) != 2 {
		t.Errorf("%d accepted, %d pending, %d logged; want 2, 0, 2", p.count, p.pending, len(p.log))
	}
}
