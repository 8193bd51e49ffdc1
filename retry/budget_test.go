package retry

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func TestBudgetDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &Budget{Ratio: 0.5, PerSecond: 2, Burst: 3}
		now := time.Now()
		for i, want := range []time.Duration{0, 0, 0, 500, 1000, 1500} {
			check(t, "take "+string(rune('0'+i)), b.take(now), want*time.Millisecond)
		}
		time.Sleep(time.Second) // pays for two of the three that wait
		b.earn()
		b.earn() // and these for the third
		check(t, "take", b.take(time.Now()), 500*time.Millisecond)
		b.put()
		b.put()
		check(t, "take", b.take(time.Now()), time.Duration(0))
		time.Sleep(time.Hour)
		for range 3 {
			check(t, "take", b.take(time.Now()), time.Duration(0))
		}
		check(t, "take", b.take(time.Now()), 500*time.Millisecond)
	})
}

func TestBudgetNeverOverflows(t *testing.T) {
	b := &Budget{PerSecond: math.SmallestNonzeroFloat64, Burst: 1}
	b.take(time.Now())
	check(t, "take", b.take(time.Now()), time.Duration(math.MaxInt64))
}

// In any stretch of time no more retries begin than the doc comment says.
func TestBudgetBound(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := &Budget{Ratio: rapid.Float64Range(0.01, 2).Draw(rt, "ratio"),
			PerSecond: rapid.Float64Range(0.1, 50).Draw(rt, "per second"),
			Burst:     rapid.Float64Range(1, 20).Draw(rt, "burst")}
		now := time.Now()
		first := now
		var calls, retries []time.Duration
		for range rapid.IntRange(1, 200).Draw(rt, "steps") {
			switch rapid.IntRange(0, 2).Draw(rt, "step") {
			case 0:
				now = now.Add(time.Duration(rapid.Int64Range(0, 3e9).Draw(rt, "pass")))
			case 1:
				calls = append(calls, now.Sub(first))
				b.add(now, b.Ratio)
			case 2:
				retries = append(retries, now.Sub(first)+b.take(now))
			}
		}
		for _, from := range retries {
			for _, to := range retries {
				if to < from {
					continue
				}
				n, bound := 0, b.Burst+b.PerSecond*(to-from).Seconds()+1+1e-6
				for _, at := range retries {
					if from <= at && at <= to {
						n++
					}
				}
				// what was earned may be spent later, but never more than Burst of it is kept
				for _, at := range calls {
					if at <= to {
						bound += b.Ratio
					}
				}
				if float64(n) > bound {
					rt.Fatalf("%d retries from %v to %v, at most %v may be", n, from, to, bound)
				}
			}
		}
	})
}

func TestEmptyBudgetDelaysCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &Budget{PerSecond: 0.1, Burst: 1, Ratio: 1e-9}
		b.take(time.Now())
		p := exact
		p.Budget = b
		s := play(try{status: 429}, try{status: 200})
		c, _ := over(s, p)
		check(t, "outcome", end(t, c, request(t, "PUT", "x")).Outcome, Delivered)
		if at := s.at[1].Round(time.Microsecond); at != 10*time.Second {
			t.Errorf("second try at %v, want 10s", at)
		}

		// A call that is cancelled while it waits leaves no debt.
		before := b.add(time.Now(), 0)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		err := p.Do(ctx, func(context.Context) error { return After(errors.New("x"), 0) })
		check(t, "outcome", OutcomeOf(nil, err).Outcome, Deferred)
		req := request(t, "PUT", "x").WithContext(ctx)
		c.HTTP = &http.Client{Transport: play(try{status: 429})}
		c.Do(req)
		if after := b.add(time.Now(), 0); math.Abs(after-before-0.1) > 1e-6 {
			t.Errorf("tokens: %v, then %v", before, after)
		}

		// One whose deadline comes before does not wait for that, and leaves no debt either.
		before, begin := b.add(time.Now(), 0), time.Now()
		late, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		for range 2 {
			err = p.Do(late, func(context.Context) error { return After(errors.New("x"), 0) })
			if r := OutcomeOf(nil, err); r.Outcome != Deferred ||
				!errors.Is(err, context.DeadlineExceeded) || !time.Now().Equal(begin) ||
				r.RetryAt.Sub(begin).Round(time.Millisecond) != 9*time.Second {
				t.Errorf("%v after %v: %+v", err, time.Since(begin), r)
			}
		}
		if after := b.add(time.Now(), 0); math.Abs(after-before) > 1e-6 {
			t.Errorf("tokens: %v, then %v", before, after)
		}
	})
}

// A retry that is paid for and then not made is paid back.
func TestBudgetIsPaidBack(t *testing.T) {
	for name, spoil := range map[string]func(*Client, *http.Request, context.CancelFunc){
		"cancelled": func(_ *Client, _ *http.Request, cancel context.CancelFunc) {
			time.AfterFunc(time.Second, cancel)
		},
		"stopped": func(c *Client, _ *http.Request, _ context.CancelFunc) {
			time.AfterFunc(time.Second, func() { c.Stop(nil) })
		},
		"no body": func(_ *Client, req *http.Request, _ context.CancelFunc) {
			req.GetBody = func() (io.ReadCloser, error) { return nil, io.ErrUnexpectedEOF }
		},
		"not prepared": func(c *Client, _ *http.Request, _ context.CancelFunc) {
			c.Prepare = func(r *http.Request) error {
				if Attempt(r.Context()) == 1 {
					return nil
				}
				return io.ErrUnexpectedEOF
			}
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := &Budget{PerSecond: 1e-9, Ratio: 1e-9}
			c, _ := over(play(try{status: 503, header: "Retry-After: 9"}, try{status: 201}),
				Policy{Budget: b, Base: 1})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			req := request(t, "PUT", "x").WithContext(ctx)
			spoil(c, req, cancel)
			check(t, name+": attempts", end(t, c, req).Attempts, 1)
			if left := b.add(time.Now(), 0); math.Abs(left-10) > 1e-6 {
				t.Errorf("%s: %v tokens are left of 10", name, left)
			}
		})
	}
}
