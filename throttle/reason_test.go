package throttle

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A rate that the server states is learned, and is the reason of the change.
func TestReasonOfAStatedRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := NewUpstream(Limits{InFlight: 30})
		var reasons []string
		u.Observe = func(e Event) {
			if e.Kind == EventChanged {
				reasons = append(reasons, e.Reason)
			}
		}
		p, ok := u.TryAcquire(1)
		if !ok {
			t.Fatal("no permit")
		}
		time.Sleep(100 * ms)
		p.Done(Feedback{Signal: SignalSuccess, Quotas: []Quota{
			{Remaining: 6, Reset: time.Minute, Limit: 7, Window: time.Minute},
		}})
		s := u.Stats()
		if !s.Learned || s.Rate > 0.12 || s.Reason != "quota" {
			t.Errorf("learned %v, rate %v for %q", s.Learned, s.Rate, s.Reason)
		}
		if !slices.Equal(reasons, []string{"quota"}) {
			t.Errorf("reasons %q", reasons)
		}
	})
}

// After a refusal more is tried. The refusal is not the reason of that.
func TestReasonOfGrowth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := NewUpstream(Limits{InFlight: 4})
		server := NewBucket(20, 1)
		rate, lowered, raised := u.Stats().Rate, 0, 0
		u.Observe = func(e Event) {
			if e.Kind != EventChanged {
				return
			}
			switch {
			case e.Rate > rate && e.Phase != PhaseHoldingBack:
				raised++
				if e.Reason != growing {
					t.Errorf("from %v to %v: %q, %v", rate, e.Rate, e.Reason, e.Phase)
				}
			case e.Rate < rate:
				lowered++
				if e.Reason == growing {
					t.Errorf("from %v to %v: %q, %v", rate, e.Rate, e.Reason, e.Phase)
				}
			}
			rate = e.Rate
		}
		for begin := time.Now(); time.Since(begin) < 2*time.Minute; {
			p, err := u.Acquire(t.Context(), 1)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(ms)
			signal := SignalSuccess
			if !server.Allow() {
				signal = SignalThrottled
			}
			p.Done(Feedback{Signal: signal})
		}
		if lowered == 0 || raised == 0 {
			t.Errorf("lowered %d times and raised %d times", lowered, raised)
		}
	})
}
