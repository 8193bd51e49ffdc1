package throttle

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/standing"
)

// While callers use up what is granted the next lease is asked for at once, and no slot counts as
// unclaimed. When too few of them come, it is not, and slots do.
func TestLeaserUnclaimed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeLeaser(gcra(ms, ms, 20))
		u := NewUpstream(Limits{Fixed: true})
		u.SetLeaser(f)
		ctx, stop := context.WithCancel(t.Context())
		work := func(ctx context.Context) {
			for ctx.Err() == nil {
				if p, err := u.Acquire(ctx, 1); err == nil {
					time.Sleep(20 * ms)
					p.Done(Feedback{Signal: SignalSuccess})
				}
			}
		}
		for range 64 {
			go work(ctx)
		}
		time.Sleep(time.Second)
		if s, n := u.Stats(), len(f.called()); s.Unclaimed != 0 || s.Sent < 990 || n < 50 || n > 60 {
			t.Errorf("unclaimed %d, sent %d in %d calls", s.Unclaimed, s.Sent, n)
		}
		stop()
		time.Sleep(time.Second)
		ctx, stop = context.WithCancel(t.Context())
		before := u.Stats()
		for range 2 {
			go work(ctx)
		}
		time.Sleep(time.Second)
		if s, n := u.Stats(), len(f.called()); s.Unclaimed < before.Unclaimed+10 || n > 21 {
			t.Errorf("unclaimed %d, before %d, %d calls", s.Unclaimed, before.Unclaimed, n)
		}
		stop()
		time.Sleep(time.Second)
	})
}

// What a busy process of several leaves unused is little, and so is what others take for the few
// requests that they have.
func TestLeaserUnequalDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const perSecond, most = 1000, 25
		lease := gcra(time.Second/perSecond, ms, most)
		ctx, stop := context.WithCancel(t.Context())
		var us []*Upstream
		var leasers []*fakeLeaser
		for range 4 {
			u := NewUpstream(Limits{Fixed: true})
			f := newFakeLeaser(lease)
			u.SetLeaser(f)
			us, leasers = append(us, u), append(leasers, f)
		}
		send := func(u *Upstream) {
			if p, err := u.Acquire(ctx, 1); err == nil {
				time.Sleep(20 * ms)
				p.Done(Feedback{Signal: SignalSuccess})
			}
		}
		for range 64 {
			go func() {
				for ctx.Err() == nil {
					send(us[0])
				}
			}()
		}
		time.Sleep(time.Second) // it has all
		for i, rate := range []float64{10, 30, 100} {
			rnd := rand.New(rand.NewPCG(1, uint64(i)))
			go func() {
				for ctx.Err() == nil {
					time.Sleep(time.Duration(rnd.ExpFloat64() / rate * 1e9))
					go send(us[1+i])
				}
			}()
		}
		time.Sleep(time.Second)
		sent := func() (n int64) {
			for _, u := range us {
				n += u.Stats().Sent
			}
			return n
		}
		for _, f := range leasers {
			f.called()
		}
		before := sent()
		time.Sleep(10 * time.Second)
		used := float64(sent()-before) / perSecond / 10
		t.Logf("used %.3f", used)
		if used < 0.97 {
			t.Errorf("%.3f of the rate was used, want 0.97", used)
		}
		for i, f := range leasers[1:] {
			if calls := len(f.called()); calls > 230 {
				t.Errorf("process %d: %d calls in 10 s, want 200", i+1, calls)
			}
		}
		stop()
		time.Sleep(time.Second)
	})
}

// A cap is not taken for a limit of the server: once it is gone, the search goes on.
func TestCapTeachesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := NewUpstream(Limits{})
		u.Cap(3, time.Now().Add(time.Minute))
		ctx, stop := context.WithCancel(t.Context())
		for range 64 {
			go func() {
				for ctx.Err() == nil {
					p, err := u.Acquire(ctx, 1)
					if err != nil {
						return
					}
					time.Sleep(50 * ms)
					p.Done(Feedback{Signal: SignalSuccess})
				}
			}()
		}
		time.Sleep(20 * time.Second)
		s := u.Stats()
		if s.MaxInFlight != 3 || s.Limit <= 3 || s.Phase != PhaseStarting || s.Holding != HoldingQuota {
			t.Errorf("%+v", s)
		}
		u.Cap(-1, time.Time{})
		time.Sleep(20 * time.Second)
		if s := u.Stats(); s.MaxInFlight < 40 || s.Holding == HoldingQuota {
			t.Errorf("%+v", s)
		}
		stop()
		time.Sleep(time.Second)
	})
}

// A cap until an instant that is as far ahead as can be written is one.
func TestCapForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := NewUpstream(Limits{InFlight: 1000, Fixed: true})
		u.Cap(1, time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))
		for _, want := range []bool{true, false} {
			if _, ok := u.TryAcquire(1); ok != want {
				t.Errorf("let in: %v, want %v", ok, want)
			}
			time.Sleep(time.Hour)
		}
	})
}

// The error of a Leaser that grants nothing any more says that nothing was sent, unless something
// was.
func TestLeaserErrorIsNeverOrUnknown(t *testing.T) {
	cause := errors.New("the key was revoked")
	err := error(&leaseError{&limitsError{cause}})
	var never interface{ RetryAt() time.Time }
	if !errors.As(err, &never) || !never.RetryAt().IsZero() || !errors.Is(err, cause) {
		t.Errorf("%v: %v", err, never)
	}
	err = notResent(err)
	const text = "throttle: not sent again after the connection failed: " +
		"no quota: the key was revoked"
	if errors.As(err, &never) || err.Error() != text {
		t.Errorf("%v, want %s", fmt.Sprint(err), text)
	}
}

// A caller that gets turns for many says so, and has slots asked for all of them: of a rate that
// another uses to the full it gets half.
func TestLeaserCrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const perSecond, most = 200, 10
		lease := gcra(time.Second/perSecond, ms, most)
		ctx, stop := context.WithCancel(t.Context())
		var crowd atomic.Int64
		crowd.Store(50)
		us := []*Upstream{NewUpstream(Limits{Fixed: true}), NewUpstream(Limits{Fixed: true})}
		send := func(ctx context.Context, u *Upstream) {
			if p, err := u.Acquire(ctx, 1); err == nil {
				p.Done(Feedback{Signal: SignalSuccess})
			}
		}
		var g sync.WaitGroup
		for i, n := range []int{1, 50} {
			us[i].SetLeaser(newFakeLeaser(lease))
			ctx := ctx
			if n == 1 {
				ctx = context.WithValue(ctx, standing.CrowdKey{}, &crowd)
			}
			for range n {
				g.Go(func() {
					for ctx.Err() == nil {
						send(ctx, us[i])
					}
				})
			}
		}
		time.Sleep(10 * time.Second)
		if n := us[0].Stats().Wanted; n != 50 {
			t.Errorf("%d are wanted, want 50", n)
		}
		one, other := us[0].Stats().Sent, us[1].Stats().Sent
		if one < 900 || other < 900 {
			t.Errorf("%d and %d of 2,000", one, other)
		}
		stop()
		g.Wait()
	})
}
