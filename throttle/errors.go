package throttle

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A StopError is what waiting returns once its limit was stopped. Nothing was sent.
type StopError struct{ Err error }

// Error returns the text of the error.
func (e *StopError) Error() string {
	if e.Err == nil {
		return "throttle: stopped, nothing was sent"
	}
	return "throttle: stopped, nothing was sent: " + e.Err.Error()
}

func (e *StopError) reason() string {
	if e.Err == nil {
		return "stopped"
	}
	return "stopped: " + e.Err.Error()
}

// Unwrap returns the error given to Stop.
func (e *StopError) Unwrap() error { return e.Err }

// RetryAt returns the zero Time, which means never: do not retry.
func (e *StopError) RetryAt() time.Time { return time.Time{} }

// A limitsError is what waiting returns where the limits are not valid. Nothing was sent.
type limitsError struct{ error }

// Unwrap returns the error of Validate.
func (e *limitsError) Unwrap() error { return e.error }

// RetryAt returns the zero Time: the program has to be changed first.
func (e *limitsError) RetryAt() time.Time { return time.Time{} }

// A leaseError is what waiting returns where a Leaser says that it will grant nothing. Nothing was
// sent.
type leaseError struct{ error }

func (e *leaseError) Error() string { return "throttle: " + e.reason() + ", nothing was sent" }

func (e *leaseError) reason() string { return "no quota: " + e.error.Error() }

// Unwrap returns the error of Lease.
func (e *leaseError) Unwrap() error { return e.error }

// RetryAt returns the zero Time, as that error does.
func (e *leaseError) RetryAt() time.Time { return time.Time{} }

// A PausedError is what waiting returns when a cool-down lasts longer than a request waits; see
// [Transport.MaxPause]. Nothing was sent.
type PausedError struct {
	Until  time.Time // when the cool-down ends
	Source string    // who asked for it, such as "retry-after"; may be empty
}

// Error returns the text of the error.
func (e *PausedError) Error() string {
	return "throttle: " + e.reason() + ", nothing was sent; try again then"
}

func (e *PausedError) reason() string {
	s := "cool-down until " + e.Until.Format(time.RFC3339)
	if e.Source != "" {
		s += " (" + e.Source + ")"
	}
	return s
}

// RetryAt returns the instant at which the cool-down ends.
func (e *PausedError) RetryAt() time.Time { return e.Until }

// A QueueError is what a request fails with whose turn did not come within [Transport.MaxQueue].
// Nothing was sent. The package retry ends a call on it, as deferred: to wait once more is what
// MaxQueue rules out.
type QueueError struct {
	After time.Duration // Transport.MaxQueue
	Until time.Time     // when the cool-down in force ends; if zero, there was none
}

// Error returns the text of the error.
func (e *QueueError) Error() string {
	return "throttle: not sent: " + e.reason() + "; send less, or raise MaxQueue"
}

func (e *QueueError) reason() string {
	text := fmt.Sprintf("its turn did not come within %v", e.After)
	if !e.Until.IsZero() {
		text += " in a " + (&PausedError{Until: e.Until}).reason()
	}
	return text
}

// RetryAt returns the zero Time, which means never: do not retry. Until is when the cool-down ends.
func (e *QueueError) RetryAt() time.Time { return time.Time{} }

// Timeout returns true, as a [net.Error] does of a timeout.
func (e *QueueError) Timeout() bool { return true }

// A TimeoutError is what an attempt ends with that took longer than [Transport.Timeout]. Whether
// the server did the work is not known.
type TimeoutError struct{ After time.Duration }

// Error returns the text of the error.
func (e *TimeoutError) Error() string {
	return fmt.Sprintf("throttle: no complete answer within %v of the request being sent", e.After)
}

// Is makes the error match [context.DeadlineExceeded].
func (e *TimeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// Timeout returns true, as a [net.Error] does of a timeout.
func (e *TimeoutError) Timeout() bool { return true }

// Temporary returns true. [net.Error] has the method.
func (e *TimeoutError) Temporary() bool { return true }

// A resendError is why a request was not sent again after a connection had failed. The first time
// it may have reached the server, so the error must not be one that says that nothing was sent.
type resendError struct {
	why   string
	cause error // the context's, or that given to Stop; may be nil
}

func notResent(err error) error {
	var stop *StopError
	var paused *PausedError
	var late *QueueError
	var refused *leaseError
	switch {
	case errors.As(err, &refused):
		return &resendError{refused.reason(), nil}
	case errors.As(err, &late):
		return &resendError{late.reason(), nil}
	case errors.As(err, &stop):
		return &resendError{stop.reason(), stop.Err}
	case errors.As(err, &paused):
		return &resendError{paused.reason(), nil}
	}
	return &resendError{err.Error(), err}
}

func (e *resendError) Error() string {
	return "throttle: not sent again after the connection failed: " + e.why
}
func (e *resendError) Unwrap() error { return e.cause }

// Timeout reports whether it was a deadline, as [net.Error] does.
func (e *resendError) Timeout() bool { return errors.Is(e.cause, context.DeadlineExceeded) }

// A waitError says that a request's context ended while it waited for its turn. The difference
// matters to a client that retries: nothing was sent.
type waitError struct {
	cause  error
	paused *PausedError // the cool-down in force; if nil, none
}

func (u *Upstream) waitError(cause error) error {
	if late, ok := cause.(*QueueError); ok { // the context has ended since
		return late
	}
	until, source := u.line.pausedUntil()
	if until.IsZero() {
		return &waitError{cause, nil}
	}
	return &waitError{cause, &PausedError{Until: until, Source: source}}
}

func (e *waitError) Error() string {
	text := "throttle: not sent: " + e.cause.Error()
	if e.paused != nil {
		text += " in a " + e.paused.reason()
	}
	return text
}

func (e *waitError) Unwrap() error { return e.cause }

// RetryAt returns when the cool-down ends, or now: nothing stands against another try.
func (e *waitError) RetryAt() time.Time {
	if e.paused != nil {
		return e.paused.Until
	}
	return time.Now()
}

// Timeout reports whether it was a deadline, as [net.Error] does.
func (e *waitError) Timeout() bool { return errors.Is(e.cause, context.DeadlineExceeded) }
