package throttle

import (
	"container/list"
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/internal/openfiles"
	"github.com/penstock/penstock/internal/standing"
)

const (
	// defaultMaxPause is as long as quotas by the hour ask for.
	defaultMaxPause = time.Hour

	// manyIdle is how many idle connections an own base transport keeps to a server, or as many as
	// Limits allow in flight where that is more. That limit may be raised later, so it is no reason
	// to keep fewer.
	manyIdle = 256
)

// A Transport is an [http.RoundTripper] that sends each request when its server's limits allow it:
// it waits for a permit and then for a token, and it holds the permit until the response's body is
// closed or read to its end, or the request's context ends. Put it into an [http.Client]'s
// Transport field. The zero value finds the limits by itself; see [Limits].
//
// Closing a body before its end keeps the connection of HTTP/1 if no more than 256 KiB are left and
// come within 50 ms, for which Close waits.
//
// A body that is never closed keeps its permit, and soon nothing more is sent. Its permit comes
// back once it is garbage, with an [Event] of the kind [EventLeaked].
//
// By default each scheme and host is an upstream with limits of its own. When a server answers 429
// or 503 and says when to come back, by Retry-After (RFC 9110, section 10.2.3) or by the headers of
// a quota, nothing more is sent to that upstream until then. After a 429 that does not say so,
// nothing is sent for 1 s, and then for 2, 4, … 32, 60, 60, … s while nothing is accepted; once a
// rate of more than 15 requests a second is known, for less. What holds of 503 with Retry-After
// holds for any other refusal with it, except 400, 401, 404, 405, 408, 409 to 415, 422, 501 and
// 505: those speak of one request, and so does their Retry-After. A server that goes on refusing
// after that, that answers only 500 or 502, or that cannot be reached (proxy, TLS and DNS errors
// included) gets one request at a time, after 2, 4, 8, 10, 10, … seconds, until it accepts one.
//
// The package retry, where it is above, says how each request fared. To a server that accepts
// nothing the newest of those that were not sent yet is sent, out of turn: those that are first in
// line may be what it refuses. And where retry has found that the cause of its refusals is in a
// request itself, these teach nothing about the limits; a pause that they ask for holds all the
// same.
//
// Each attempt pays for itself: so do redirects, what a client above retries, and the requests that
// net/http sends once more by itself when a kept-alive connection turns out to be dead. Nothing is
// retried here: see the package retry, which goes above. No answer is changed; an upgrade by 101, a
// body that is streamed either way and trailers work as with Base.
//
// What signs requests with the time (bearer tokens that expire, HMAC, SigV4) belongs below, into
// Base: above, signatures grow old while requests wait.
//
// It is safe for concurrent use. Its fields must not change once it is in use, and it must not be
// copied.
type Transport struct {
	// Base sends the requests. If nil, a clone of [http.DefaultTransport] that keeps enough idle
	// connections to a host for many workers, or, if that is no [*http.Transport], the default
	// itself.
	//
	// Set MaxIdleConnsPerHost of an http.Transport of your own to as many requests as may be in
	// flight. It is 2 otherwise, and most requests of many workers then make a new connection.
	// Proxies, TLS and the like are also set on Base.
	//
	// If Base makes a second request with the same context (to fetch a token, say), that one is
	// paced, too, and reported as [EventResent].
	Base http.RoundTripper

	// Limits are those of each upstream, unless LimitsFor is set, which returns them by key. It is
	// called once for each upstream, at its first request (perhaps more than once if several come
	// together); later use [Upstream.SetLimits]. A request to an upstream whose limits are not
	// valid fails unsent, and the package retry does not repeat it.
	Limits    Limits
	LimitsFor func(key string) Limits

	// LeaserFor, if set, returns by key what shares an upstream's rate with other processes, or nil
	// if nothing does. It is called when LimitsFor is; later use [Upstream.SetLeaser].
	LeaserFor func(key string) Leaser

	// Key returns the key of the upstream that a request belongs to. If nil, that is its scheme and
	// host, with the port if it is not the default one. Keys are in all events: to limit each API
	// key, return a name or a hash of it.
	Key func(*http.Request) string

	// MaxUpstreams is how many upstreams are remembered, at some 15 KiB each; see
	// [Transport.Upstream]. If zero or less, 1,024.
	MaxUpstreams int

	// Weight returns how many tokens a request costs; below 1 is taken as 1. If nil, 1.
	Weight func(*http.Request) int

	// Timeout is the longest that one attempt may take, in which waiting for a permit, a token or a
	// cool-down does not count, reading the answer does. It ends with a [*TimeoutError]. If zero,
	// there is no limit. [http.Client.Timeout] and a deadline of the request's context also run
	// while the request waits: they count as a timeout of the server if the request was in flight
	// for more than four times the usual latency.
	Timeout time.Duration

	// MaxPause is the longest cool-down that a request waits for. While more of it is left,
	// requests fail at once with a [*PausedError], which says when to come back, whether they were
	// waiting already or have just arrived. If zero or less, 1 hour; with [math.MaxInt64] none is
	// too long. A retry.Client above waits by its own Policy.MaxPause, and then sends again.
	MaxPause time.Duration

	// MaxQueue is the longest that a request waits for its turn, cool-downs included, and further
	// turns where net/http sends it once more; then it fails, where nothing was sent with a
	// [*QueueError], on which the package retry ends its call as deferred. Set it where an answer
	// is of no use later, as in a web service, or where requests are signed above, as the AWS SDK
	// does, and a signature must not grow old. If zero or less, only the request's context bounds
	// the wait.
	MaxQueue time.Duration

	// Feedback, if set, returns what an answer or error says about the server. It is given the
	// response, or the error, and what the status and the headers say, and returns that or what is
	// right instead: some servers tell only in the body that they are asked too much, GitHub by a
	// 403 and AWS by a 400. If it reads from the response's Body it must put a Body back that
	// begins anew. Where package retry is above, its Classify decides whether to send again.
	Feedback func(*http.Response, error, Feedback) Feedback

	// Observe, if set, is called with what happens, by many goroutines at once and with no lock
	// held. Requests wait until it returns. Of permits that [Upstream.Acquire] gave, and of what
	// their ends change, [Upstream.Observe] tells.
	Observe func(Event)

	own     sync.Once
	ownBase *http.Transport // a clone of the default

	lastOrigin atomic.Pointer[origin]

	mu struct {
		sync.Mutex
		upstreams map[string]*list.Element
		recent    list.List // of *entry, the latest first
		stop      error
		stopped   bool
	}
}

// RoundTrip sends the request when its upstream's limits allow it. While it waits it fails with the
// cause of the request's context, when that ends, or with a [*StopError], a [*PausedError] or a
// [*QueueError]; in flight with a [*TimeoutError]. Other errors are Base's, as they are.
//
// A request whose deadline comes before the end of a cool-down waits until its deadline, since the
// cool-down may end sooner by [Upstream.Resume]. Its error then names the end of the cool-down,
// which its method RetryAt returns.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL == nil {
		closeBody(req)
		return nil, errors.New("throttle: the request has no URL")
	}
	standing.Pace(req.Context()) // an Upstream holds all back
	key := t.KeyOf(req)
	entry := t.enter(key)
	defer entry.leave()
	u := entry.upstream
	weight := 1
	if t.Weight != nil {
		weight = t.Weight(req)
	}
	a := &attempt{t: t, u: u, key: key, req: req, weight: weight}
	if err := t.acquire(req.Context(), a); err != nil {
		closeBody(req)
		return nil, err
	}
	a.start = time.Now()
	a.begin, a.waited = a.start, a.permit.wait
	returned := false
	defer func() {
		if !returned { // Base or Observe has panicked
			a.release()
		}
	}()
	a.observe(Event{Kind: EventSent, Waited: a.waited, WaitedFor: a.permit.waited,
		Token: a.permit.token})

	resp, err := t.base().RoundTrip(a.request())
	if err != nil {
		if err = a.timeout(err); a.refuse != nil {
			err = a.refuse
		}
		a.ended(nil, err)
		a.release()
	} else {
		a.ended(resp, nil)
		// its stream keeps the response, whose body could then not be seen to be garbage
		if resp.ProtoMajor == 2 {
			if resp.Trailer == nil {
				resp.Trailer = http.Header{} // where those go that were not announced
			}
			r := *resp
			resp = &r
		}
		resp.Request = req // Base has seen a copy
		resp.Body = a.body(resp)
	}
	returned = true
	return resp, err
}

// acquire gets the attempt's permit: that of its context, or another within MaxQueue. Its errors
// say when the cool-down ends that is in force.
func (t *Transport) acquire(ctx context.Context, a *attempt) error {
	if ctx.Err() == nil && a.u.given(ctx, &a.permit) {
		return nil
	}
	err := a.queue(ctx, func(ctx context.Context) error {
		return a.u.acquire(ctx, &a.permit, a.weight)
	})
	if err != nil && (ctx.Err() != nil || err == context.DeadlineExceeded) {
		err = a.u.waitError(err)
	}
	return err
}

// queue calls wait, which waits for a turn, with a context that ends after what is left of
// MaxQueue.
func (a *attempt) queue(ctx context.Context, wait func(context.Context) error) error {
	if a.t.MaxQueue <= 0 {
		return wait(ctx)
	}
	late := &QueueError{After: a.t.MaxQueue}
	queue, cancel := context.WithTimeoutCause(ctx, a.t.MaxQueue-a.queued, late)
	defer cancel()
	begin := time.Now()
	err := wait(queue)
	now := time.Now()
	a.queued += now.Sub(begin)
	if err != late && (err != context.DeadlineExceeded || expired(ctx, now)) {
		return err
	}
	late.Until, _ = a.u.line.pausedUntil()
	return late
}

// Stop fails all requests that wait, and all that come later, with a [*StopError] that wraps err.
// Requests in flight are left to finish. Only the first call counts.
func (t *Transport) Stop(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mu.stopped {
		return
	}
	t.mu.stop, t.mu.stopped = err, true
	for _, at := range t.mu.upstreams {
		at.Value.(*entry).upstream.Stop(err)
	}
}

// CloseIdleConnections closes those of Base.
func (t *Transport) CloseIdleConnections() {
	if c, ok := t.base().(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

func (t *Transport) base() http.RoundTripper {
	if t.Base != nil {
		return t.Base
	}
	d, ok := http.DefaultTransport.(*http.Transport)
	if !ok { // replaced, to trace requests or to answer them in a test
		return http.DefaultTransport
	}
	t.own.Do(func() {
		t.ownBase = d.Clone()
		t.ownBase.MaxIdleConns = openfiles.Limit() / 2 // the others are for connections in use
		t.ownBase.MaxIdleConnsPerHost = max(manyIdle, t.Limits.InFlight)
	})
	return t.ownBase
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}
