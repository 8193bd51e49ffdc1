package status

import (
	"testing"

	"github.com/penstock/penstock/internal/quota"
)

func TestQuotaByHand(t *testing.T) {
	for _, test := range []struct {
		set, given          quota.Settings
		notice, stateOfThis string
	}{
		{
			quota.Settings{Rate: 10}, quota.Settings{Rate: 50},
			"the quota allows 10 req/s, set by hand; --rps 50 is not used",
			"set by hand: 10 req/s; runs give --rps 50",
		},
		{
			quota.Settings{InFlight: 3}, quota.Settings{Rate: .5, Burst: 5, InFlight: 8},
			"the quota allows any rate, 1 at once after a lull, at most 3 in flight, set by hand; " +
				"--rps 0.5 --burst 5 --concurrency 8 are not used",
			"set by hand: any rate, 1 at once after a lull, at most 3 in flight; " +
				"runs give --rps 0.5 --burst 5 --concurrency 8",
		},
	} {
		n := quota.Notice{Kind: quota.Overruled, Settings: test.set, Given: test.given}
		if got := Quota(n); got != test.notice {
			t.Errorf("%q, want %q", got, test.notice)
		}
		if got := QuotaGiven(quota.State{Settings: test.set, Given: test.given}); got !=
			test.stateOfThis {
			t.Errorf("%q, want %q", got, test.stateOfThis)
		}
	}
	same := quota.Settings{Rate: 50, InFlight: 3}
	if got := QuotaGiven(quota.State{Settings: same, Given: quota.Settings{Rate: 50}}); got != "" {
		t.Errorf("%q, want nothing", got)
	}
}
