package retry

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
)

func TestValidateNamesEveryBadField(t *testing.T) {
	err := Policy{Attempts: -1, Base: -2, Factor: math.NaN(), Cap: -3, MaxWait: -4, GiveUpAfter: -5,
		Budget: &Budget{Ratio: math.Inf(1), PerSecond: -6, Burst: 0.5}}.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"Attempts is -1", "Base is -2ns", "Factor is NaN", "Cap is -3ns", "MaxWait is -4ns", "GiveUpAfter is -5ns",
		"Ratio is +Inf", "PerSecond is -6", "Burst is 0.5"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing from:\n%v", want, err)
		}
	}
	for _, factor := range []float64{0.99, -2, math.Inf(1), math.Inf(-1)} {
		if (Policy{Factor: factor}).Validate() == nil {
			t.Errorf("factor %v is taken", factor)
		}
	}
	for _, p := range []Policy{{}, exact, {Factor: 1, Budget: &Budget{}}, {MaxWait: math.MaxInt64, GiveUpAfter: math.MaxInt64}} {
		if err := p.Validate(); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
	}
	if err := (Policy{Attempts: -1}).Do(t.Context(), nil); err == nil {
		t.Error("Do ran with an invalid policy")
	}
}

// Full jitter, and no wait above the cap.
func TestCurve(t *testing.T) {
	want := []time.Duration{500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000}
	longest := make([]time.Duration, len(want))
	shortest := make([]time.Duration, len(want))
	for range 2000 {
		c := newCourse(Policy{})
		for i := range want {
			w := c.jitter(false)
			if w < 1 || w > want[i]*time.Millisecond {
				t.Fatalf("wait %d is %v, want up to %vms", i, w, int64(want[i]))
			}
			longest[i] = max(longest[i], w)
			if shortest[i] == 0 || w < shortest[i] {
				shortest[i] = w
			}
		}
	}
	for i := range want { // chance of failure: 2·9·0.95^2000
		if longest[i] < want[i]*time.Millisecond*95/100 || shortest[i] > want[i]*time.Millisecond*5/100 {
			t.Errorf("wait %d is between %v and %v", i, shortest[i], longest[i])
		}
	}
	c := newCourse(Policy{Base: time.Hour, Cap: time.Second, Factor: math.MaxFloat64})
	for range 100 {
		if w := c.jitter(false); w < 1 || w > time.Second {
			t.Fatalf("wait %v above the cap", w)
		}
	}
}

func TestPolicyDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		boom := errors.New("boom")
		start := time.Now()
		var at []time.Duration
		run := func(p Policy, errs ...error) error {
			at, start = nil, time.Now()
			return p.Do(t.Context(), func(context.Context) error {
				at = append(at, time.Since(start))
				return errs[min(len(at), len(errs))-1]
			})
		}
		var e *Error

		if err := run(exact, boom, After(boom, 3*time.Second), notBeforeError{start.Add(5 * time.Second)}, nil); err != nil {
			t.Error(err)
		}
		check(t, "tries", len(at), 4)
		check(t, "second", at[1], time.Duration(1))
		check(t, "third", at[2], 3*time.Second+2)
		check(t, "fourth", at[3], 5*time.Second+1)

		err := run(exact, boom)
		check(t, "tries", len(at), 8)
		if !errors.As(err, &e) || e.Outcome != Failed || e.Attempts != 8 || !errors.Is(err, boom) {
			t.Errorf("%v", err)
		}
		check(t, "text", err.Error(), "retry: boom: gave up after 8 failed attempts")

		for _, stop := range []error{Permanent(boom), backoff.Permanent(boom)} {
			err = run(exact, boom, stop)
			check(t, "tries", len(at), 2)
			if !errors.As(err, &e) || e.Outcome != Failed || !errors.Is(err, boom) {
				t.Errorf("%v", err)
			}
		}

		err = run(exact, After(boom, 2*time.Hour))
		check(t, "tries", len(at), 1)
		if !errors.As(err, &e) || e.Outcome != Deferred || !e.RetryAt.Equal(start.Add(2*time.Hour)) {
			t.Errorf("%v", err)
		}

		err = run(exact, notBeforeError{})
		check(t, "tries", len(at), 1)
		if !errors.As(err, &e) || e.Outcome != Deferred || !e.RetryAt.IsZero() {
			t.Errorf("%v", err)
		}

		err = run(exact, After(boom, math.MaxInt64), nil)
		check(t, "tries", len(at), 1)
		if !errors.As(err, &e) || e.Outcome != Deferred {
			t.Errorf("%v", err)
		}

		err = run(Policy{GiveUpAfter: 1, Attempts: 1}, After(boom, 0))
		check(t, "tries", len(at), 1)
		if !errors.As(err, &e) || e.Outcome != Deferred {
			t.Errorf("%v", err)
		}
		if Permanent(nil) != nil || After(nil, 1) != nil {
			t.Error("nil is marked")
		}
	})
}

// Of several marks the outermost counts.
func TestPolicyDoMarks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		boom, begin := errors.New("boom"), time.Now()
		in := func(d time.Duration) error { return notBeforeError{begin.Add(d)} }
		for _, test := range []struct {
			name string
			err  error
			want Outcome
			at   time.Duration // of the second try, since the first of all; 0: there is none
		}{
			{"permanent around not before", Permanent(in(time.Second)), Failed, 0},
			{"permanent around after", Permanent(After(boom, time.Second)), Failed, 0},
			{"permanent, deep", fmt.Errorf("a: %w", Permanent(fmt.Errorf("b: %w", in(time.Second)))), Failed, 0},
			{"not before around permanent", fmt.Errorf("%w: %w", in(time.Second), Permanent(boom)), Delivered, time.Second + 1},
			{"after around permanent", After(Permanent(boom), time.Second), Delivered, 2*time.Second + 2},
			{"after around not before", After(in(time.Hour), time.Second), Delivered, 3*time.Second + 3},
			{"permanent, joined", errors.Join(boom, Permanent(boom), in(time.Second)), Failed, 0},
		} {
			tries, second := 0, time.Duration(0)
			err := exact.Do(t.Context(), func(context.Context) error {
				if tries++; tries == 1 {
					return test.err
				}
				second = time.Since(begin)
				return nil
			})
			var e *Error
			if test.want == Delivered && err != nil || test.want != Delivered && (!errors.As(err, &e) || e.Outcome != test.want) || second != test.at {
				t.Errorf("%s: %v, second try at %v, want %v", test.name, err, second, test.at)
			}
		}
	})
}

func TestPolicyDoCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		boom, cause := errors.New("boom"), errors.New("disk full")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(cause) })
		start := time.Now()
		err := Policy{}.Do(ctx, func(context.Context) error { return After(boom, time.Minute) })
		check(t, "time passed", time.Since(start), time.Second)
		for _, want := range []error{boom, cause, context.Canceled} {
			if !errors.Is(err, want) {
				t.Errorf("%v: lacks %v", err, want)
			}
		}
		ctx, cancel = context.WithCancelCause(t.Context())
		err = exact.Do(ctx, func(context.Context) error {
			cancel(cause)
			return context.Canceled
		})
		check(t, "text", err.Error(), "retry: context canceled: disk full")
		check(t, "outcome", OutcomeOf(nil, err).Outcome, Deferred)

		called := false
		err = Policy{}.Do(ctx, func(context.Context) error { called = true; return nil })
		if called || !errors.Is(err, cause) || OutcomeOf(nil, err).Outcome != Deferred {
			t.Errorf("called %v: %v", called, err)
		}
	})
}

// However the steps come, no wait is negative, shorter than asked, or longer than asked plus Cap.
func TestPlanAgainstModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(1, 2))
		asks := []time.Duration{math.MinInt64, -1, 0, 1, time.Second, time.Hour, time.Hour + 1, math.MaxInt64 - 1, math.MaxInt64}
		for _, p := range []Policy{{}, {MaxWait: math.MaxInt64, GiveUpAfter: math.MaxInt64, Attempts: math.MaxInt}, {Cap: math.MaxInt64, Base: math.MaxInt64 / 2}, exact} {
			for range 200 {
				c := newCourse(p)
				for n := range 30 {
					asked := asks[random.IntN(len(asks))]
					wait, end := c.plan(t.Context(), time.Now(), step{asked: asked, refusal: n%2 == 0, failure: n%3 == 0})
					if end != nil {
						break
					}
					if wait < 1 || wait < asked || wait > plus(max(asked, 0), c.policy.Cap) {
						t.Fatalf("asked %v, wait %v", asked, wait)
					}
					time.Sleep(min(wait, time.Hour))
				}
			}
		}
	})
}

// Who was cancelled has not used up its attempts: the last one, too, was not to be finished.
func TestCancelledOnTheLastAttempt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	err := Policy{Attempts: 1}.Do(ctx, func(context.Context) error {
		cancel()
		return errors.New("interrupted")
	})
	check(t, "outcome", OutcomeOf(nil, err).Outcome, Deferred)
}

// Where something else holds all calls back, a refusal's own wait stays short, and
// does not grow; a failure's does.
func TestRefusalCap(t *testing.T) {
	c := newCourse(Policy{RefusalCap: 100 * time.Millisecond, Base: time.Second, Factor: 1})
	longest := time.Duration(0)
	for range 1000 {
		wait, end := c.plan(t.Context(), time.Now(), step{refusal: true})
		if end != nil || wait < 1 || wait > 100*time.Millisecond {
			t.Fatalf("%v, %v", wait, end)
		}
	}
	if wait, _ := c.plan(t.Context(), time.Now(), step{refusal: true, failure: true, asked: time.Minute}); wait > time.Minute+100*time.Millisecond {
		t.Errorf("%v after a refusal that named a minute", wait)
	}
	for range 6 {
		wait, end := c.plan(t.Context(), time.Now(), step{refusal: true, failure: true})
		if end != nil {
			t.Fatal(end.why)
		}
		longest = max(longest, wait)
	}
	if longest <= 100*time.Millisecond {
		t.Errorf("no failure waited longer than %v", longest)
	}
}
