package retry

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/penstock/penstock/internal/drain"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/secret"
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

	http http.Client // a copy of the user's, on wire
	wire wire
	// one a call: its callbacks are not told which request they are about
	loop  retryablehttp.Client
	again retryablehttp.Request

	standard   bool // it is one hop of a StandardClient's
	repeatable bool
	replayable bool // the body can be opened again
	cutOff     bool // some try ended before its body was sent
	refused    bool // some try of net/http's own was refused
	// how often net/http sent it again by itself after it may have been processed, not yet in
	// failures
	hidden     int
	goneAway   bool // the last try was not processed because its connection ended in good order
	unexpected bool // some try was refused because it asked for a 100 Continue: no other does
	blame      blame
	outage     bool // others failed, too

	// Of the last try.
	attempt      *attempt
	firstAttempt attempt
	expecting    bool // it asked for a 100 Continue
	status       int
	last         error // what was wrong with it
	reason       string
	uncertain    bool // the server may have processed it
	early        bool // a 2xx came before it was sent whole

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
		Context: req.Context(), course: newCourse(c.Policy), client: c, req: req, origin: c.origin(nethttp.Origin(req.URL)), kind: c.kind(c.kindOf(req)),
		http: hc, wire: wire{base: hc.Transport, client: c}, repeatable: c.repeatable(req), replayable: !hasBody(req) || req.GetBody != nil,
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
	call.attempt.setBody(call.again.Request, req.Body)
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
		c.attempt.releaseOnClose(resp)
		return resp, nil
	}
	if resp != nil {
		resp.Body.Close()
	}
	c.attempt.release()
	failed := Error(r)
	return nil, &failed
}

// newRequest returns a copy of the caller's request for the next try, still with the caller's body.
func (c *call) newRequest() *http.Request {
	if c.attempt != nil {
		c.attempt.release()
	}
	c.attempt, c.expecting = &c.firstAttempt, c.wantsExpect()
	if c.tries > 0 { // a hook of the first one may still be called
		c.attempt = new(attempt)
	}
	c.attempt.kind, c.attempt.origin, c.attempt.budget = c.kind, c.origin, c.policy.Budget
	if c.repeatable {
		c.attempt.left = int32(min(c.policy.Attempts-1-c.failures-c.hidden, math.MaxInt32))
	}
	c.attempt.began.Store(c.kind.begins())
	c.wire.origin, c.wire.first, c.wire.attempt, c.wire.called, c.wire.err = c.origin, c.attempt, c.attempt, false, nil
	h := c.header()
	c.attempt.careful = !nethttp.ResendsAnyway(&http.Request{Method: c.req.Method, Header: h, Body: c.req.Body, GetBody: c.req.GetBody})
	c.attempt.gated = c.attempt.careful && hasBody(c.req) && c.req.ContentLength != 0
	r := c.req.WithContext(c.attempt.trace(c))
	r.Header = h
	return r
}

// header returns the headers of the next try: the caller's own where nothing has to be changed.
func (c *call) header() http.Header {
	h := c.req.Header
	// net/http takes an idempotency key as leave to send a request again by itself, even after it
	// was sent whole. Where the user gave no such leave the key goes out in a spelling that
	// net/http does not look for; to servers a name is the same in any case.
	hide := !c.repeatable && nethttp.HasKey(c.req)
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
	if resent := int(c.attempt.resent.Load()); resent > 0 {
		c.tries, c.hidden, c.doubt = c.tries+resent, c.hidden+resent, true
	}
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
		drain.Close(resp.Body)
		resp.Body = http.NoBody // the library drains too, with no limit in time
	}
	return true, nil
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
			c.reason = bodyReason(err)
			why := worded(secret.Of(c.req).TextOf(err), err)
			if c.reason == reasonBody {
				why = fmt.Errorf("%w: its %s", why, reasonBody)
			}
			c.end(Failed, time.Time{}, because(c.last, why))
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
