package retry

import (
	"errors"
	"fmt"
	"time"

	"github.com/penstock/penstock/internal/filebody"
)

var (
	// ErrUnreachable is in the error of a call that cannot succeed as configured: the host is
	// unknown, its certificate or protocol was refused, or what answers is not HTTP, and there was
	// no answer from there before. Another attempt does not help: check the URL and the TLS
	// settings.
	ErrUnreachable = errors.New("the server cannot be reached as configured")

	// ErrFileChanged is in the error of a call whose file, set by [SetFileBody] or [SetFormBody],
	// changed before the server's answer was read.
	ErrFileChanged = filebody.ErrChanged

	// ErrNoGetBody is in the error of a call that would have been repeated if its request, which
	// has a body, had a GetBody. [http.NewRequest] sets one for bytes and strings only; for other
	// bodies use [SetFileBody], [SetBody] or [Client].Buffer.
	ErrNoGetBody = errors.New("the request's body cannot be sent again: set GetBody")

	// ErrStopped is in the error of a call that ended because of [Client.Stop] with a nil error.
	ErrStopped = errors.New("stopped")
)

// errUnsafe ends a call that is Unknown because of what its last attempt came to.
var errUnsafe = errors.New("it may have been accepted, and repeating it is not safe")

// spentError ends a call that has used up its attempts.
type spentError struct{ failures int }

func (e *spentError) Error() string {
	if e.failures == 1 {
		return "gave up after 1 failed attempt"
	}
	return fmt.Sprintf("gave up after %d failed attempts", e.failures)
}

// pauseError ends a call that was asked to wait for longer than MaxPause.
type pauseError struct{ asked, most time.Duration }

func (e *pauseError) Error() string {
	return fmt.Sprintf("asked to wait %v, longer than MaxPause %v", e.asked, e.most)
}

// MaxPause lets other packages recognise the error, for words of their own.
func (e *pauseError) MaxPause() time.Duration { return e.most }

// A lateError says that the next attempt would come after all patience.
type lateError struct{ patience time.Duration }

func (e *lateError) Error() string {
	return fmt.Sprintf("the next attempt would be after GiveUpAfter %v", e.patience)
}

// GiveUpAfter is as MaxPause of a pauseError.
func (e *lateError) GiveUpAfter() time.Duration { return e.patience }
