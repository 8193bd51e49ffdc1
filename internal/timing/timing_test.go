package timing

import (
	"testing"
	"time"

	"github.com/penstock/penstock/throttle"
)

func TestLongest(t *testing.T) {
	for _, c := range []struct {
		waited throttle.Waited
		want   throttle.Holding
	}{
		{throttle.Waited{}, throttle.HoldingNone},
		{throttle.Waited{Rate: 1, Concurrency: 1}, throttle.HoldingRate},
		{throttle.Waited{Rate: 1, Concurrency: 2}, throttle.HoldingConcurrency},
		{throttle.Waited{Bandwidth: time.Second, Down: 1}, throttle.HoldingBandwidth},
		{throttle.Waited{CoolDown: 3, Down: 2}, throttle.HoldingCoolDown},
		{throttle.Waited{CoolDown: 3, Down: 4}, throttle.HoldingDown},
		{throttle.Waited{Down: 4, Quota: 5}, throttle.HoldingQuota},
	} {
		if got := longest(c.waited); got != c.want {
			t.Errorf("%+v: %v, want %v", c.waited, got, c.want)
		}
	}
}
