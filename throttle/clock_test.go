package throttle

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A pause lasts as long as it was to last when it began: setting the clock neither prolongs nor ends it. Its end is told
// by the clock as it is now.
func TestBucketPauseWhileTheClockIsSet(t *testing.T) {
	for _, step := range []time.Duration{-time.Hour, 0, 20 * time.Second, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			var set atomic.Int64
			b := NewBucket(10, 1)
			b.line.clock = func() time.Time { return time.Now().Add(time.Duration(set.Load())) }
			b.Pause(begin.Add(30 * time.Second))
			granted := make(chan time.Duration, 2)
			for range 2 {
				go func() {
					if err := b.Wait(t.Context()); err != nil {
						t.Error(err)
					}
					granted <- time.Since(begin)
				}()
			}
			time.Sleep(time.Second)
			set.Store(int64(step))
			if s := b.Stats(); !s.Paused.Equal(begin.Add(30*time.Second + step)) {
				t.Errorf("set by %v: paused until %v, at %v", step, s.Paused, begin.Add(time.Second+step))
			}
			b.Pause(begin.Add(20*time.Second + step)) // ends sooner
			for i, want := range []time.Duration{30 * time.Second, 30*time.Second + 100*time.Millisecond} {
				if at := <-granted; at != want {
					t.Errorf("set by %v: token %d after %v, want %v", step, i, at, want)
				}
			}
		})
	}
}

// While the machine is suspended neither the bucket's clock nor its timer advances, but a pause does. It ends at the next look, and
// nothing leaves as a burst.
func TestBucketPauseWhileSuspended(t *testing.T) {
	for _, c := range []struct{ slept, want time.Duration }{
		{time.Hour, 10 * time.Second}, // long over at the first look
		{25 * time.Second, 10 * time.Second},
		{15 * time.Second, 15 * time.Second},
		{0, 30 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			var slept atomic.Int64
			slept.Store(int64(time.Minute)) // before
			b := NewBucket(10, 5)
			b.line.clock = func() time.Time { return time.Now().Add(time.Duration(slept.Load()) - time.Minute) }
			b.line.asleep = func() time.Duration { return time.Duration(slept.Load()) }
			b.WaitN(t.Context(), 5)
			b.Pause(begin.Add(30 * time.Second))
			granted := make(chan time.Duration, 3)
			for range 3 {
				go func() {
					if err := b.Wait(t.Context()); err != nil {
						t.Error(err)
					}
					granted <- time.Since(begin)
				}()
			}
			time.Sleep(time.Second)
			slept.Add(int64(c.slept))
			for i := range 3 {
				want := c.want + time.Duration(i)*100*time.Millisecond
				if at := <-granted; at != want {
					t.Errorf("suspended for %v: token %d after %v, want %v", c.slept, i, at, want)
				}
			}
		})
	}
}
