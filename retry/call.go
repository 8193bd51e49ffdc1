package retry

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/penstock/penstock/internal/blame"
	"github.com/penstock/penstock/internal/drain"
	"github.com/penstock/penstock/internal/filebody"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/said"
	"github.com/penstock/penstock/internal/secret"
	"github.com/penstock/penstock/internal/standing"
	"github.com/penstock/penstock/internal/trip"
)

// call is one call of Do, and the context of its requests, so that OutcomeOf finds it there.
//
// go-retryablehttp drives it: it sends, asks check, sleeps for as long as wait returns, and asks
// prepare for the next request. What it does beside that is not of use here: its reading of bodies
// and of Retry-After, its limit of retries, its errors, which lose causes and statuses.
type call struct {
	context.Context // the caller's
	course
	client *Client
	given  *http.Request // the caller's
	req    *http.Request // the same, perhaps with a body in memory; never changed
	origin *trip.Origin
	kind   *blame.Kind

	http http.Client // a copy of the user's, on wire
	wire trip.Transport
	// one a call: its callbacks are not told which request they are about
	loop  retryablehttp.Client
	again retryablehttp.Request

	standard   bool // it is one hop of a StandardClient's
	repeatable bool
	replayable bool // the body can be opened again
	cutOff     bool // some attempt ended before its body was sent
	resetOnce  bool // some attempt of net/http's own was prevented
	// how often net/http sent it again by itself after it may have been processed, not yet in
	// failures
	hidden     int
	goneAway   bool // the last attempt was not processed because its connection ended in good order
	unexpected bool // an attempt was refused because it asked for a 100 Continue: no other does
	blame      blame.Call
	outage     bool // others failed, too

	// Of the last attempt.
	attempt   *attempt
	first     attempt
	expecting bool // it asked for a 100 Continue
	status    int
	last      error // what was wrong with it
	reason    string
	uncertain bool // the server may have processed it
	early     bool // a 2xx came before it was sent whole

	doubt     bool // the server may have processed some attempt
	streaming bool // the answer is returned while the body is sent, whose end decides

	until   time.Time // when the next attempt begins
	endWait func()
	result  Result // once the call is over
}

// attempt is one sending of a call's request.
type attempt struct {
	place
	trip.Trip
}

func followNone(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

type callKey struct{}

// Value finds the call itself, and what a limiter should know of it.
func (c *call) Value(key any) any {
	switch key {
	case callKey{}:
		return c
	case standing.Key{}:
		return c.standing()
	}
	return c.Context.Value(key)
}

// standing is how a limiter is to take an attempt, or its refusal.
func (c *call) standing() standing.Standing {
	switch {
	case c.attempts == 0:
		return standing.Fresh
	case c.kind.Blames(&c.blame):
		return standing.Blamed
	}
	return standing.Tried
}

// do makes a call with a copy of the user's http.Client, or one hop of a StandardClient's.
func (c *Client) do(req *http.Request, hc http.Client, standard bool) (*http.Response, error) {
	if req == nil {
		return nil, failure(Result{Outcome: Failed, Err: errors.New("retry: the request is nil")})
	}
	if err := c.Policy.Validate(); err != nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, failure(Result{Outcome: Failed, Err: err})
	}
	call := &call{
		Context: req.Context(), course: newCourse(c.Policy), client: c, given: req, req: req,
		origin: c.origins.Of(nethttp.Origin(req.URL)), kind: c.kind(req),
		http: hc, wire: trip.Transport{Base: hc.Transport, Origins: &c.origins},
		repeatable: c.repeatable(req), replayable: !hasBody(req) || req.GetBody != nil,
	}
	if call.wire.Base == nil {
		call.wire.Base = http.DefaultTransport
	}
	call.http.Transport, call.http.CheckRedirect = &call.wire, followNone
	if call.standard = standard; !standard {
		call.http.CheckRedirect = c.redirects().Follow
	}
	call.loop.HTTPClient = &call.http
	call.loop.RetryMax = math.MaxInt // check decides
	call.loop.CheckRetry = call.check
	call.loop.Backoff = call.wait
	call.loop.PrepareRetry = call.prepare
	call.loop.ErrorHandler = retryablehttp.PassthroughErrorHandler
	if err := call.keep(); err != nil {
		return call.finish(nil, err)
	}
	next, err := call.newRequest()
	if err != nil {
		return call.finish(nil, err)
	}
	call.again.Request = next
	return call.finish(call.loop.Do(&call.again))
}

// keep has a body that can be sent only once kept in memory, if the user wants that. If it cannot
// be read, the call ends.
func (c *call) keep() error {
	most := c.client.Buffer
	if c.replayable || most <= 0 || c.req.ContentLength > most {
		return nil
	}
	kept, err := filebody.Keep(c.req, most)
	if err == nil {
		c.req, c.replayable = kept, kept.GetBody != nil
		return nil
	}
	c.reason = reasonBody
	outcome, why := Failed, said.Failed(c.req, nil, fmt.Errorf("its %s: %w", reasonBody, err))
	if c.Err() != nil {
		c.reason = reasonCancelled
		outcome, why = Deferred, said.Because(why, said.Cancelled(c.Context))
	}
	c.end(outcome, time.Time{}, why)
	return err
}

// finish reports how the call ended. That is in c.result, unless it ended during a wait.
func (c *call) finish(resp *http.Response, err error) (*http.Response, error) {
	if c.result.Outcome == 0 {
		c.abandon()
	}
	r := c.settled()
	if r.Outcome != c.result.Outcome { // it is not yet sent whole
		c.uncertain, c.reason = true, reasonEarly
	}
	c.observe(Event{Kind: EventEnded, Attempt: r.Attempts, Status: r.Status, Err: r.Err,
		Outcome: r.Outcome, Until: r.RetryAt})
	// A 2xx that does not count must not be taken for one that does.
	if err == nil && (r.Outcome == Delivered || c.streaming || r.Status < 200 || r.Status > 299) {
		c.attempt.ReleaseOnClose(resp)
		return resp, nil
	}
	if resp != nil {
		resp.Body.Close()
	}
	if c.attempt != nil {
		c.attempt.Release()
	}
	return nil, failure(r)
}

func (c *call) observe(e Event) {
	if c.client.Observe != nil {
		e.Request, e.Uncertain, e.Reason = c.given, c.uncertain, c.reason
		c.client.Observe(e)
	}
}

// newRequest returns the request of the next attempt. If it cannot be made, the call ends.
func (c *call) newRequest() (*http.Request, error) {
	body, err := c.req.Body, error(nil)
	if c.attempts > 0 && hasBody(c.req) {
		if body, err = c.req.GetBody(); err != nil {
			c.reason = bodyReason(err)
			why := secret.Of(c.req).Clean(err)
			if c.reason == reasonBody {
				why = fmt.Errorf("%w: its %s", why, reasonBody)
			}
			c.end(Failed, time.Time{}, said.Because(c.last, why))
			return nil, err
		}
	}
	a := &c.first
	if c.attempt != nil { // a hook of the one before may still be called
		c.attempt.Release()
		a = new(attempt)
	}
	c.attempt, c.expecting = a, !c.unexpected && c.origin.Asks(c.req, c.cutOff)
	a.place = place{Context: c, number: c.attempts + 1, paced: &c.paced}
	a.Origin, a.Clock = c.origin, c.kind
	if c.repeatable {
		a.Left = c.policy.Attempts - 1 - c.failures - c.hidden
	}
	if c.policy.Budget != nil {
		a.Payer = payer{c.policy.Budget}
	}
	c.wire.Begin(&a.Trip)
	// http.Client adds a jar's cookies to the header that it is given, each time.
	prepared := c.client.Prepare != nil && !trip.Strayed(c.req)
	copied := c.http.Jar != nil || prepared
	h := trip.Header(c.req, c.expecting, c.repeatable, copied)
	if !prepared {
		r := c.req.WithContext(a.Start(&a.place, c.req, h))
		r.Header = h
		a.SetBody(r, body)
		return r, nil
	}
	// What Prepare does with the context must not be taken for the attempt's own.
	r := c.req.WithContext(&a.place)
	r.Header = h
	if r.URL != nil {
		r.URL = new(url.URL)
		*r.URL = *c.req.URL
	}
	a.SetBody(r, body)
	if err = c.client.Prepare(r); err == nil {
		return r.WithContext(a.Start(&a.place, c.req, r.Header)), nil
	}
	if body != nil {
		body.Close()
	}
	c.reason = reasonPrepare
	var retryAt time.Time
	outcome, why := Failed, said.Failed(c.req, r, fmt.Errorf("it could not be prepared: %w", err))
	if c.Err() != nil {
		outcome, why = Deferred, said.Because(why, said.Cancelled(c.Context))
	} else if stop := notBeforeOf(err); stop != nil {
		outcome, retryAt = Deferred, stop.RetryAt()
	}
	c.end(outcome, retryAt, said.Because(c.last, why))
	return nil, err
}

// check judges an attempt. It is the library's CheckRetry.
func (c *call) check(_ context.Context, resp *http.Response, err error) (bool, error) {
	if resent := c.attempt.Resent(); resent > 0 {
		c.attempts, c.hidden, c.doubt = c.attempts+resent, c.hidden+resent, true
	}
	c.attempts++
	wait, goOn := c.judge(time.Now(), resp, err)
	if !goOn {
		return false, nil
	}
	c.until = time.Now().Add(wait)
	c.doubt = c.doubt || c.uncertain
	c.observe(Event{Kind: EventWaiting, Attempt: c.attempts, Status: c.status, Err: c.last,
		Wait: wait, Until: c.until})
	if err == nil {
		drain.Close(resp.Body)
		resp.Body = http.NoBody // the library drains too, with no limit in time
	}
	return true, nil
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

// prepare is the library's PrepareRetry: it replaces the copy that it is given by the next request.
func (c *call) prepare(r *http.Request) error {
	c.endWait()
	next, err := c.newRequest()
	if err != nil {
		c.policy.Budget.put()
		return err
	}
	*r = *next
	return nil
}

// next plans the wait before the next attempt. Where the body rules one out, the call ends with the
// given outcome.
func (c *call) next(now time.Time, s step, outcome Outcome) (time.Duration, bool) {
	if why := c.unreplayable(); why != nil {
		var retryAt time.Time
		if s.asked > 0 {
			retryAt = now.Add(s.asked)
		}
		c.reason = reasonNoGetBody
		return c.end(outcome, retryAt, said.Because(c.last, why))
	}
	if stopping := c.client.stopping(); stopping.Err() != nil {
		return c.end(Deferred, time.Time{},
			said.Because(c.last, said.Clean(context.Cause(stopping))))
	}
	wait, end := c.plan(c.Context, now, s)
	if end != nil {
		return c.end(end.Outcome, end.RetryAt, said.Because(c.last, end.Err))
	}
	return wait, true
}

// unreplayable returns why the body cannot be sent again, or nil if it can. To know it before the
// wait saves the wait, and the answer.
func (c *call) unreplayable() error {
	if !c.replayable {
		return ErrNoGetBody
	}
	if b, ok := c.req.Body.(filebody.Fleeting); ok {
		return b.Again(filebody.Sent{})
	}
	return nil
}

func (c *call) end(outcome Outcome, retryAt time.Time, why error) (time.Duration, bool) {
	c.doubt = c.doubt || c.uncertain
	c.result = Result{Outcome: outcome, Attempts: c.attempts, Status: c.status, RetryAt: retryAt,
		Uncertain: c.doubt && outcome != Delivered, Err: why}
	return 0, false
}

// abandon ends the call between two attempts.
func (c *call) abandon() {
	c.endWait()
	c.policy.Budget.put()
	c.reason = reasonCancelled
	why := context.Cause(c.client.stopping())
	if c.Err() != nil {
		why = said.Cancelled(c.Context)
	}
	c.end(Deferred, c.until, said.Because(c.last, said.Clean(why)))
}
