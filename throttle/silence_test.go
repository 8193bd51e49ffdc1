package throttle

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A server that says nothing any more gets what leaves before that is noticed, and then one request now
// and then; as soon as it answers it gets all that it may have.
func TestUpstreamSilence(t *testing.T) {
	for _, test := range []struct {
		name     string
		limits   Limits
		latency  time.Duration
		progress bool  // the requests are uploads that go on
		before   int64 // at most so many in the first second of silence
	}{
		{"told a rate", Limits{Rate: 200}, 20 * ms, false, 20},
		{"told a slow rate", Limits{Rate: 10}, 20 * ms, false, 5},
		{"slow answers", Limits{Rate: 50}, 200 * ms, false, 50},
		{"uploads that go on", Limits{Rate: 100}, 20 * ms, true, 101},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := NewUpstream(test.limits)
				var silent atomic.Bool
				var sent atomic.Int64
				answered := make(chan struct{})
				ctx := t.Context()
				done := make(chan struct{})
				for range 300 {
					go func() {
						for {
							p, err := u.Acquire(ctx, 1)
							if err != nil {
								done <- struct{}{}
								return
							}
							sent.Add(1)
							if silent.Load() {
								acked := int64(0)
								for going := true; going; {
									select {
									case <-answered:
										going = false
									case <-time.After(100 * ms):
										if test.progress {
											acked += 1 << 20
											p.Progress(acked, 1<<40)
										}
									}
								}
							} else {
								time.Sleep(test.latency)
							}
							p.Done(Feedback{Signal: SignalSuccess, Latency: test.latency})
						}
					}()
				}
				time.Sleep(10 * time.Second)
				silent.Store(true)
				sent.Store(0)
				time.Sleep(time.Second)
				if n := sent.Load(); n > test.before {
					t.Errorf("%d sent in the first second of silence, want at most %d", n, test.before)
				}
				begin := sent.Load()
				time.Sleep(time.Minute)
				switch n := sent.Load() - begin; {
				case test.progress && n < 150: // 256 at once, at most
					t.Errorf("%d sent while uploads go on", n)
				case !test.progress && test.name != "slow answers" && (n < 5 || n > 12):
					t.Errorf("%d sent in a minute of silence, want some of them, one at a time", n)
				}
				silent.Store(false)
				close(answered)
				time.Sleep(time.Second)
				begin = sent.Load()
				time.Sleep(10 * time.Second)
				if n, want := float64(sent.Load()-begin), 10*float64(test.limits.Rate); n < 0.99*want {
					t.Errorf("%v sent in ten seconds when it answers again, want %v", n, want)
				}
				u.Stop(nil)
				for range 300 {
					<-done
				}
			})
		})
	}
}
