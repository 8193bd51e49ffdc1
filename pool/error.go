package pool

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

var (
	// ErrDraining is returned by Submit once Drain or Discard has begun. The task was not accepted.
	ErrDraining = errors.New("pool: task not submitted: the pool is draining")

	// ErrNotStarted is wrapped by the error that OnError gets for a task that was accepted and
	// never run, because Discard was called, or the context of Drain ended, while it was queued.
	// The cause is wrapped by the same error. Drain's *Error wraps it too if NotStarted > 0.
	ErrNotStarted = errors.New("pool: task never started")

	errNoFunc = errors.New(
		"pool: task not submitted: the pool has no function to do it; give one to New")
	errDiscarded = errors.New("discarded")
	errGoexit    = errors.New("pool: task called runtime.Goexit")
)

// Error is what Drain returns, as an *Error, unless every accepted task was run and none failed.
// Which tasks failed, and each one's error, is for the pool's OnError field: an Error has the same
// size for one failure and for a million.
type Error struct {
	Accepted   int64 // tasks for which Submit returned nil, in the pool's whole life
	Failed     int64 // of these, the ones that ran and failed
	NotStarted int64 // of these, the ones that never ran
	First      error // of the failed task that ended first; nil if none failed
	// the cause given to Discard, if tasks were queued; or why Drain cancelled; else nil
	Cause error
}

// Error names the counts, the first failure, and the cause unless that failure names it.
func (e *Error) Error() string {
	var parts []string
	if e.Failed > 0 {
		parts = append(parts,
			fmt.Sprintf("%d of %d tasks failed, the first: %v", e.Failed, e.Accepted, e.First))
	}
	if e.NotStarted > 0 {
		part := fmt.Sprintf("%d of %d tasks never started", e.NotStarted, e.Accepted)
		if e.Failed == 0 || e.First == nil || e.Cause == nil ||
			!strings.Contains(e.First.Error(), e.Cause.Error()) {
			part += fmt.Sprintf(": %v", e.Cause)
		}
		parts = append(parts, part)
	}
	return "pool: " + strings.Join(parts, "; ")
}

// Unwrap returns those of First and Cause that there are, and ErrNotStarted if NotStarted is not
// zero.
func (e *Error) Unwrap() []error {
	errs := []error{e.First, e.Cause}
	if e.NotStarted > 0 {
		errs = append(errs, ErrNotStarted)
	}
	return slices.DeleteFunc(errs, func(err error) bool { return err == nil })
}

// PanicError is the error of a task that panicked.
type PanicError struct {
	Value any    // what was given to panic
	Stack []byte // the goroutine's stack at the panic, as text; not part of the message
}

// Error says what was given to panic.
func (e *PanicError) Error() string { return fmt.Sprint("pool: recovered from panic: ", e.Value) }

// Unwrap returns Value if it is an error, else nil.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
