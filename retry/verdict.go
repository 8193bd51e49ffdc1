package retry

import (
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/penstock/penstock/internal/hint"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/said"
	"github.com/penstock/penstock/internal/trip"
)

// Verdict says what the answer to an attempt, or its error, means. The zero Verdict leaves that to
// the table of the package comment.
type Verdict struct {
	Action Action

	// Wait is the least time before the next attempt. A longer wait that the server's headers ask
	// for is kept in any case.
	Wait time.Duration

	// Reason replaces the package's own word, such as "throttled", in events.
	Reason string
}

// Action is what follows from an attempt.
type Action uint8

// The actions.
const (
	Default Action = iota // what the table of the package comment says

	// Accept ends the call as Delivered, whether or not the request was sent whole. Without a
	// response there is nothing that was accepted: then it is as Default.
	Accept

	// Fail ends the call as Failed: the server will never accept the request.
	Fail

	// RetryFree repeats the request, which was not processed and is not to blame, as with a
	// throttle. It counts as a failure only if others of the kind are accepted meanwhile.
	RetryFree

	// Retry repeats the request, which was not processed. It counts as a failure.
	Retry

	// RetryIfSafe repeats the request, which may have been processed, if it is repeatable, and
	// counts as a failure. Otherwise it ends the call as Unknown.
	RetryIfSafe
)

var actions = said.Words{"default", "accept", "fail", "retry free", "retry", "retry if safe"}

// String returns the action's name in lower case, such as "retry free".
func (a Action) String() string { return actions.Of(uint8(a)) }

// MarshalText returns what String does.
func (a Action) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (a *Action) UnmarshalText(text []byte) error { return actions.Read(text, (*uint8)(a)) }

// The package's own reasons, in events.
const (
	reasonThrottled   = "throttled"
	reasonOverloaded  = "overloaded"
	reasonUnreachable = "unreachable"
	reasonTimedOut    = "timed out"
	reasonServerError = "server error"
	reasonLost        = "connection lost"
	reasonEarly       = "answered before it was sent whole"
	reasonTooEarly    = "too early"
	reasonGoneAway    = "connection ended before it was processed"
	reasonAskedToWait = "asked to wait"
	reasonNotBefore   = "not before"
	reasonOwnTimeout  = "timed out before it was sent"
	reasonExpectation = "expectation refused"
	reasonRejected    = "rejected"
	reasonFileChanged = "file changed"
	reasonBody        = "body cannot be read"
	reasonBodyLength  = "body is not as long as its ContentLength"
	reasonNoGetBody   = "body cannot be sent again"
	reasonPrepare     = "not prepared"
	reasonCancelled   = "cancelled"
)

// reasons are those of actions that Classify gives none for.
var reasons = [...]string{Accept: "accepted", Fail: reasonRejected, RetryFree: "refused",
	Retry: "not processed", RetryIfSafe: "uncertain"}

// judgeStatus is the table for answers.
func judgeStatus(status int, hints hint.Hints, repeatable bool) Verdict {
	switch {
	case 200 <= status && status <= 299:
		return Verdict{Action: Accept}
	case status == http.StatusServiceUnavailable:
		return Verdict{Action: RetryFree, Reason: reasonOverloaded}
	case hints.Throttled && (repeatable || !nethttp.PerhapsProcessed(status)):
		return Verdict{Action: RetryFree, Reason: reasonThrottled}
	case status == http.StatusRequestTimeout:
		return Verdict{Action: Retry, Reason: reasonTimedOut}
	case status == http.StatusTooEarly:
		return Verdict{Action: Retry, Reason: reasonTooEarly}
	case (status == http.StatusConflict || status == http.StatusRequestEntityTooLarge) &&
		hints.Asked():
		// what stands against it will pass
		return Verdict{Action: Retry, Reason: reasonAskedToWait}
	case status == http.StatusGatewayTimeout:
		return Verdict{Action: RetryIfSafe, Reason: reasonTimedOut}
	case nethttp.PerhapsProcessed(status):
		return Verdict{Action: RetryIfSafe, Reason: reasonServerError}
	}
	return Verdict{Action: Fail, Reason: reasonRejected}
}

// judgeError is the table for errors of a round trip in which only what seen records has happened.
func judgeError(err error, seen trip.Marks, sent, answeredBefore bool) Verdict {
	var timeout net.Error
	timedOut := errors.As(err, &timeout) && timeout.Timeout()
	proxy := nethttp.ProxyStatus(err)
	switch {
	case proxy >= 500, proxy == http.StatusTooManyRequests:
		return Verdict{Action: RetryFree, Reason: reasonUnreachable}
	case proxy != 0:
		return Verdict{Action: Fail, Reason: reasonRejected}
	case !answeredBefore && (nethttp.Foreign(err) || nethttp.NotHTTP(err)):
		return Verdict{Action: Fail, Reason: reasonUnreachable}
	case nethttp.Refused(err):
		return Verdict{Action: RetryFree, Reason: reasonOverloaded}
	case nethttp.GoneAway(err):
		return Verdict{Action: RetryFree, Reason: reasonGoneAway}
	case sent && timedOut:
		return Verdict{Action: RetryIfSafe, Reason: reasonTimedOut}
	case sent:
		return Verdict{Action: RetryIfSafe, Reason: reasonLost}
	case !answeredBefore && nethttp.Misconfigured(err, seen&trip.HandshakeFailed != 0):
		return Verdict{Action: Fail, Reason: reasonUnreachable}
	case seen&trip.GettingConn != 0 || nethttp.NeverConnected(err):
		return Verdict{Action: RetryFree, Reason: reasonUnreachable}
	case timedOut:
		return Verdict{Action: RetryFree, Reason: reasonOwnTimeout}
	}
	// The transport looked for no connection: an invalid header or method, or a signer that fails.
	return Verdict{Action: Fail, Reason: reasonRejected}
}
