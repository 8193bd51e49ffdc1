package pool

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrDraining is returned by Submit once Drain or Discard has begun. The task was not accepted.
	ErrDraining = errors.New("pool: task not submitted: the pool is draining")

	// ErrNotStarted is wrapped by the error that Failed gets for a task that was accepted and never
	// run, because Discard was called, or the context of Drain ended, while it was queued. The
	// cause is wrapped by the same error.
	ErrNotStarted = errors.New("pool: task never started")

	errNoFunc    = errors.New("pool: task not submitted: the pool has no function to do it; give one to New")
	errDiscarded = errors.New("discarded")
	errGoexit    = errors.New("pool: task called runtime.Goexit")
)

// Error is what Drain returns, as an *Error, unless every accepted task was run and none failed. It
// wraps First and Cause. Which tasks failed, and each one's error, is for the pool's Failed field:
// an Error has the same size for one failure and for a million.
type Error struct {
	Accepted   int64 // tasks for which Submit returned nil, in the pool's whole life
	Failed     int64 // of these, the ones that ran and failed
	NotStarted int64 // of these, the ones that never ran
	First      error // of the failed task that ended first; nil if none of them ran
	// given to a Discard that found tasks in the queue, or why Drain stopped waiting and cancelled
	// the tasks; nil if neither
	Cause error

	handler error // the first panic of the Failed field's function
}

// Error names the counts and the first failure.
func (e *Error) Error() string {
	var parts []string
	if e.Failed > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d tasks failed, the first: %v", e.Failed, e.Accepted, e.First))
	}
	if e.NotStarted > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d tasks never started: %v", e.NotStarted, e.Accepted, e.Cause))
	}
	if e.handler != nil {
		parts = append(parts, fmt.Sprintf("the Failed function panicked: %v", e.handler))
	}
	return "pool: " + strings.Join(parts, "; ")
}

// Unwrap returns those of First, Cause and the first panic of the Failed field's function that
// there are.
func (e *Error) Unwrap() []error {
	var errs []error
	for _, err := range []error{e.First, e.Cause, e.handler} {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// PanicError is the error of a task that panicked.
type PanicError struct {
	Value any    // what was given to panic
	Stack []byte // the goroutine's stack at the panic, as text; not part of the message
}

// Error says what was given to panic.
func (e *PanicError) Error() string { return fmt.Sprintf("pool: recovered from panic: %v", e.Value) }

// Unwrap returns Value if it is an error, else nil.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
