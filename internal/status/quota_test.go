package status

import (
	"errors"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/quota"
)

func TestQuota(t *testing.T) {
	gone := errors.New("the Redis server r:6379 cannot be used: refused")
	set := quota.Settings{Rate: 50, Burst: 5, InFlight: 8}
	for want, n := range map[string]quota.Notice{
		gone.Error() + "; keeping to our share, one of 3, for at most 30 s": {
			Kind: quota.Gone, Err: gone, Hosts: 3, For: 30 * time.Second},
		gone.Error() + "; keeping to our share, all of it": {
			Kind: quota.Gone, Err: gone, Hosts: 1},
		gone.Error() + "; nothing is sent until it can (--quota-down stop)": {
			Kind: quota.Gone, Err: gone, Hosts: 3, Down: quota.Stop},
		gone.Error() + "; keeping to --rps alone until it can (--quota-down local)": {
			Kind: quota.Gone, Err: gone, Hosts: 3, Down: quota.Local},
		gone.Error() + "; nothing is sent until it can": {Kind: quota.Stopped, Err: gone},
		"the Redis of the quota is back":                {Kind: quota.Back},
		"the quota is shared by 3 processes":            {Kind: quota.Hosts, Hosts: 3},
		"nobody else shares the quota now":              {Kind: quota.Hosts, Hosts: 1},
		"the quota was changed: 50 req/s, 5 at once after a lull, at most 8 in flight": {
			Kind: quota.Changed, Settings: set},
		"the quota was changed: no limit is set": {Kind: quota.Changed},
		"the quota is paused by hand for another 5 m 0 s": {
			Kind: quota.Paused, Source: QuotaByHand, Time: time.Unix(0, 0),
			Until: time.Unix(300, 0)},
		"the quota is not paused any more: somebody resumed it": {Kind: quota.Resumed},
		"it may drop it": {Kind: quota.Evicts, Err: errors.New("it may drop it")},
	} {
		if got := Quota(n); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestQuotaConflict(t *testing.T) {
	for want, c := range map[string]quota.ConflictError{
		"--rps 50: the quota p has 100 req/min, which others have given: leave --rps out, or change " +
			"it for all by penstock quota set --rps 50 URL": {
			Name: "p", What: "rate", Ours: 50, Theirs: 100. / 60},
		"--burst 5: the quota p has 2 at once, which others have given: leave --burst out, or " +
			"change it for all by penstock quota set --burst 5 URL": {
			Name: "p", What: "burst", Ours: 5, Theirs: 2},
		"--concurrency 8: the quota p has 4 in flight, which others have given: leave " +
			"--concurrency out, or change it for all by penstock quota set --concurrency 8 URL": {
			Name: "p", What: "limit of requests in flight", Ours: 8, Theirs: 4},
	} {
		if got := QuotaConflict(&c).Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestQuotaPart(t *testing.T) {
	set := quota.Settings{Rate: 50}
	for want, p := range map[string]quota.Part{
		"p":                              {Hosts: 1},
		"p, 50 req/s":                    {Settings: set, Hosts: 1},
		"p, 50 req/s, shared by 3":       {Settings: set, Hosts: 3},
		"p, 50 req/s, without its Redis": {Settings: set, Hosts: 3, Down: true},
	} {
		if got := QuotaPart("p", p); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestQuotaPaused(t *testing.T) {
	now := time.Now()
	for source, want := range map[string]string{
		QuotaByHand:   "paused by hand for another 5 m 0 s",
		"retry-after": "paused for another 5 m 0 s: Retry-After",
	} {
		if got := QuotaPaused(now.Add(5*time.Minute), source, now); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
