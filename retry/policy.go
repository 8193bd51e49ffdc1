package retry

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/penstock/penstock/internal/curve"
)

const (
	// Eight failures with waits of 250 ms, 500 ms, 1 s, … in the mean take about half a minute: a
	// restart is over by then, and a request that is always wrong has not cost the server much.
	defaultAttempts = 8
	// Half a second is long beside an answer, and short beside a person's patience.
	defaultBase   = 500 * time.Millisecond
	defaultFactor = 2.0
	// A server that is back should not stand idle for longer than half a minute.
	defaultCap = 30 * time.Second
	// An hour is longer than the windows of most quotas, and shorter than a mistaken date.
	defaultMaxPause    = time.Hour
	defaultGiveUpAfter = time.Hour

	// unprovenPatience is enough for a restart, where 500 may as well be about the request: nothing
	// else was ever accepted, or nothing else was tried.
	unprovenPatience = 10 * time.Minute

	// pacedCap bounds the random wait after a refusal where a limiter below holds all calls back.
	// The limiter then does the waiting and paces those that it lets go, so a longer wait would
	// only leave the upstream idle once it is back; half a second is a tenth of the shortest outage
	// that anybody notices, and still mixes the calls that were refused together.
	pacedCap = 500 * time.Millisecond
)

// Policy says how often a call is repeated and how long it waits in between. The zero value stands
// for the defaults named below. It is a plain value: copy it freely, share it between goroutines.
//
// Before attempt n+1 a call waits for what the server asked for, plus a random time of up to
// min(Cap, Base·Factor^(n-1)). The jitter is full, from zero on (Exponential Backoff And Jitter,
// AWS Architecture Blog, 2015), and is added to the server's wait because many clients are often
// given the same instant. After a refusal the random time is at most Base, and at most 500ms, for
// requests that pass a throttle.Transport, which then holds all of them back. Where a function of
// Policy.Do waits for a throttle.Upstream it is not shortened.
type Policy struct {
	// Attempts is the number of failed attempts after which a call has Failed; 1 makes the first
	// failure final. Refusals do not count, nor does an answer such as 500 that the request is not
	// to blame for (see the package comment). If zero, 8.
	Attempts int

	// Base is the upper bound of the random wait before the second attempt. If zero, 500ms. It
	// never exceeds Cap.
	Base time.Duration

	// Factor is how much that bound grows from attempt to attempt, at least 1. If zero, 2.
	Factor float64

	// Cap is the upper bound of any random wait. If zero, 30s.
	Cap time.Duration

	// Wait, if not nil, replaces the random wait, and with it Base, Factor, Cap and Rand. It
	// returns how long to wait in addition to asked, the wait that the server asked for, which is
	// zero if there was none; a negative result counts as zero. n counts the waits of one call from
	// 1 on. Wait must be safe for concurrent use.
	Wait func(n int, asked time.Duration) time.Duration

	// Rand returns a random number in [0, 1) for each random wait. Seed one of your own for runs
	// that can be repeated. It must be safe for concurrent use. If nil, [rand.Float64] of
	// math/rand/v2.
	Rand func() float64

	// MaxPause is the longest wait requested by a server, or by a "not before" error, that one call
	// sits out. A longer one ends the call at once as [Deferred], with the instant in RetryAt. If
	// zero, 1h, so that a Retry-After of a year does not hang a program; [math.MaxInt64] sets no
	// limit but the context.
	MaxPause time.Duration

	// GiveUpAfter is how long one call goes on while the upstream refuses it or cannot be reached;
	// then it ends as [Deferred]. The time runs from the first refusal. It stops during waits that
	// the server asked for, and starts again at zero after an attempt that counted as a failure.
	// After answers such as 500 it is ten minutes at most while no other request of the kind fails
	// too, or none was ever accepted. If zero, 1h. To end a call at its first refusal, set it to 1
	// (a nanosecond); [math.MaxInt64] sets no limit but the context.
	GiveUpAfter time.Duration

	// Budget bounds retries over many calls. If nil, they are not bounded.
	Budget *Budget

	// Observe is called after each attempt of [Policy.Do], in its goroutine. The calls of a
	// [Client] are reported to the Client's Observe instead. If nil, it is not called.
	Observe func(Event)
}

// Validate returns an error that names every field that is not valid, with its value. It returns
// nil if there is none. Do reports the same before it sends anything.
func (p Policy) Validate() error {
	var errs []error
	check := func(ok bool, field string, value any, use string, or any) {
		if !ok {
			errs = append(errs, fmt.Errorf("retry: Policy.%s is %v: use %s, or 0 for %v", field,
				value, use, or))
		}
	}
	factor := p.Factor == 0 || p.Factor >= 1 && p.Factor <= math.MaxFloat64 // and not NaN
	const duration = "a positive duration"
	check(p.Attempts >= 0, "Attempts", p.Attempts, "a positive number", defaultAttempts)
	check(p.Base >= 0, "Base", p.Base, duration, defaultBase)
	check(factor, "Factor", p.Factor, "at least 1", defaultFactor)
	check(p.Cap >= 0, "Cap", p.Cap, duration, defaultCap)
	check(p.MaxPause >= 0, "MaxPause", p.MaxPause, duration, defaultMaxPause)
	check(p.GiveUpAfter >= 0, "GiveUpAfter", p.GiveUpAfter, duration, defaultGiveUpAfter)
	if p.Budget != nil {
		errs = append(errs, p.Budget.validate())
	}
	return errors.Join(errs...)
}

// orDefaults returns p with its zero fields filled in.
func (p Policy) orDefaults() Policy {
	p.Attempts = cmp.Or(p.Attempts, defaultAttempts)
	p.Base = cmp.Or(p.Base, defaultBase)
	p.Factor = cmp.Or(p.Factor, defaultFactor)
	p.Cap = cmp.Or(p.Cap, defaultCap)
	p.MaxPause = cmp.Or(p.MaxPause, defaultMaxPause)
	p.GiveUpAfter = cmp.Or(p.GiveUpAfter, defaultGiveUpAfter)
	return p
}

// BackOff returns the waits of the Policy between failures for code that takes those of backoff/v4,
// such as [backoff.Retry]: Attempts-1 waits and then [backoff.Stop]. Like all of that library it is
// for one call at a time; take a new one for each. [Permanent] marks errors for both.
func (p Policy) BackOff() backoff.BackOff {
	p = p.orDefaults()
	return backoff.WithMaxRetries(p.curve(), uint64(max(p.Attempts, 1)-1))
}

// curve returns the waits of one call. p has its defaults.
func (p Policy) curve() *curve.Curve {
	return &curve.Curve{Base: p.Base, Cap: p.Cap, Factor: p.Factor, Rand: p.Rand, Own: p.Wait}
}
