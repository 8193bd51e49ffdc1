package throttle

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
)

// A fixedWait is a token bucket that asks for the same wait whenever it refuses, however soon it will have a token.
type fixedWait struct {
	rate, burst float64
	after       time.Duration
	given       rate.Limit // the user's rate; 0: none
}

func (f fixedWait) String() string {
	return strings.ReplaceAll(fmt.Sprintf("%g/s, burst %g, Retry-After %v, given %g", f.rate, f.burst, f.after, float64(f.given)), "given 0", "none given")
}

// send sends so many requests of 50 ms, each until it is accepted. It returns how long that took, and how many were refused.
func (f fixedWait) send(t *testing.T, n int) (took time.Duration, refused int) {
	synctest.Test(t, func(t *testing.T) {
		u := NewUpstream(Limits{Rate: f.given})
		server := &tokens{rate: f.rate, burst: f.burst, level: f.burst, last: time.Now()}
		c := newClock()
		var mu sync.Mutex
		var senders sync.WaitGroup
		left := n
		for range 40 {
			senders.Go(func() {
				for {
					p, err := u.Acquire(t.Context(), 1)
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					over := left == 0
					ok := !over && server.take(time.Now())
					if ok {
						left--
					} else if !over {
						refused++
					}
					mu.Unlock()
					if over {
						p.Release()
						return
					}
					time.Sleep(50 * ms)
					if ok {
						p.Done(Feedback{Signal: SignalSuccess, Latency: 50 * ms})
					} else {
						p.Done(Feedback{Signal: SignalThrottled, Latency: 50 * ms, RetryAt: time.Now().Add(f.after)})
					}
					mu.Lock()
					if took = c.now(); left == 0 {
						mu.Unlock()
						return
					}
					mu.Unlock()
				}
			})
		}
		senders.Wait()
	})
	return took, refused
}

// What a bucket lets pass is found from what it accepts after a pause, whatever wait it asks for: the wait is no part of
// the time in which that came, since the bucket was full before its end. A given rate that is far too high is not tried
// again and again.
func TestFixedRetryAfter(t *testing.T) {
	const n = 400
	for _, c := range []struct {
		fixedWait
		most    time.Duration // until all are accepted
		refused int           // at most
	}{
		{fixedWait{5, 1, 2 * time.Second, 0}, 108 * time.Second, 10},
		{fixedWait{10, 1, 3 * time.Second, 0}, 70 * time.Second, 8},
		{fixedWait{8, 3, 2 * time.Second, 0}, 63 * time.Second, 8},
		{fixedWait{10, 3, 3 * time.Second, 0}, 61 * time.Second, 8},
		{fixedWait{10, 10, 3 * time.Second, 0}, 51 * time.Second, 20},
		{fixedWait{5, 10, 5 * time.Second, 0}, 106 * time.Second, 20},
		{fixedWait{30, 10, 5 * time.Second, 0}, 40 * time.Second, 24},
		{fixedWait{10, 50, 10 * time.Second, 0}, 57 * time.Second, 44},
		{fixedWait{50, 50, 10 * time.Second, 0}, 32 * time.Second, 44},
		{fixedWait{15, 3, 2 * time.Second, 40}, 36 * time.Second, 5},
		{fixedWait{10, 10, 3 * time.Second, 25}, 52 * time.Second, 5},
		{fixedWait{10, 1, 5 * time.Second, 25}, 97 * time.Second, 12},
		{fixedWait{30, 50, 5 * time.Second, 75}, 23 * time.Second, 8},
		{fixedWait{50, 3, 10 * time.Second, 125}, 45 * time.Second, 8},
	} {
		t.Run(c.String(), func(t *testing.T) {
			took, refused := c.send(t, n)
			t.Logf("%v, %d refused", took, refused)
			if took > c.most || refused > c.refused {
				t.Errorf("%d requests took %v and %d refusals, want at most %v and %d", n, took, refused, c.most, c.refused)
			}
		})
	}
}

// What was sent after the refused request, while its answer was on the way, says nothing of the rate that the server accepts.
func TestFirstRefusalWithManyInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := NewUpstream(Limits{InFlight: 256})
		server := &tokens{rate: 1000, burst: 300, level: 300, last: time.Now()}
		var mu sync.Mutex
		var found rate.Limit // by the first refusal
		var senders sync.WaitGroup
		for range 256 {
			senders.Go(func() {
				for {
					p, err := u.Acquire(t.Context(), 1)
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					over, ok := found > 0, server.take(time.Now())
					mu.Unlock()
					switch {
					case over:
						p.Release()
						return
					case ok:
						time.Sleep(100 * ms)
						p.Done(Feedback{Signal: SignalSuccess, Latency: 100 * ms})
						continue
					}
					time.Sleep(500 * ms)
					p.Done(Feedback{Signal: SignalThrottled, Latency: 500 * ms, RetryAt: time.Now().Add(2 * time.Second)})
					mu.Lock()
					if found == 0 {
						found = u.Stats().Rate
					}
					mu.Unlock()
				}
			})
		}
		senders.Wait()
		if found < 100 || found > 5000 { // the burst came within 100 ms
			t.Errorf("%v/s is found, the server accepts 1,000/s after a burst of 300", found)
		}
	})
}
