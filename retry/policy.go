package retry

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// What the zero Policy stands for.
const (
	defaultAttempts    = 8
	defaultBase        = 500 * time.Millisecond
	defaultFactor      = 2.0
	defaultCap         = 30 * time.Second
	defaultMaxWait     = time.Hour
	defaultGiveUpAfter = time.Hour

	// unprovenPatience is enough for a restart, where 500 may as well be about the request: nothing
	// else was ever accepted, or nothing else was tried.
	unprovenPatience = 10 * time.Minute
)

// Policy says how often to try again and how long to wait in between. The zero value stands for the
// defaults named below. It is a plain value: copy it freely, share it between goroutines.
//
// Before try n+1 a call waits for what the server asked for, plus a random time of up to min(Cap,
// Base·Factor^(n-1)). The jitter is full, from zero on (Exponential Backoff And Jitter, AWS
// Architecture Blog, 2015), and is added to the server's hint because many clients are often
// given the same instant.
type Policy struct {
	// Attempts is how many real failures one call goes through before it has failed; 1 makes the
	// first one final. A refusal, or an answer such as 500, counts only if the request itself is
	// to blame (see the package comment). If zero, 8.
	Attempts int

	// Base is the upper bound of the random wait before the second try. If zero, 500ms. It never
	// exceeds Cap.
	Base time.Duration

	// Factor is how much that bound grows from try to try, at least 1. If zero, 2.
	Factor float64

	// Cap is the upper bound of any random wait. If zero, 30s.
	Cap time.Duration

	// RefusalCap is the upper bound of the random wait after a refusal that counts as no failure of
	// the call, or for which the server named a wait. Such waits do not grow. Set it to a second or
	// so if a limiter below holds all calls back while the upstream refuses, as throttle.Transport
	// does: then a longer wait only delays the call when the upstream is back. If zero, it is Cap,
	// and the wait grows as after a failure.
	RefusalCap time.Duration

	// MaxWait is the longest wait requested by a server, or by a "not before" error, that one call
	// sits out. A longer one ends the call at once as [Deferred], with the instant in RetryAt. If
	// zero, 1h, so that a Retry-After of a year does not hang a program; [math.MaxInt64] sets no
	// limit but the context.
	MaxWait time.Duration

	// GiveUpAfter is how long one call goes on while the upstream refuses it or cannot be reached;
	// then it ends as [Deferred]. The time runs from the first refusal. It stops during waits that
	// the server asked for, and starts again at zero after a try that counted as an attempt. After
	// answers such as 500 it is ten minutes at most while no other request of the kind fails too,
	// or none was ever accepted. If zero, 1h. To end a call at its first refusal, set it to 1 (a
	// nanosecond); [math.MaxInt64] sets no limit but the context.
	GiveUpAfter time.Duration

	// Budget bounds retries over many calls. If nil, they are not bounded.
	Budget *Budget
}

// Validate reports every field that cannot be used, with its value; nil if there is none. Do
// reports the same before it sends.
func (p Policy) Validate() error {
	var errs []error
	if p.Attempts < 0 {
		errs = append(errs, fmt.Errorf("retry: Policy.Attempts is %d: use a positive number, or 0 for %d", p.Attempts, defaultAttempts))
	}
	if p.Factor != 0 && !(p.Factor >= 1 && p.Factor <= math.MaxFloat64) { // so that NaN is caught
		errs = append(errs, fmt.Errorf("retry: Policy.Factor is %v: use at least 1, or 0 for %v", p.Factor, defaultFactor))
	}
	for _, f := range [...]struct {
		name      string
		value, or time.Duration
	}{
		{"Base", p.Base, defaultBase},
		{"Cap", p.Cap, defaultCap},
		{"RefusalCap", p.RefusalCap, 0},
		{"MaxWait", p.MaxWait, defaultMaxWait},
		{"GiveUpAfter", p.GiveUpAfter, defaultGiveUpAfter},
	} {
		if f.value < 0 {
			errs = append(errs, fmt.Errorf("retry: Policy.%s is %v: use a positive duration, or 0 for %v", f.name, f.value, f.or))
		}
	}
	if p.Budget != nil {
		errs = append(errs, p.Budget.validate())
	}
	return errors.Join(errs...)
}

// orDefaults returns p with its zero fields filled in.
func (p Policy) orDefaults() Policy {
	fill(&p.Attempts, defaultAttempts)
	fill(&p.Base, defaultBase)
	fill(&p.Factor, defaultFactor)
	fill(&p.Cap, defaultCap)
	fill(&p.MaxWait, defaultMaxWait)
	fill(&p.GiveUpAfter, defaultGiveUpAfter)
	p.Base = min(p.Base, p.Cap) // the library applies its cap to later intervals only
	return p
}

func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Do calls op until it returns nil, and then returns nil. Otherwise the error is an [*Error].
//
// An error of op is a failed attempt, unless it is marked by [Permanent], which ends the call, by
// [After], which is a refusal, or has a method RetryAt (see the package comment); of several marks
// the outermost counts. op must be safe to repeat, and should end when ctx does.
func (p Policy) Do(ctx context.Context, op func(ctx context.Context) error) error {
	if err := p.Validate(); err != nil {
		return &Error{Outcome: Failed, Err: err}
	}
	if ctx.Err() != nil {
		return &Error{Outcome: Deferred, Err: cancelled(ctx)}
	}
	c := newCourse(p)
	for {
		err := op(ctx)
		if err == nil {
			return nil
		}
		c.tries++
		now := time.Now()

		next := step{failure: true}
		switch m := mark(err).(type) {
		case *backoff.PermanentError:
			return &Error{Attempts: c.tries, Outcome: Failed, Err: clean(err)}
		case *afterError:
			next = step{asked: m.wait, refusal: true}
		case interface{ RetryAt() time.Time }:
			at := m.RetryAt()
			if at.IsZero() {
				return &Error{Attempts: c.tries, Outcome: Deferred, Err: clean(err)}
			}
			next = step{asked: at.Sub(now), refusal: true}
		}

		wait, end := c.plan(ctx, now, next)
		if end == nil {
			end = c.sleep(ctx, wait)
		}
		if end != nil {
			return &Error{Attempts: c.tries, Outcome: end.outcome, RetryAt: end.retryAt, Err: because(clean(err), end.why)}
		}
	}
}

// Permanent marks err as one that another try does not change: [Policy.Do] returns at once.
// Permanent(nil) is nil. It is the mark of backoff/v4, so code written for that library is
// understood.
func Permanent(err error) error { return backoff.Permanent(err) }

// After marks err as a refusal that asks to come back after d: [Policy.Do] waits at least that long
// and counts no failed attempt. After(nil, d) is nil.
func After(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return &afterError{err: err, wait: d}
}

type afterError struct {
	err  error
	wait time.Duration
}

func (e *afterError) Error() string { return e.err.Error() }
func (e *afterError) Unwrap() error { return e.err }

// mark returns the outermost error in err's tree that decides what happens next, or nil.
func mark(err error) error {
	switch e := err.(type) {
	case *backoff.PermanentError, *afterError, interface{ RetryAt() time.Time }:
		return err
	case interface{ Unwrap() error }:
		return mark(e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			if m := mark(err); m != nil {
				return m
			}
		}
	}
	return nil
}

// notBefore finds the instant in an error that speaks of one.
func notBefore(err error) (time.Time, bool) {
	var e interface {
		error
		RetryAt() time.Time
	}
	if !errors.As(err, &e) {
		return time.Time{}, false
	}
	return e.RetryAt(), true
}

// course is how far one call has come, and what that allows next. Client and Policy.Do share it.
type course struct {
	policy   Policy // with its defaults
	curve    backoff.ExponentialBackOff
	tries    int       // op calls or round trips
	failures int       // those that count against Attempts
	giveUp   time.Time // no wait of our own in a series of refusals ends later
}

func newCourse(p Policy) course {
	if p.Budget != nil {
		p.Budget.earn()
	}
	return course{policy: p.orDefaults()}
}

// step is what one try means for the course.
type step struct {
	asked   time.Duration // the wait asked for, zero or less if none was
	failure bool          // counts against Attempts
	refusal bool          // counts against GiveUpAfter; it may be both
	atOnce  bool          // adds no wait of our own

	unproven bool // as a refusal, it may as well be the request's own failure
}

// ending is how a course ends.
type ending struct {
	outcome Outcome
	retryAt time.Time
	why     error
}

// plan returns how long to wait before the next try, or how the course ends here.
func (c *course) plan(ctx context.Context, now time.Time, s step) (time.Duration, *ending) {
	if ctx.Err() != nil {
		return 0, &ending{outcome: Deferred, why: cancelled(ctx)}
	}
	if s.failure {
		if c.failures++; c.failures >= c.policy.Attempts {
			return 0, &ending{outcome: Failed, why: &spentError{c.failures}}
		}
	}
	asked := max(s.asked, 0)
	if asked > c.policy.MaxWait {
		return 0, &ending{Deferred, now.Add(asked), &waitError{asked, c.policy.MaxWait}}
	}
	var own time.Duration
	if !s.atOnce {
		// a refusal is spread, not backed off
		own = c.jitter(s.refusal && (!s.failure || asked > 0))
	}
	wait := plus(asked, own)
	until := now.Add(wait)
	patience := c.policy.GiveUpAfter
	if s.refusal && c.giveUp.IsZero() {
		c.giveUp = now.Add(patience)
	}
	giveUp := c.giveUp
	if s.unproven && unprovenPatience < patience && patience < math.MaxInt64 {
		giveUp = giveUp.Add(unprovenPatience - patience)
		patience = unprovenPatience
	}
	if s.refusal && now.Add(own).After(giveUp) {
		return 0, &ending{Deferred, until, fmt.Errorf("refused for longer than GiveUpAfter %v", patience)}
	}
	if !c.giveUp.IsZero() {
		c.giveUp = c.giveUp.Add(asked)
	}
	if c.policy.Budget != nil {
		wait = max(wait, c.policy.Budget.take(now))
		until = now.Add(wait)
	}
	if deadline, ok := ctx.Deadline(); ok && until.After(deadline) {
		c.handBack()
		return 0, &ending{Deferred, until, fmt.Errorf("the next try in %v would be too late: %w", wait, context.DeadlineExceeded)}
	}
	return wait, nil
}

// jitter draws the call's own wait, of at least 1ns: on a clock that stands still between waits, a
// wait of nothing would be a loop without end.
func (c *course) jitter(refused bool) time.Duration {
	if refused && c.policy.RefusalCap > 0 {
		return 1 + rand.N(c.policy.RefusalCap)
	}
	if c.curve.Clock == nil { // most calls never get here
		c.curve = backoff.ExponentialBackOff{
			InitialInterval: c.policy.Base,
			Multiplier:      c.policy.Factor,
			MaxInterval:     c.policy.Cap,
			Stop:            backoff.Stop,
			Clock:           backoff.SystemClock,
			// RandomizationFactor 0: the library's jitter goes beyond its cap. MaxElapsedTime 0: it
			// never returns Stop.
		}
		c.curve.Reset()
	}
	return 1 + rand.N(c.curve.NextBackOff())
}

// sleep waits, or ends the course when ctx does.
func (c *course) sleep(ctx context.Context, wait time.Duration) *ending {
	until := time.Now().Add(wait)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		c.handBack()
		return &ending{Deferred, until, cancelled(ctx)}
	}
}

// handBack returns the token of a planned wait that no try follows.
func (c *course) handBack() {
	if c.policy.Budget != nil {
		c.policy.Budget.put()
	}
}

// plus adds two durations that are not negative, and stops at the longest there is.
func plus(a, b time.Duration) time.Duration {
	if sum := a + b; sum >= 0 {
		return sum
	}
	return math.MaxInt64
}

// cancelled is the error of a context that is done. It says why, and is context.Canceled or
// context.DeadlineExceeded as well.
func cancelled(ctx context.Context) error {
	cause := context.Cause(ctx)
	return worded(clean(cause).Error(), errors.Join(cause, ctx.Err()))
}

// because joins what happened last with why it was the last, and says nothing twice.
func because(last, why error) error {
	if last == nil {
		return why
	}
	if strings.HasSuffix(last.Error(), why.Error()) {
		return worded(last.Error(), errors.Join(last, why))
	}
	return fmt.Errorf("%w: %w", last, why)
}
