// Package stop has the reasons for which a run ends before all its items have ended, or for which
// sending to one server ends. Why an item ends is up to package outcome.
//
// A reason is data. The text that it has as an error tells reasons apart, and no more: how it is
// said to people is up to internal/status.
package stop

import (
	"errors"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/wire"
	"github.com/penstock/penstock/retry"
)

// A Reason is why the run ends.
type Reason interface {
	error
	Exit() int // the exit status that follows from it
}

// A ServerReason is why a server gets no more of the run. If no other server is left, the run ends
// for the same reason.
type ServerReason interface {
	Reason
	ofServer()
}

// MaxDuration is the end of a run that has lasted as long as the user allows.
type MaxDuration struct{ Limit time.Duration }

func (MaxDuration) Error() string { return "the time for the run is used up" }
func (MaxDuration) Exit() int     { return exit.Limit }

// GaveUp is the end of a run in which nothing was accepted for too long, by any server.
type GaveUp struct {
	After   time.Duration
	Ours    bool      // After is not what the user gave: nothing was ever accepted
	Trouble string    // what went wrong last, in a few words
	Until   time.Time // when a server may be asked again; if zero, none has said so
}

func (GaveUp) Error() string { return "no server accepts anything" }
func (GaveUp) Exit() int     { return exit.Unavailable }

// LastRefused is the end of a run whose last items were refused for so long.
type LastRefused struct {
	Items int
	After time.Duration
}

func (LastRefused) Error() string { return "only refused items are left" }
func (LastRefused) Exit() int     { return exit.Items }

// ResultsFailed is the end of a run whose results cannot be written.
type ResultsFailed struct {
	Err       error
	Journaled bool // the journal has them too
}

func (e ResultsFailed) Error() string { return "the results failed: " + e.Err.Error() }
func (e ResultsFailed) Unwrap() error { return e.Err }
func (ResultsFailed) Exit() int       { return exit.Local }

// JournalFailed is the end of a run whose journal cannot be read or written.
type JournalFailed struct{ Err error }

func (e JournalFailed) Error() string { return "the journal failed: " + e.Err.Error() }
func (e JournalFailed) Unwrap() error { return e.Err }
func (JournalFailed) Exit() int       { return exit.Local }

// SourceFailed is the end of a run whose items cannot be read to the last.
type SourceFailed struct {
	Err     error
	Misused bool // what was asked for is wrong
}

func (e SourceFailed) Error() string { return "the source failed: " + e.Err.Error() }
func (e SourceFailed) Unwrap() error { return e.Err }

func (e SourceFailed) Exit() int {
	if e.Misused {
		return exit.Usage
	}
	return exit.Failed
}

// Interrupted is the end of a run that the user stops, as a rule by an [exit.Signal].
type Interrupted struct{ Err error }

func (e Interrupted) Error() string { return "stopped by the user: " + e.Err.Error() }
func (e Interrupted) Unwrap() error { return e.Err }

func (e Interrupted) Exit() int {
	if by, ok := errors.AsType[*exit.Signal](e.Err); ok {
		return by.Status()
	}
	return exit.Interrupted
}

// StopTimeout cancels what is in flight, for which the end of a run otherwise waits.
type StopTimeout struct {
	Interrupted
	Limit time.Duration
}

func (e StopTimeout) Error() string { return "broken off: " + e.Interrupted.Error() }

// LeftAlone is the end of sending to a server that asked for too long a wait.
type LeftAlone struct {
	Until   time.Time
	Source  string        // of the pause, as throttle names it; "quota": ours is used up
	Earlier bool          // it asked in an earlier run
	MaxWait time.Duration // the user's limit; if zero, there was none
	At      time.Time     // when that was found
}

func (LeftAlone) Error() string { return "the server asked for too long a wait" }
func (LeftAlone) Exit() int     { return exit.Unavailable }
func (LeftAlone) ofServer()     {}

// RefusesAll is the end of sending to a server that refuses everything alike.
type RefusesAll struct {
	Code   int  // the status of its answers
	Items  int  // that got it, one after the other
	Before bool // it has accepted others before
}

func (RefusesAll) Error() string { return "the server refuses everything" }
func (RefusesAll) Exit() int     { return exit.Refused }
func (RefusesAll) ofServer()     {}

// InDoubt is the end of sending to a server when it is not known whether it accepts anything.
type InDoubt struct{}

func (InDoubt) Error() string { return "too many items are in doubt" }
func (InDoubt) Exit() int     { return exit.Unavailable }
func (InDoubt) ofServer()     {}

// Unreachable is the end of sending to a server that cannot be reached as configured. It is
// [retry.ErrUnreachable].
type Unreachable struct {
	Cause *wire.Cause // if nil, not known
}

func (Unreachable) Error() string        { return "there is no way to the server" }
func (Unreachable) Is(target error) bool { return target == retry.ErrUnreachable }
func (Unreachable) ofServer()            {}

func (e Unreachable) Exit() int {
	if e.Cause != nil && e.Cause.Fault {
		return exit.Usage
	}
	return exit.Unavailable
}

// Unreached is the end of a run by [Unreachable]: the errors of its items already name the cause.
type Unreached struct{ Unreachable }

func (Unreached) Error() string { return retry.ErrUnreachable.Error() }

// At is a server's reason in a run with several servers.
type At struct {
	Host string
	ServerReason
}

func (e At) Error() string { return e.Host + ": " + e.ServerReason.Error() }
func (e At) Unwrap() error { return e.ServerReason }
