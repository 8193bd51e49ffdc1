package retry

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/penstock/penstock/internal/said"
)

// Do calls op until it returns nil, and then returns nil. Otherwise the error is an [*Error].
//
// An error of op is a failed attempt, unless it is marked by [Permanent], which ends the call, by
// [After], which is a refusal, or has a method RetryAt (see the package comment); of several marks
// the outermost counts. op must be safe to repeat, and should end when ctx does. [Attempt] returns
// the number of the attempt from the context that op is given.
func (p Policy) Do(ctx context.Context, op func(ctx context.Context) error) error {
	if err := p.Validate(); err != nil {
		return failure(Result{Outcome: Failed, Err: err})
	}
	if ctx.Err() != nil {
		return failure(Result{Outcome: Deferred, Err: said.Cancelled(ctx)})
	}
	c := newCourse(p)
	finish := func(r Result) error {
		r.Attempts = c.attempts
		c.observe(Event{Kind: EventEnded, Attempt: c.attempts, Err: r.Err, Outcome: r.Outcome,
			Until: r.RetryAt})
		if r.Outcome == Delivered {
			return nil
		}
		return failure(r)
	}
	for {
		err := op(&place{Context: ctx, number: c.attempts + 1, paced: &c.paced})
		c.attempts++
		if err == nil {
			return finish(Result{Outcome: Delivered})
		}
		now, last := time.Now(), said.Clean(err)
		next := step{failure: true}
		switch m := mark(err).(type) {
		case *backoff.PermanentError:
			return finish(Result{Outcome: Failed, Err: last})
		case *afterError:
			next = step{asked: m.wait, refusal: true}
		case notBefore:
			at := m.RetryAt()
			if at.IsZero() {
				return finish(Result{Outcome: Deferred, Err: last})
			}
			next = step{asked: at.Sub(now), refusal: true}
		}
		wait, end := c.plan(ctx, now, next)
		if end == nil {
			c.observe(Event{Kind: EventWaiting, Attempt: c.attempts, Err: last, Wait: wait,
				Until: now.Add(wait)})
			select {
			case <-time.After(wait):
				continue
			case <-ctx.Done():
				c.policy.Budget.put() // no attempt follows
				end = deferred(now.Add(wait), said.Cancelled(ctx))
			}
		}
		end.Err = said.Because(last, end.Err)
		return finish(*end)
	}
}

// Permanent marks err as one that another attempt does not change: [Policy.Do] returns at once.
// Permanent(nil) is nil. It is the mark of backoff/v4, so code written for that library is
// understood.
func Permanent(err error) error { return backoff.Permanent(err) }

// After marks err as a refusal that asks to come back after d: [Policy.Do] waits at least that long
// and counts no failed attempt. d may be 0: a refusal without a wait asked for. After(nil, d) is
// nil.
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
	case *backoff.PermanentError, *afterError, notBefore:
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

// notBefore is an error of any package that speaks of an instant: see the package comment.
type notBefore interface {
	error
	RetryAt() time.Time
}

// notBeforeOf finds such an error in err; nil if there is none.
func notBeforeOf(err error) (e notBefore) {
	errors.As(err, &e)
	return e
}
