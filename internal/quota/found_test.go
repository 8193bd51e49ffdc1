package quota

import (
	"context"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock/internal/lab/model"
	"github.com/penstock/penstock/internal/test"
	"github.com/penstock/penstock/throttle"
)

// A finder is a process that finds the rate of a server together with others.
type finder struct {
	upstream          *throttle.Upstream
	accepted, refused atomic.Int64
}

// startFinder starts one that sends until ctx ends.
func startFinder(ctx context.Context, e *engine, m model.Model) *finder {
	f := &finder{upstream: throttle.NewUpstream(throttle.Limits{})}
	e.host(Options{}).Attach(f.upstream)
	for range 30 {
		go func() {
			for {
				p, err := f.upstream.Acquire(ctx, 1)
				if err != nil {
					return
				}
				a := m.Serve(ctx, model.Request{})
				if a.Status == http.StatusTooManyRequests {
					f.refused.Add(1)
					wait := time.Duration(a.RetryAfter) * time.Second
					p.Done(throttle.Feedback{
						Signal: throttle.SignalThrottled, RetryAt: time.Now().Add(wait),
					})
					continue
				}
				f.accepted.Add(1)
				p.Done(throttle.Feedback{Signal: throttle.SignalSuccess})
			}
		}()
	}
	return f
}

// Four processes that nobody gave a rate find it together, and one that comes later knows it at
// once.
func TestFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		ctx, cancel := context.WithCancel(t.Context())
		m := model.NewQuota(model.Quotas{
			Rate: 40, N: 40, Service: 100 * time.Millisecond, RetryAfter: true,
		})
		var all []*finder
		for range 4 {
			all = append(all, startFinder(ctx, e, m))
		}
		time.Sleep(20 * time.Second)
		// counts returns how many of each were accepted in a time, and how many refused in all.
		counts := func(d time.Duration) (accepted []int64, sum, refused int64) {
			for _, f := range all {
				accepted = append(accepted, -f.accepted.Load())
				refused -= f.refused.Load()
			}
			time.Sleep(d)
			for i, f := range all {
				accepted[i] += f.accepted.Load()
				sum += accepted[i]
				refused += f.refused.Load()
			}
			return accepted, sum, refused
		}
		accepted, sum, refused := counts(2 * time.Minute)
		t.Logf("accepted %v of 4,800, refused %d", accepted, refused)
		if sum < 4800*93/100 || refused > sum*15/1000 {
			t.Errorf("accepted %d of 4,800, refused %d", sum, refused)
		}
		for i, n := range accepted {
			if n < sum/4*85/100 || n > sum/4*115/100 {
				t.Errorf("process %d had %d of %d", i, n, sum)
			}
		}

		all = append(all, startFinder(ctx, e, m))
		time.Sleep(3 * time.Second)
		accepted, sum, _ = counts(10 * time.Second)
		t.Logf("with a fifth: accepted %v", accepted)
		if n := accepted[4]; n < sum/5*8/10 || n > sum/5*13/10 {
			t.Errorf("the fifth had %d of %d", n, sum)
		}
		got, err := e.host(Options{}).Found(t.Context())
		test.OK(t, err)
		if got.Rate < 30 || got.Rate > 50 || time.Since(got.At) > 2*time.Second {
			t.Errorf("found %v a second, %v ago", got.Rate, time.Since(got.At))
		}
		cancel()
	})
}

// A process that begins sends at what was found, unless that is old.
func TestFoundBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			ago  time.Duration
			want rate.Limit
		}{
			{59 * time.Minute, 30},
			{61 * time.Minute, rate.Inf},
			{-time.Minute, rate.Inf}, // the clock was set
		} {
			e := newEngine(t)
			e.m.HSet("{penstock:q}", "found", "30", "foundsince", "0", "foundat",
				strconv.FormatInt(time.Now().Add(-test.ago).UnixMicro(), 10))
			u := throttle.NewUpstream(throttle.Limits{})
			e.host(Options{}).Attach(u)
			time.Sleep(100 * time.Millisecond)
			if got := u.Stats().Rate; got != test.want {
				t.Errorf("%v after it was found: %v a second, want %v", test.ago, got, test.want)
			}
		}
	})
}
