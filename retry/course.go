package retry

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/internal/curve"
	"github.com/penstock/penstock/internal/said"
	"github.com/penstock/penstock/internal/standing"
)

// course is how far one call has come, and what that allows next. Client and Policy.Do share it.
type course struct {
	policy   Policy       // with its defaults
	waits    *curve.Curve // if nil, there was no wait yet
	attempts int          // calls of op, or requests sent
	failures int          // those that count against Policy.Attempts
	giveUp   time.Time    // no wait of our own in a series of refusals ends later
	paced    atomic.Bool  // a limiter below holds all calls back
}

func newCourse(p Policy) course {
	p.Budget.earn()
	return course{policy: p.orDefaults()}
}

func (c *course) observe(e Event) {
	if c.policy.Observe != nil {
		c.policy.Observe(e)
	}
}

// place is the context of one attempt.
type place struct {
	context.Context
	number int
	paced  *atomic.Bool
}

type placeKey struct{}

// Value finds the place itself, and where a limiter below notes that it paces.
func (p *place) Value(key any) any {
	switch key {
	case placeKey{}:
		return p
	case standing.PacedKey{}:
		return p.paced
	}
	return p.Context.Value(key)
}

// Attempt returns the number of the attempt that ctx is the context of, from 1 on: that of a
// request which a [Client] has sent, in a transport below, or the one that [Policy.Do] gives its
// function. It returns 0 if ctx is of neither.
func Attempt(ctx context.Context) int {
	if p, ok := ctx.Value(placeKey{}).(*place); ok {
		return p.number
	}
	return 0
}

// step is what one attempt means for the course.
type step struct {
	asked   time.Duration // the wait asked for, zero or less if none was
	failure bool          // counts against Attempts
	refusal bool          // counts against GiveUpAfter; it may be both
	atOnce  bool          // adds no wait of our own

	unproven bool // as a refusal, it may as well be the request's own failure
}

func deferred(retryAt time.Time, why error) *Result {
	return &Result{Outcome: Deferred, RetryAt: retryAt, Err: why}
}

// plan returns how long to wait before the next attempt, or how the course ends here.
func (c *course) plan(ctx context.Context, now time.Time, s step) (time.Duration, *Result) {
	if ctx.Err() != nil {
		return 0, deferred(time.Time{}, said.Cancelled(ctx))
	}
	if s.failure {
		if c.failures++; c.failures >= c.policy.Attempts {
			return 0, &Result{Outcome: Failed, Err: &spentError{c.failures}}
		}
	}
	asked := max(s.asked, 0)
	if asked > c.policy.MaxPause {
		return 0, deferred(now.Add(asked), &pauseError{asked, c.policy.MaxPause})
	}
	var own time.Duration
	if !s.atOnce {
		own = c.own(s, asked)
	}
	wait := curve.Plus(asked, own)
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
		return 0, deferred(until, tooLate(patience, s.unproven && patience == unprovenPatience))
	}
	if !c.giveUp.IsZero() {
		c.giveUp = c.giveUp.Add(asked)
	}
	wait = max(wait, c.policy.Budget.take(now))
	until = now.Add(wait)
	if deadline, ok := ctx.Deadline(); ok && until.After(deadline) {
		c.policy.Budget.put() // no attempt follows
		return 0, deferred(until, fmt.Errorf("the next attempt in %v would be too late: %w", wait,
			context.DeadlineExceeded))
	}
	return wait, nil
}

// tooLate returns why a course ends whose next attempt would come after all patience.
func tooLate(patience time.Duration, unproven bool) error {
	if unproven {
		return fmt.Errorf("the next attempt would be more than %v after the first refusal, "+
			"and the request itself may be at fault", patience)
	}
	return &lateError{patience}
}

// own returns the call's own wait, beside what was asked for.
func (c *course) own(s step, asked time.Duration) time.Duration {
	if c.waits == nil {
		c.waits = c.policy.curve()
	}
	if c.paced.Load() && s.refusal && (!s.failure || asked > 0) {
		return c.waits.Spread(asked, pacedCap)
	}
	return c.waits.After(asked)
}
