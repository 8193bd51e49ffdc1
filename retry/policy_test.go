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
	"github.com/penstock/penstock/internal/curve"
)

func TestValidateNamesEveryBadField(t *testing.T) {
	err := Policy{Attempts: -1, Base: -2, Factor: math.NaN(), Cap: -3, MaxPause: -4,
		GiveUpAfter: -5,
		Budget:      &Budget{Ratio: math.Inf(1), PerSecond: -6, Burst: 0.5}}.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"Attempts is -1", "Base is -2ns", "Factor is NaN", "Cap is -3ns",
		"MaxPause is -4ns", "GiveUpAfter is -5ns",
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
	for _, p := range []Policy{{}, exact, {Factor: 1, Budget: &Budget{}},
		{MaxPause: math.MaxInt64, GiveUpAfter: math.MaxInt64}} {
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
		c := Policy{}.orDefaults().curve()
		for i := range want {
			w := c.NextBackOff()
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
		if longest[i] < want[i]*time.Millisecond*95/100 ||
			shortest[i] > want[i]*time.Millisecond*5/100 {
			t.Errorf("wait %d is between %v and %v", i, shortest[i], longest[i])
		}
	}
	c := Policy{Base: time.Hour, Cap: time.Second, Factor: math.MaxFloat64}.orDefaults().curve()
	for range 100 {
		if w := c.NextBackOff(); w < 1 || w > time.Second {
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

		if err := run(exact, boom, After(boom, 3*time.Second),
			notBeforeError{start.Add(5 * time.Second)}, nil); err != nil {
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
		if !errors.As(err, &e) || e.Outcome != Deferred ||
			!e.RetryAt.Equal(start.Add(2*time.Hour)) {
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
			{"permanent, deep", fmt.Errorf("a: %w",
				Permanent(fmt.Errorf("b: %w", in(time.Second)))), Failed, 0},
			{"not before around permanent", fmt.Errorf("%w: %w", in(time.Second), Permanent(boom)),
				Delivered, time.Second + 1},
			{"after around permanent", After(Permanent(boom), time.Second), Delivered,
				2*time.Second + 2},
			{"after around not before", After(in(time.Hour), time.Second), Delivered,
				3*time.Second + 3},
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
			if test.want == Delivered && err != nil || test.want != Delivered &&
				(!errors.As(err, &e) || e.Outcome != test.want) || second != test.at {
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
		asks := []time.Duration{math.MinInt64, -1, 0, 1, time.Second, time.Hour, time.Hour + 1,
			math.MaxInt64 - 1, math.MaxInt64}
		for _, p := range []Policy{{}, {MaxPause: math.MaxInt64, GiveUpAfter: math.MaxInt64,
			Attempts: math.MaxInt}, {Cap: math.MaxInt64, Base: math.MaxInt64 / 2}, exact} {
			for range 200 {
				c := newCourse(p)
				for n := range 30 {
					asked := asks[random.IntN(len(asks))]
					wait, end := c.plan(t.Context(), time.Now(),
						step{asked: asked, refusal: n%2 == 0, failure: n%3 == 0})
					if end != nil {
						break
					}
					if wait < 1 || wait < asked || wait > curve.Plus(max(asked, 0), c.policy.Cap) {
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

// Where a limiter below holds all calls back, a refusal's own wait stays short, and does not grow;
// a failure's does.
func TestPacedRefusals(t *testing.T) {
	last := func() float64 { return math.Nextafter(1, 0) } // each wait is the longest
	for _, test := range []struct {
		name  string
		p     Policy
		paced bool
		step  step
		want  []time.Duration // in milliseconds
	}{
		{"refusals", Policy{}, true, step{refusal: true}, []time.Duration{500, 500, 500}},
		{"refusals, not paced", Policy{}, false, step{refusal: true},
			[]time.Duration{500, 1000, 2000}},
		{"failures", Policy{}, true, step{refusal: true, failure: true},
			[]time.Duration{500, 1000, 2000}},
		{"failures that name a wait", Policy{}, true,
			step{refusal: true, failure: true, asked: time.Minute},
			[]time.Duration{60_500, 60_500, 60_500}},
		{"failures of the request alone that name a wait", Policy{}, true,
			step{failure: true, asked: time.Minute}, []time.Duration{60_500, 61_000, 62_000}},
		{"a short Base", Policy{Base: time.Millisecond}, true, step{refusal: true},
			[]time.Duration{1, 1, 1}},
		{"a long Base", Policy{Base: time.Minute, Cap: time.Hour}, true, step{refusal: true},
			[]time.Duration{500, 500, 500}},
		{"a low Cap", Policy{Cap: 100 * time.Millisecond}, true, step{refusal: true},
			[]time.Duration{100, 100, 100}},
	} {
		test.p.Rand = last
		c := newCourse(test.p)
		c.paced.Store(test.paced)
		for n, want := range test.want {
			wait, end := c.plan(t.Context(), time.Now(), test.step)
			if end != nil || wait != want*time.Millisecond {
				t.Errorf("%s: wait %d is %v, %v, want %vms", test.name, n, wait, end, int64(want))
			}
		}
	}
}

// The same seed, the same waits; and what Rand may not return does no harm.
func TestRand(t *testing.T) {
	waits := func(random func() float64) (all [5]time.Duration) {
		c := Policy{Rand: random}.orDefaults().curve()
		for i := range all {
			all[i] = c.NextBackOff()
		}
		return all
	}
	seeded := func() func() float64 { return rand.New(rand.NewPCG(1, 2)).Float64 }
	check(t, "waits", waits(seeded()), waits(seeded()))
	for _, odd := range []float64{-1, 1, 2, math.NaN(), math.Inf(1)} {
		check(t, "with "+fmt.Sprint(odd), waits(func() float64 { return odd }),
			[5]time.Duration{1, 1, 1, 1, 1})
	}
	check(t, "with 0.5", waits(func() float64 { return 0.5 }),
		[5]time.Duration{250e6 + 1, 500e6 + 1, 1e9 + 1, 2e9 + 1, 4e9 + 1})
}

// A wait function of the user's own is told what was asked for, and is not limited.
func TestBackoffFunction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		p := Policy{Cap: 1, Wait: func(n int, asked time.Duration) time.Duration {
			told = append(told, fmt.Sprint(n, " ", asked))
			return []time.Duration{0, 7 * time.Second, -1, 2 * time.Minute}[n]
		}}
		boom, begin := errors.New("boom"), time.Now()
		var at []time.Duration
		errs := []error{boom, After(boom, time.Minute), boom, nil}
		err := p.Do(t.Context(), func(context.Context) error {
			at = append(at, time.Since(begin))
			return errs[len(at)-1]
		})
		check(t, "error", err, nil)
		check(t, "told", fmt.Sprint(told), "[1 0s 2 1m0s 3 0s]")
		check(t, "attempts", fmt.Sprint(at), "[0s 7s 1m7.000000001s 3m7.000000001s]")
	})
}

// The wait curve is one of backoff/v4's, and ends with the attempts.
func TestPolicyBackOff(t *testing.T) {
	half := func() float64 { return 0.5 }
	b := Policy{Attempts: 4, Rand: half}.BackOff()
	for range 2 {
		for _, want := range []time.Duration{250e6 + 1, 500e6 + 1, 1e9 + 1, backoff.Stop,
			backoff.Stop} {
			check(t, "wait", b.NextBackOff(), want)
		}
		b.Reset()
	}
	own := Policy{Wait: func(n int, _ time.Duration) time.Duration {
		return time.Duration(n)
	}}.BackOff()
	check(t, "own, sum of two", own.NextBackOff()+own.NextBackOff(), time.Duration(3))
	own.Reset()
	check(t, "own, after Reset", own.NextBackOff(), time.Duration(1))
	check(t, "of one attempt", Policy{Attempts: 1}.BackOff().NextBackOff(), backoff.Stop)
	synctest.Test(t, func(t *testing.T) {
		begin, calls := time.Now(), 0
		err := backoff.Retry(func() error {
			calls++
			return errors.New("boom")
		}, Policy{Attempts: 4, Rand: half}.BackOff())
		if err == nil || calls != 4 || time.Since(begin) != 1750*time.Millisecond+3 {
			t.Errorf("%v after %d calls, %v", err, calls, time.Since(begin))
		}
	})
}

// Observe is called after each attempt of Do, and Attempt returns its number to op.
func TestPolicyObserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		boom, begin := errors.New("boom"), time.Now()
		var events []Event
		p := Policy{Base: 1, Factor: 1, Attempts: 2,
			Observe: func(e Event) { events = append(events, e) }}
		for _, test := range []struct {
			errs []error
			want []Event
		}{
			{[]error{nil}, []Event{{Kind: EventEnded, Attempt: 1, Outcome: Delivered}}},
			{[]error{boom, nil}, []Event{{Kind: EventWaiting, Attempt: 1, Err: boom, Wait: 1,
				Until: begin.Add(1)},
				{Kind: EventEnded, Attempt: 2, Outcome: Delivered}}},
			{[]error{Permanent(boom)}, []Event{{Kind: EventEnded, Attempt: 1, Outcome: Failed,
				Err: boom}}},
			{[]error{After(boom, 2*time.Hour)},
				[]Event{{Kind: EventEnded, Attempt: 1, Outcome: Deferred, Err: boom,
					Until: begin.Add(2*time.Hour + 1)}}},
		} {
			events = nil
			n := 0
			p.Do(t.Context(), func(ctx context.Context) error {
				n++
				check(t, "number", Attempt(ctx), n)
				return test.errs[n-1]
			})
			for i, want := range test.want {
				if i >= len(events) {
					t.Fatalf("%d events", len(events))
				}
				got := events[i]
				if (got.Err == nil) != (want.Err == nil) || want.Err != nil &&
					!errors.Is(got.Err, want.Err) {
					t.Errorf("error %v, want %v", got.Err, want.Err)
				}
				got.Err, want.Err = nil, nil
				if !got.Until.Equal(want.Until) {
					t.Errorf("until %v, want %v", got.Until, want.Until)
				}
				got.Until, want.Until = time.Time{}, time.Time{}
				check(t, "event", got, want)
			}
			check(t, "events", len(events), len(test.want))
		}
		check(t, "outside", Attempt(t.Context()), 0)
	})
}
