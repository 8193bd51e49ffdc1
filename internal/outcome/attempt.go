// Package outcome decides what an attempt says about its item and server, what a server may have of
// an item after all attempts, and how the item ends. It only judges; internal/status has the words.
package outcome

import (
	"errors"
	"net/http"

	"github.com/penstock/penstock/internal/body"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/rules"
	"github.com/penstock/penstock/internal/upstream"
	"github.com/penstock/penstock/internal/wire"
	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
)

// An Attempt is what became of one request.
type Attempt int

const (
	Errored    Attempt = iota // any other answer, or none
	Accepted                  // the server took it
	Throttled                 // 429, or what else counts as too fast
	Overloaded                // 503, refused, reset
	TimedOut                  // 504, or our deadline
	Broken                    // the server failed: 500, 502, or no connection for a proxy or TLS
	Spoiled                   // the file changed or could not be read, whatever the answer
)

// ErrEarly is the error of an attempt that was accepted before the request was sent whole.
var ErrEarly = errors.New("answered before the request was sent whole")

// Of returns what became of a request that has ended, and what that says of its server. It says
// nothing if known is false.
func Of(e throttle.Event) (a Attempt, says upstream.Answer, known bool) {
	return OfRuled(e, rules.None)
}

// OfRuled is Of where the user's rules say what the answer means, as the event's signal does by
// Feedback.
func OfRuled(e throttle.Event, ruled rules.Effect) (a Attempt, says upstream.Answer, known bool) {
	fault := body.Fault(e.Err)
	switch {
	case Seems(e.Status, ruled):
		if e.Err == nil || fault != nil { // the server works
			a = Accepted
		}
	case e.Signal == throttle.SignalThrottled:
		a = Throttled
	case e.Signal == throttle.SignalOverloaded:
		a = Overloaded
	case e.Signal == throttle.SignalTimedOut:
		a = TimedOut
	case e.Signal == throttle.SignalFailed:
		a = Broken
	}
	says = upstream.Answer{
		Status: e.Status, Accepted: a == Accepted, Full: a == Throttled || a == Overloaded,
		Broken: a == Broken, Unopened: wire.DialError(e.Err) != nil,
		Item: a == Errored && e.Err == nil, Culprit: wire.Culprit(e.Err),
	}
	switch {
	case fault != nil:
		return Spoiled, says, e.Status != 0
	case e.Status >= 500 && a == Errored:
		a = Broken // such as 507: what was sent is wasted as with the others
	}
	return a, says, true
}

// IsFinal reports whether an answer refuses a file for good. Of 5xx these are the ones that the
// package retry takes for a rejection: after the others the file may have been accepted, or is sent
// again.
func IsFinal(status int, ruled rules.Effect) bool {
	switch ruled {
	case rules.Reject:
		return true
	case rules.Retry:
		return false
	}
	return 300 <= status && status <= 499 || status == http.StatusNotImplemented ||
		http.StatusHTTPVersionNotSupported <= status && status <= 511
}

// IsFinalAtOnce reports whether an answer refuses a file for good without package retry having to
// judge it.
func IsFinalAtOnce(e throttle.Event, ruled rules.Effect) bool {
	switch {
	case ruled == rules.Reject:
		return true
	case ruled != rules.None:
		return false
	}
	switch e.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusConflict,
		http.StatusPreconditionFailed, http.StatusRequestEntityTooLarge:
		return false
	}
	return e.Signal == throttle.SignalAnswered && IsFinal(e.Status, ruled)
}

// A Request describes the request whose attempts are judged.
type Request struct {
	Method     string
	Repeatable bool // it does no harm if it is processed twice
	Keyed      bool // it has an idempotency key
	Ruled      rules.Effect
}

// A Verdict is what the package retry cannot know of an attempt.
type Verdict struct {
	Action   retry.Action
	Fault    error // of the content, if the action follows from it
	KeyInUse bool  // the action follows from a 409 to its key
	Ruled    rules.Effect
}

// Answered records the answer to an attempt, or its error, and returns what it means. The fault is
// that of its content, nil if there is none.
func (s *Standing) Answered(req Request, resp *http.Response, fault error) Verdict {
	var file *body.ReadError
	switch {
	case fault == body.ErrMoved: // of a body that has a length nothing was sent
		return Verdict{Action: retry.Retry, Fault: fault}
	case errors.As(fault, &file) && !file.Begun:
		return Verdict{Action: retry.Fail}
	case fault != nil:
		s.fault = fault
		if !req.Repeatable {
			return Verdict{Action: retry.RetryIfSafe, Fault: fault}
		}
		// Not Uncertain, which says that the server is in trouble: the attempt counts whatever the
		// server does with others.
		s.Doubted()
		return Verdict{Action: retry.Retry, Fault: fault}
	case req.Ruled != rules.None && resp != nil:
		return Verdict{Action: ruled(req.Ruled, resp.StatusCode), Ruled: req.Ruled}
	case resp == nil || resp.StatusCode != http.StatusConflict || !req.Keyed:
		return Verdict{}
	}
	wait := resp.Header.Get("Retry-After") != ""
	if s.conflicted(nethttp.Idempotent(req.Method), wait) {
		return Verdict{Action: retry.Retry, KeyInUse: true}
	}
	return Verdict{}
}
