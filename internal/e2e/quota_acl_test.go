package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/quota"
	"github.com/penstock/penstock/internal/servers"
	"github.com/penstock/penstock/internal/test"
	"github.com/penstock/penstock/throttle"
)

// A user with the rights that README and the errors name can do all that a quota needs, and one
// without any of them is told so.
func TestQuotaRights(t *testing.T) {
	together(t, true)
	redis := servers.StartRedis(t, servers.RedisConfig{})
	user := append([]string{"ACL", "SETUSER", "penstock", "on", ">hush-7d1e"},
		strings.Fields(quota.Rights)...)
	redis.Do(t, user...)
	url := "redis://penstock:hush-7d1e@" + redis.Addr + quotaName
	ctx := t.Context()
	open := func(o quota.Options) (*quota.Quota, *throttle.Upstream) {
		q, err := quota.Open(ctx, url, o)
		test.OK(t, err)
		u := throttle.NewUpstream(throttle.Limits{})
		q.Attach(u)
		return q, u
	}
	a, first := open(quota.Options{Settings: quota.Settings{Rate: 100, Burst: 2, InFlight: 4}})
	b, second := open(quota.Options{})
	for _, u := range []*throttle.Upstream{first, second, first, second} {
		p, err := u.Acquire(ctx, 1)
		test.OK(t, err)
		p.Done(throttle.Feedback{Signal: throttle.SignalSuccess})
	}
	var none quota.Settings
	test.OK(t, a.Pause(ctx, time.Now().Add(time.Hour), "hand"))
	test.OK(t, b.Resume(ctx))
	test.OK(t, a.Set(ctx, quota.Changes{Rate: &none.Rate, InFlight: &none.InFlight}))
	time.Sleep(1500 * time.Millisecond) // beats, and what is found
	_, err := a.State(ctx)
	test.OK(t, err)
	_, err = a.Found(ctx)
	test.OK(t, err)
	test.OK(t, a.Close(context.Background()))
	test.OK(t, b.Close(context.Background()))
	if denied := redis.Do(t, "ACL", "LOG"); denied != "" {
		t.Errorf("refused:\n%s", denied)
	}

	redis.Do(t, "ACL", "SETUSER", "penstock", "-time")
	_, err = quota.Open(ctx, url, quota.Options{})
	if err == nil || !strings.Contains(err.Error(), "ACL SETUSER USER "+quota.Rights+" allows") {
		t.Errorf("without a right: %v", err)
	}

	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	test.OK(t, err)
	if !strings.Contains(strings.Join(strings.Fields(string(text)), " "), "`ACL SETUSER penstock on >PASSWORD "+quota.Rights+"`") {
		t.Errorf("README does not name %s", quota.Rights)
	}
}
