package retry

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/penstock/penstock/internal/hint"
	"github.com/penstock/penstock/internal/standing"
)

// call is one call of Do, and the context of its requests, so that OutcomeOf finds it there.
type call struct {
	context.Context // the caller's
	course
	client *Client
	req    *http.Request // the caller's, never changed
	origin *origin
	kind   *kind

	http  http.Client // a copy of the user's, on wire
	wire  wire
	loop  retryablehttp.Client // one a call: its callbacks are not told which request they are about
	again retryablehttp.Request

	standard   bool // it is one hop of a StandardClient's
	repeatable bool
	replayable bool // the body can be opened again
	cutOff     bool // some try ended before its body was sent
	unexpected bool // some try was refused because it asked for a 100 Continue: no other does
	blame      blame
	outage     bool // others failed, too

	// Of the last try.
	attempt   *attempt
	expecting bool // it asked for a 100 Continue
	status    int
	last      error // what was wrong with it
	reason    string
	uncertain bool // the server may have processed it
	early     bool // a 2xx came before it was sent whole

	doubt     bool // the server may have processed some try
	streaming bool // the answer is returned while the body is sent, whose end decides

	until   time.Time // when the next try begins
	endWait func()
	result  Result // once the call is over
}

type callKey struct{}

// Value finds the call itself, and what throttle should know of it.
func (c *call) Value(key any) any {
	switch key {
	case callKey{}:
		return c
	case standing.Key{}:
		return c.standing()
	}
	return c.Context.Value(key)
}

// standing is how throttle is to take a try, or its refusal.
func (c *call) standing() standing.Standing {
	switch {
	case c.tries == 0:
		return standing.Fresh
	case c.kind.blames(&c.blame):
		return standing.Blamed
	}
	return standing.Tried
}

// do makes a call with a copy of the user's http.Client, or one hop of a StandardClient's.
func (c *Client) do(req *http.Request, hc http.Client, standard bool) (*http.Response, error) {
	if req == nil {
		return nil, &Error{Outcome: Failed, Err: errors.New("retry: the request is nil")}
	}
	if err := c.Policy.Validate(); err != nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, &Error{Outcome: Failed, Err: err}
	}
	call := &call{
		Context: req.Context(), course: newCourse(c.Policy), client: c, req: req, origin: c.origin(originOf(req.URL)), kind: c.kind(c.kindOf(req)),
		http: hc, wire: wire{base: hc.Transport}, repeatable: c.repeatable(req), replayable: !hasBody(req) || req.GetBody != nil,
	}
	if call.wire.base == nil {
		call.wire.base = http.DefaultTransport
	}
	call.http.Transport, call.http.CheckRedirect = &call.wire, followNone
	if call.standard = standard; !standard {
		call.http.CheckRedirect = c.checkRedirect
	}
	call.loop.HTTPClient = &call.http
	call.loop.RetryMax = math.MaxInt // check decides
	call.loop.CheckRetry = call.check
	call.loop.Backoff = call.wait
	call.loop.PrepareRetry = call.prepare
	call.loop.ErrorHandler = retryablehttp.PassthroughErrorHandler
	call.again.Request = call.newRequest()
	return call.run()
}

// run lets the library drive the tries. How the call ended is in c.result: the library loses causes
// and statuses.
func (c *call) run() (*http.Response, error) {
	resp, err := c.loop.Do(&c.again)
	if c.result.Outcome == 0 { // during a wait
		c.abandon()
	}
	r := c.settled()
	if r.Outcome != c.result.Outcome { // it is not yet sent whole
		c.uncertain, c.reason = true, reasonEarly
	}
	c.client.observe(Event{Kind: Ended, Request: c.req, Attempt: r.Attempts, Status: r.Status, Err: r.Err, Outcome: r.Outcome,
		Until: r.RetryAt, Uncertain: c.uncertain, Reason: c.reason})
	// A 2xx that does not count must not be taken for one that does.
	if err == nil && (r.Outcome == Delivered || c.streaming || r.Status < 200 || r.Status > 299) {
		drainOnClose(resp)
		return resp, nil
	}
	if resp != nil {
		resp.Body.Close()
	}
	failed := Error(r)
	return nil, &failed
}

// newRequest returns a copy of the caller's request for the next try, still with the caller's body.
func (c *call) newRequest() *http.Request {
	c.attempt, c.expecting = &attempt{kind: c.kind}, c.wantsExpect()
	c.attempt.began.Store(c.kind.begins())
	c.wire.first, c.wire.attempt, c.wire.called, c.wire.err = c.attempt, c.attempt, false, nil
	r := c.req.WithContext(c.attempt.trace(c))
	r.Header = c.header()
	c.attempt.careful = !resendable(r)
	c.attempt.setBody(r, r.Body)
	return r
}

// header returns the headers of the next try: the caller's own where nothing has to be changed.
func (c *call) header() http.Header {
	h := c.req.Header
	// net/http takes an idempotency key as leave to send a request again by itself, even after it
	// was sent whole. Where the user gave no such leave the key goes out in a spelling that
	// net/http does not look for; to servers a name is the same in any case.
	hide := !c.repeatable && hasKey(c.req)
	// http.Client adds a jar's cookies to the map that it is given, each time.
	if !hide && !c.expecting && c.http.Jar == nil {
		return h
	}
	if h = h.Clone(); h == nil {
		h = make(http.Header)
	}
	if c.expecting {
		h.Set("Expect", "100-continue")
	}
	if hide {
		respell(h, "Idempotency-Key", "idempotency-key")
		respell(h, "X-Idempotency-Key", "x-idempotency-key")
	}
	return h
}

func respell(h http.Header, from, to string) {
	if values := h[from]; values != nil {
		delete(h, from)
		h[to] = values
	}
}

// check judges a try. It is the library's CheckRetry.
func (c *call) check(_ context.Context, resp *http.Response, err error) (bool, error) {
	c.tries++
	wait, goOn := c.judge(time.Now(), resp, err)
	if !goOn {
		return false, nil
	}
	c.until = time.Now().Add(wait)
	c.doubt = c.doubt || c.uncertain
	c.client.observe(Event{Kind: Waiting, Request: c.req, Attempt: c.tries, Status: c.status, Err: c.last, Wait: wait, Until: c.until,
		Uncertain: c.uncertain, Reason: c.reason})
	if err == nil {
		drain(resp.Body)
		resp.Body = http.NoBody // the library drains too, with no limit in time
	}
	return true, nil
}

// judge returns how long to wait before the next try. If there is to be none it sets the call's result.
func (c *call) judge(now time.Time, resp *http.Response, err error) (wait time.Duration, goOn bool) {
	before, status := c.last, c.status
	seen := c.attempt.marks()
	sent := err != nil && c.maybeSent(seen)
	c.cutOff = c.cutOff || sent && seen&wroteRequest == 0
	c.status, c.last, c.reason, c.uncertain, c.early = 0, nil, "", false, false

	if b, ok := c.req.Body.(*smallBody); ok && c.tries == 1 && c.attempt.sentOnce() {
		b.recycle() // the other tries have bodies of their own
	}
	changed, unsent := checkBody(c.req)
	if changed == nil && errors.Is(err, ErrFileChanged) { // in a body around the file's
		changed = redact(c.req, err)
	}
	if changed != nil {
		if err == nil {
			c.status = resp.StatusCode
		}
		if c.reason = reasonBody; errors.Is(changed, ErrFileChanged) {
			c.reason = reasonFileChanged
		}
		c.uncertain = !unsent && (sent || err == nil && perhapsDone(c.status))
		return c.end(c.orUnknown(c.uncertain, Failed), time.Time{}, changed)
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
		if c.attempt.ownFault(c.wire.err) {
			c.reason, c.uncertain = reasonBody, sent
			return c.end(c.orUnknown(sent, Failed), time.Time{}, because(c.last, errors.New("its "+reasonBody)))
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
			return 0, true // once
		}
		if c.status >= 300 {
			hints = hint.Parse(c.status, resp.Header, now)
		}
	}

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
	return c.next(now, s, Failed)
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
// Only what was seen in this try counts: a transport may have paths that tell httptrace and others
// that do not.
func (c *call) maybeSent(seen marks) bool {
	if _, notSent := notBefore(c.wire.err); notSent || refusedStream(c.wire.err) { // http.Client's own error for its timeout does not wrap it
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

// countFailure fills in what a try that may have been processed counts as: a failure of this request,
// or a refusal by a server that accepts nothing at all. After the first one nobody knows yet, so it
// counts together with the second.
func (c *call) countFailure(s *step) {
	never := c.kind.never()
	alone := c.blame.refusals > 0 && c.kind.begins() == c.blame.number // no other request has failed since the last one
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

// next plans the wait before the next try. Where the body rules one out, the call ends with the
// given outcome.
func (c *call) next(now time.Time, s step, outcome Outcome) (time.Duration, bool) {
	if !c.replayable {
		var retryAt time.Time
		if s.asked > 0 {
			retryAt = now.Add(s.asked)
		}
		c.reason = reasonNoGetBody
		return c.end(outcome, retryAt, because(c.last, ErrNoGetBody))
	}
	if stopping := c.client.stopping(); stopping.Err() != nil {
		return c.end(Deferred, time.Time{}, because(c.last, clean(context.Cause(stopping))))
	}
	wait, end := c.plan(c.Context, now, s)
	if end != nil {
		return c.end(end.outcome, end.retryAt, because(c.last, end.why))
	}
	return wait, true
}

func (c *call) end(outcome Outcome, retryAt time.Time, why error) (time.Duration, bool) {
	c.doubt = c.doubt || c.uncertain
	c.result = Result{Outcome: outcome, Attempts: c.tries, Status: c.status, RetryAt: retryAt, Uncertain: c.doubt && outcome != Delivered, Err: why}
	return 0, false
}

// wait is the library's Backoff. The library sleeps, on a context that Stop ends too.
func (c *call) wait(_, _ time.Duration, _ int, _ *http.Response) time.Duration {
	ctx, cancel := context.WithCancelCause(c)
	stopping := c.client.stopping()
	unhook := context.AfterFunc(stopping, func() { cancel(context.Cause(stopping)) })
	c.endWait = func() {
		unhook()
		cancel(nil)
	}
	c.again.Request = c.again.Request.WithContext(ctx)
	return max(0, time.Until(c.until)) // draining took some of it
}

// prepare is the library's PrepareRetry: it outfits the copy that it is given for the next try.
func (c *call) prepare(r *http.Request) error {
	c.endWait()
	*r = *c.newRequest()
	if hasBody(c.req) {
		body, err := c.req.GetBody()
		if err != nil {
			c.handBack()
			c.reason = reasonRejected
			c.end(Failed, time.Time{}, because(c.last, worded(secretsOf(c.req).TextOf(err), err)))
			return err
		}
		c.attempt.setBody(r, body)
	}
	return nil
}

// abandon ends the call between two tries.
func (c *call) abandon() {
	c.endWait()
	c.handBack()
	c.reason = reasonCancelled
	why := context.Cause(c.client.stopping())
	if c.Err() != nil {
		why = cancelled(c.Context)
	}
	c.end(Deferred, c.until, because(c.last, clean(why)))
}

// statusError is a request with an answer that does not count as acceptance.
func (c *call) statusError(resp *http.Response) error {
	text := fmt.Sprintf("%s: %d %s%s", name(c.req), resp.StatusCode, http.StatusText(resp.StatusCode), c.redirectAdvice(resp))
	return errors.New(secretsOf(c.req).Hide(text))
}
