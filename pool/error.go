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
	// The cause is wrapped by the same error. It is also wrapped by an Error with such tasks.
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
	// given to a Discard that found tasks in the queue, or why Drain stopped waiting and cancelled
	// the tasks; nil if neither
	Cause error
}

// Error names the counts and the first failure.
func (e *Error) Error() string {
	var parts []string
	add := func(n int64, format string, err error) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf(format, n, e.Accepted, err))
		}
	}
	add(e.Failed, "%d of %d tasks failed, the first: %v", e.First)
	add(e.NotStarted, "%d of %d tasks never started: %v", e.Cause)
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
