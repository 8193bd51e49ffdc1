package retry

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/penstock/penstock/internal/blame"
	"github.com/penstock/penstock/internal/filebody"
	"github.com/penstock/penstock/internal/hint"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/said"
	"github.com/penstock/penstock/internal/trip"
)

// judge returns how long to wait before the next attempt. If there is to be none it sets the call's
// result.
func (c *call) judge(now time.Time, resp *http.Response, err error) (wait time.Duration,
	again bool) {
	before, status := c.last, c.status
	seen := c.attempt.Marks()
	sent := err != nil && c.maybeSent()
	c.cutOff = c.cutOff || sent && seen&trip.WroteRequest == 0
	c.status, c.last, c.reason, c.uncertain, c.early = 0, nil, "", false, false

	if b, ok := c.req.Body.(filebody.Recycler); ok && c.attempts == 1 && c.attempt.SentOnce() {
		b.Recycle(filebody.Sent{}) // the other attempts have bodies of their own
	}
	if why := c.judgeFile(resp, err, sent); why != nil {
		return c.endFailed(c.uncertain, why)
	}
	var hints hint.Hints
	if err != nil {
		c.last, c.status = c.failed(err), nethttp.ProxyStatus(err)
		if c.Err() != nil {
			return c.endCancelled(sent)
		}
		if stop := notBeforeOf(err); stop != nil {
			c.reason, c.uncertain = reasonNotBefore, sent
			if at := stop.RetryAt(); !at.IsZero() {
				return c.next(now, step{asked: at.Sub(now), refusal: true}, Deferred)
			}
			why := c.last
			if before != nil { // what it was last told says more than that it was stopped
				c.status = status
				why = said.Because(before,
					said.Instead(said.Clean(cmp.Or(errors.Unwrap(stop), why)).Error(), why))
			}
			return c.end(Deferred, time.Time{}, why)
		}
		switch c.attempt.BodyFault(c.wire.Err) {
		case trip.Unreadable:
			c.reason = reasonBody
		case trip.WrongLength:
			c.reason = reasonBodyLength
		}
		if c.reason != "" {
			c.uncertain = sent && !filebody.Unopened(c.req)
			return c.endFailed(c.uncertain, said.Because(c.last, errors.New("its "+c.reason)))
		}
		// http.Client's own: a URL that it cannot use, a redirect that it or the user refuses.
		if !c.wire.Called || c.wire.Err == nil {
			c.reason = reasonRejected
			return c.endFailed(false, c.last)
		}
		if nethttp.GoneAway(c.wire.Err) && c.replayable && !c.goneAway {
			c.reason, c.goneAway = reasonGoneAway, true
			// as net/http does; if it is so again, with a wait
			return c.next(now, step{atOnce: true}, Deferred)
		}
	} else {
		c.status = resp.StatusCode
		c.origin.Learn(c.status, c.expecting, seen)
		if c.status == http.StatusExpectationFailed && c.expecting && c.replayable {
			c.last, c.reason, c.unexpected = c.statusError(resp), reasonExpectation, true
			return c.next(now, step{atOnce: true}, Deferred) // and never again
		}
		if c.status >= 300 {
			hints = hint.Parse(c.status, resp.Header, now)
		}
	}
	c.goneAway = false
	verdict := c.verdict(resp, err, seen, sent, hints)
	if verdict.Action == Accept {
		c.kind.Accept(c.attempt.Began(), &c.blame)
		return c.end(Delivered, time.Time{}, nil)
	}
	c.reason = verdict.Reason
	if err == nil {
		c.last = c.statusError(resp)
		if c.early {
			c.unexpected = c.unexpected || c.expecting && c.wire.Last.Marks()&trip.ReadBody == 0
			c.last = said.Because(c.last, errors.New(reasonEarly))
			if c.Err() != nil {
				return c.endCancelled(true)
			}
		}
	}
	return c.follow(verdict, now, err, sent, hints)
}

// follow does what a verdict other than Accept says.
func (c *call) follow(v Verdict, now time.Time, err error, sent bool,
	hints hint.Hints) (time.Duration, bool) {
	s := step{asked: max(v.Wait, hints.Wait), failure: true}
	switch v.Action {
	case Fail:
		if v.Reason == reasonUnreachable {
			c.last = fmt.Errorf("%w: %w: check the URL, the proxy and the TLS settings", c.last,
				ErrUnreachable)
			c.uncertain = err != nil && sent && nethttp.NotHTTP(err) && !nethttp.Foreign(err)
		}
		if c.uncertain && !c.repeatable {
			c.last = said.Because(c.last, errUnsafe)
		}
		return c.endFailed(c.uncertain, c.last)
	case RetryFree:
		s.refusal, s.failure = true, c.reason != reasonOwnTimeout && c.countRefusal(c.status)
		return c.next(now, s, Deferred)
	case RetryIfSafe:
		if c.uncertain = true; !c.repeatable {
			return c.endFailed(true, said.Because(c.last, errUnsafe))
		}
		c.countFailure(&s)
	}
	if s.failure {
		c.failures, c.hidden = c.failures+c.hidden, 0
	}
	if !c.resetOnce && (errors.Is(err, trip.ErrStreamReset) || errors.Is(err, trip.ErrConnEnded)) {
		c.resetOnce, s.atOnce = true, true // as net/http would have done, once
	}
	return c.next(now, s, Failed)
}

// endFailed ends the call as Failed, or as Unknown if the request may have been processed and is
// not repeatable.
func (c *call) endFailed(sent bool, why error) (time.Duration, bool) {
	return c.end(c.orUnknown(sent, Failed), time.Time{}, why)
}

// endCancelled ends the call because the caller's context has ended the attempt.
func (c *call) endCancelled(sent bool) (time.Duration, bool) {
	c.reason, c.uncertain = reasonCancelled, sent
	return c.end(c.orUnknown(sent, Deferred), time.Time{},
		said.Because(c.last, said.Cancelled(c.Context)))
}

// judgeFile returns why the file behind the request, if there is one, makes any answer worthless,
// or nil.
func (c *call) judgeFile(resp *http.Response, err error, sent bool) error {
	unsent, why := filebody.Verify(c.req)
	if why == nil && errors.Is(err, ErrFileChanged) { // in a body around the file's
		why = c.failed(err)
	}
	if why == nil {
		return nil
	}
	if err == nil {
		c.status = resp.StatusCode
	}
	c.reason = bodyReason(why)
	c.uncertain = !unsent && (sent || err == nil && nethttp.PerhapsProcessed(c.status))
	return why
}

// bodyReason returns the reason for an error of the file or other body that the caller gave.
func bodyReason(err error) string {
	if errors.Is(err, ErrFileChanged) {
		return reasonFileChanged
	}
	return reasonBody
}

// maybeSent reports whether some of the request may have reached the server in an attempt that
// failed.
func (c *call) maybeSent() bool {
	err := c.wire.Err // http.Client's own error for its timeout does not wrap it
	if notBeforeOf(err) != nil || nethttp.ProxyStatus(err) != 0 {
		return false
	}
	return c.attempt.MaybeSent(c.req, err, c.wire.Called, c.wire.Tells())
}

// orUnknown returns otherwise, unless repeating the request would not be safe.
func (c *call) orUnknown(sent bool, otherwise Outcome) Outcome {
	if sent && !c.repeatable {
		return Unknown
	}
	return otherwise
}

// verdict asks the user, then the table.
func (c *call) verdict(resp *http.Response, err error, seen trip.Marks, sent bool,
	hints hint.Hints) Verdict {
	var v, table Verdict
	if c.client.Classify != nil {
		v = c.client.Classify(c.given, resp, err)
	}
	if err != nil {
		table = judgeError(err, seen, sent, c.origin.Answered())
	} else {
		table = judgeStatus(resp.StatusCode, hints, c.repeatable)
	}
	if v.Action == Default && table.Action == Accept && hasBody(c.req) {
		// A StandardClient's caller may go on writing a body of unknown length that cannot be sent
		// again, such as a pipe, while it reads the answer: to wait for its end would be in vain.
		c.streaming = c.standard && !c.replayable && c.req.ContentLength <= 0
		if !c.streaming && !c.wire.Last.SentWhole(c) {
			table, c.early = Verdict{Action: RetryIfSafe, Reason: reasonEarly}, true
		}
	}
	c.uncertain = v.Action == Default && table.Action == RetryFree && err == nil &&
		nethttp.PerhapsProcessed(resp.StatusCode)
	// Without a response there is nothing that was accepted.
	if v.Action == Default || v.Action == Accept && err != nil {
		v.Action = table.Action
	}
	if v.Reason == "" {
		v.Reason = table.Reason
		if v.Action != table.Action {
			v.Reason = reasons[min(v.Action, RetryIfSafe)]
		}
	}
	return v
}

// countRefusal reports whether a refusal counts as a failure of this request.
func (c *call) countRefusal(how int) bool {
	counts := c.kind.Refuse(&c.blame, how)
	if counts {
		c.giveUp = time.Time{} // Attempts bounds the call now, and how often this is done
	}
	return counts
}

// countFailure fills in what an attempt that may have been processed counts as: a failure of this
// request, or a refusal by a server that accepts nothing at all. After the first one that is not
// known yet, so it counts together with the second.
func (c *call) countFailure(s *step) {
	never, alone, second := c.kind.Never(), c.blame.Alone(c.kind), c.blame.FailedOnce()
	c.outage = c.outage || c.blame.Refused() && !alone
	s.failure = c.countRefusal(blame.Failed) ||
		c.policy.Attempts == 1 ||
		// Nothing speaks of an outage, and of a timeout not even that others were accepted before.
		alone && (never && !c.outage || c.status == 0 && c.reason == reasonTimedOut)
	if s.failure && second {
		c.failures++
	}
	s.refusal = !s.failure
	s.unproven = never || !c.outage
}

// failed is the error of the last attempt. What was sent in it has what Prepare and a cookie jar
// have put there, too.
func (c *call) failed(err error) error { return said.Failed(c.req, c.again.Request, err) }

// statusError is a request with an answer that does not count as acceptance.
func (c *call) statusError(resp *http.Response) error {
	return said.Answered(c.req, c.again.Request, fmt.Sprintf("%d %s%s", resp.StatusCode,
		http.StatusText(resp.StatusCode),
		c.client.redirects().Advice(c.req, resp, c.replayable, !c.standard)))
}

// settled returns how the call ended, as far as that is known now.
func (c *call) settled() Result {
	r := c.result
	if !c.streaming {
		return r
	}
	seen := c.wire.Last.Marks()
	if seen&(trip.GotConn|trip.WroteRequest) != trip.GotConn {
		return r
	}
	why := "its body is still being sent"
	if seen&trip.CutShort != 0 {
		why = reasonEarly
	}
	r.Outcome, r.Uncertain = Unknown, true
	r.Err = said.Answered(c.req, c.again.Request, fmt.Sprintf("%d, but %s", r.Status, why))
	return r
}
