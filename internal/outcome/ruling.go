package outcome

import (
	"errors"
	"net/http"
	"time"

	"github.com/penstock/penstock/internal/hint"
	"github.com/penstock/penstock/internal/rules"
	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
)

// ErrUnread is the error of an attempt whose answer the user's rules are about and that could not
// be read whole.
var ErrUnread = errors.New("the answer could not be read whole")

// Seems reports whether an answer accepts a file, if that was sent whole and did not change: by the
// user's rules, or by its status. That of an answer that is Unread is not known yet.
func Seems(status int, ruled rules.Effect) (accepted bool) {
	success := 200 <= status && status <= 299
	return ruled == rules.Accept || success && (ruled == rules.None || ruled == rules.Unread)
}

// Feedback returns what an answer says about the pace, where the user's rules say what it means.
func Feedback(ruled rules.Effect, header http.Header, f throttle.Feedback) throttle.Feedback {
	switch ruled {
	case rules.Accept:
		f.Signal = throttle.SignalSuccess
	case rules.Reject:
		f.Signal = throttle.SignalAnswered
	case rules.Retry, rules.Unread:
		if f.Signal == throttle.SignalSuccess {
			f.Signal = throttle.SignalAnswered
		}
	case rules.Throttle:
		f.Signal = throttle.SignalThrottled
	}
	if ruled == rules.Retry || ruled == rules.Throttle { // whatever the status is
		now := time.Now()
		if h := hint.Parse(http.StatusTooManyRequests, header, now); h.Known && h.Wait > 0 {
			f.RetryAt, f.Source = now.Add(h.Wait), h.Source
		}
	}
	return f
}

// ruled returns what package retry does by the user's rules.
func ruled(effect rules.Effect, status int) retry.Action {
	switch {
	case effect == rules.Accept && status > 299:
		return retry.Accept
	case effect == rules.Reject:
		return retry.Fail
	case effect == rules.Retry:
		return retry.Retry
	case effect == rules.Throttle:
		return retry.RetryFree
	case effect == rules.Unread && status <= 299:
		return retry.RetryIfSafe
	case effect == rules.Unread && 400 <= status && status <= 499: // it was not processed
		return retry.Retry
	}
	// Of a 2xx that is accepted retry knows whether all was sent before it came.
	return retry.Default
}
