package retry

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/penstock/penstock/internal/filebody"
	"github.com/penstock/penstock/internal/hint"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/secret"
)

// judge returns how long to wait before the next try. If there is to be none it sets the call's
// result.
func (c *call) judge(now time.Time, resp *http.Response, err error) (wait time.Duration, goOn bool) {
	before, status := c.last, c.status
	seen := c.attempt.marks()
	sent := err != nil && c.maybeSent(seen)
	c.cutOff = c.cutOff || sent && seen&wroteRequest == 0
	c.status, c.last, c.reason, c.uncertain, c.early = 0, nil, "", false, false

	if b, ok := c.req.Body.(filebody.Recycler); ok && c.tries == 1 && c.attempt.sentOnce() {
		b.Recycle(filebody.Sent{}) // the other tries have bodies of their own
	}
	if why := c.judgeFile(resp, err, sent); why != nil {
		return c.end(c.orUnknown(c.uncertain, Failed), time.Time{}, why)
	}
	var hints hint.Hints
	if err != nil {
		c.last, c.status = redact(c.req, err), proxyStatus(err)
		if c.Err() != nil {
			c.reason, c.uncertain = reasonCancelled, sent
			return c.end(c.orUnknown(sent, Deferred), time.Time{}, because(c.last, cancelled(c.Context)))
		}
		if at, ok := notBefore(err); ok {
			c.reason, c.uncertain = reasonNotBefore, sent
			if at.IsZero() {
				why := c.last
				if before != nil { // what it was last told says more than that it was stopped
					c.status, why = status, because(before, worded(clean(stopCause(why)).Error(), why))
				}
				return c.end(Deferred, time.Time{}, why)
			}
			return c.next(now, step{asked: at.Sub(now), refusal: true}, Deferred)
		}
		if reason := c.attempt.ownFault(c.wire.err); reason != "" {
			c.reason, c.uncertain = reason, sent
			return c.end(c.orUnknown(sent, Failed), time.Time{}, because(c.last, errors.New("its "+reason)))
		}
		// http.Client's own: a URL that it cannot use, a redirect that it or the user refuses.
		if !c.wire.called || c.wire.err == nil {
			c.reason = reasonRejected
			return c.end(Failed, time.Time{}, c.last)
		}
	} else {
		c.status = resp.StatusCode
		c.origin.answered.Store(true)
		c.learnExpect(c.status, seen)
		if c.status == http.StatusExpectationFailed && c.expecting && c.replayable {
			c.last, c.reason, c.unexpected = c.statusError(resp), reasonExpectation, true
			return c.next(now, step{atOnce: true}, Deferred) // and never again
		}
		if c.status >= 300 {
			hints = hint.Parse(c.status, resp.Header, now)
		}
	}

	if err != nil && nethttp.GoneAway(c.wire.err) && c.replayable && !c.goneAway {
		c.reason, c.goneAway = reasonGoneAway, true
		// as net/http does; if it is so again, with a wait
		return c.next(now, step{atOnce: true}, Deferred)
	}
	c.goneAway = false
	verdict := c.verdict(resp, err, seen, sent, hints)
	if verdict.Kind == Accepted {
		c.kind.accept(c.attempt.began.Load(), c.blame.refusals)
		return c.end(Delivered, time.Time{}, nil)
	}
	c.reason = verdict.Reason
	if err == nil {
		c.last = c.statusError(resp)
		if c.early {
			c.unexpected = c.unexpected || c.expecting && c.wire.attempt.marks()&readBody == 0
			c.last = because(c.last, errors.New(reasonEarly))
			if c.Err() != nil {
				c.reason, c.uncertain = reasonCancelled, true
				return c.end(c.orUnknown(true, Deferred), time.Time{}, because(c.last, cancelled(c.Context)))
			}
		}
	}
	s := step{asked: max(verdict.Wait, hints.Wait), failure: true}
	switch verdict.Kind {
	case Rejected:
		if verdict.Reason == reasonUnreachable {
			c.last = fmt.Errorf("%w: %w: check the URL, the proxy and the TLS settings", c.last, ErrUnreachable)
		}
		if err != nil && sent && notHTTP(err) && verdict.Reason == reasonUnreachable {
			c.uncertain = true
			if !c.repeatable {
				return c.end(Unknown, time.Time{}, because(c.last, errUnsafe))
			}
		}
		return c.end(Failed, time.Time{}, c.last)
	case Refused:
		s.refusal, s.failure = true, c.reason != reasonOwnTimeout && c.countRefusal(c.status)
		return c.next(now, s, Deferred)
	case Uncertain:
		c.uncertain = true
		if !c.repeatable {
			return c.end(Unknown, time.Time{}, because(c.last, errUnsafe))
		}
		c.countFailure(&s)
	}
	if s.failure {
		c.failures, c.hidden = c.failures+c.hidden, 0
	}
	if !c.refused && (errors.Is(err, errStreamReset) || errors.Is(err, errConnEnded)) {
		c.refused, s.atOnce = true, true // as net/http would have done, once
	}
	return c.next(now, s, Failed)
}

// judgeFile returns why the file behind the request, if there is one, makes any answer worthless,
// or nil.
func (c *call) judgeFile(resp *http.Response, err error, sent bool) error {
	unsent, why := checkBody(c.req)
	if why == nil && errors.Is(err, ErrFileChanged) { // in a body around the file's
		why = redact(c.req, err)
	}
	if why == nil {
		return nil
	}
	if err == nil {
		c.status = resp.StatusCode
	}
	c.reason = bodyReason(why)
	c.uncertain = !unsent && (sent || err == nil && perhapsDone(c.status))
	return why
}

// bodyReason returns the reason for an error of the file or other body that the caller gave.
func bodyReason(err error) string {
	if errors.Is(err, ErrFileChanged) {
		return reasonFileChanged
	}
	return reasonBody
}

// stopCause returns what a "not before" error says that it is for, if it does.
func stopCause(stop error) error {
	var e interface {
		error
		RetryAt() time.Time
	}
	if errors.As(stop, &e) {
		if cause := errors.Unwrap(e); cause != nil {
			return cause
		}
	}
	return stop
}

// maybeSent reports whether some of the request may have reached the server in a try that failed.
// Only what was seen in this try counts: a transport may have paths that call the hooks of
// httptrace and others that do not.
func (c *call) maybeSent(seen marks) bool {
	// http.Client's own error for its timeout does not wrap it
	if _, notSent := notBefore(c.wire.err); notSent || nethttp.Refused(c.wire.err) || nethttp.GoneAway(c.wire.err) {
		return false
	}
	if seen != 0 || !c.wire.called {
		return seen&gotConn != 0
	}
	if _, ok := c.wire.base.(*http.Transport); ok {
		return false // it tells, always
	}
	return !neverConnected(c.wire.err) && !unsendable(c.req)
}

// orUnknown returns otherwise, unless repeating the request would not be safe.
func (c *call) orUnknown(sent bool, otherwise Outcome) Outcome {
	if sent && !c.repeatable {
		return Unknown
	}
	return otherwise
}

// verdict asks the user, then the table.
func (c *call) verdict(resp *http.Response, err error, seen marks, sent bool, hints hint.Hints) Verdict {
	var v Verdict
	if c.client.Classify != nil {
		v = c.client.Classify(c.req, resp, err)
	}
	var table Verdict
	if err != nil {
		table = judgeError(err, seen, sent, c.origin.answered.Load())
	} else {
		table = judgeStatus(resp.StatusCode, hints, c.repeatable)
	}
	if v.Kind == ByTable && table.Kind == Accepted && hasBody(c.req) {
		if c.streaming = c.streams(); !c.streaming && !c.wire.attempt.sentWhole(c) {
			table, c.early = Verdict{Kind: Uncertain, Reason: reasonEarly}, true
		}
	}
	c.uncertain = v.Kind == ByTable && table.Kind == Refused && err == nil && perhapsDone(resp.StatusCode)
	// Without a response there is nothing that was accepted.
	if v.Kind == ByTable || v.Kind == Accepted && err != nil {
		v.Kind = table.Kind
	}
	if v.Reason == "" {
		v.Reason = table.Reason
		if v.Kind != table.Kind {
			v.Reason = v.Kind.String()
		}
	}
	return v
}

// countRefusal reports whether a refusal counts as a failure of this request.
func (c *call) countRefusal(how int) bool {
	counts := c.kind.refuse(&c.blame, how)
	if counts {
		c.giveUp = time.Time{} // Attempts bounds the call now, and how often this is done
	}
	return counts
}

// countFailure fills in what a try that may have been processed counts as: a failure of this
// request, or a refusal by a server that accepts nothing at all. After the first one that is not
// known yet, so it counts together with the second.
func (c *call) countFailure(s *step) {
	never := c.kind.never()
	// no other request has failed since the last one
	alone := c.blame.refusals > 0 && c.kind.begins() == c.blame.number
	c.outage = c.outage || c.blame.refusals > 0 && !alone
	second := c.blame.refusals == 1 && c.blame.status == failed
	s.failure = c.countRefusal(failed) ||
		c.policy.Attempts == 1 ||
		// Nothing speaks of an outage, and of a timeout not even that others were accepted before.
		alone && (never && !c.outage || c.status == 0 && c.reason == reasonTimedOut)
	if s.failure && second {
		c.failures++
	}
	s.refusal = !s.failure
	s.unproven = never || !c.outage
}

// statusError is a request with an answer that does not count as acceptance.
func (c *call) statusError(resp *http.Response) error {
	text := fmt.Sprintf("%s: %d %s%s", name(c.req), resp.StatusCode, http.StatusText(resp.StatusCode), c.redirectAdvice(resp))
	return errors.New(secret.Of(c.req).Hide(text))
}
