// Package fair shares a throttle.Transport between clients, so that the many requests of one do not
// delay the few of another.
//
// A [Transport] goes above a [throttle.Transport], whose queue is first come, first served. It
// keeps a queue of its own for each upstream. When the upstream's limits allow the next request,
// and only then, it chooses a client by turns, and of that client the call that came first. So the
// first request of a client waits for at most one turn of each other client that waits, however
// many requests those have.
//
// It bounds nothing. [Transport.Queue] says what waits, and [Transport.Estimate] for how long a
// request would wait that came now; its caller decides what is too much, and ends the contexts of
// requests that have waited for too long.
//
// Requests in the background, [Behind], go when nothing else waits.
//
// A program that sends through the throttle.Transport directly has one turn after another, as if
// all of the queue here were one caller.
package fair

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/internal/standing"
	"github.com/penstock/penstock/throttle"
)

// A Transport is an [http.RoundTripper] that has clients take turns; see [WithClient]. Where the
// package retry sends requests again it goes above, so that each attempt waits for its own turn.
//
// It has one goroutine for each upstream while requests wait for that, and nothing to close. A
// client that has nothing waiting is forgotten. It is safe for concurrent use. Use [New].
type Transport struct {
	base     *throttle.Transport
	arrivals atomic.Uint64

	mu struct {
		sync.Mutex
		queues map[string]*queue // by upstream
	}
}

// New returns a Transport that sends through base, by permits of [throttle.Transport.Upstream]. A
// request takes one token: base's Weight and MaxQueue are not used.
func New(base *throttle.Transport) *Transport {
	t := &Transport{base: base}
	t.mu.queues = make(map[string]*queue)
	return t
}

// RoundTrip sends the request when its client's turn has come and its upstream's limits allow it.
// If the request's context ends before, it fails as one that waits in a [throttle.Transport] does,
// and takes up no turn. When the upstream is stopped, or paused for longer than its MaxPause, all
// that wait fail with a [*throttle.StopError] or a [*throttle.PausedError]. All these errors have a
// method RetryAt, and nothing was sent. Other errors are those of the Transport below, as they are.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	if req.URL == nil || ctx.Err() != nil {
		return t.base.RoundTrip(req) // which has the errors for that
	}
	standing.Pace(ctx)
	trace, _ := ctx.Value(traceKey{}).(*Trace)
	key := t.base.KeyOf(req)
	permit := t.held(ctx, key)
	var err error
	if permit == nil {
		fresh := standing.Of(ctx) == standing.Fresh
		permit, err = t.acquire(ctx, key, max(req.ContentLength, 0), fresh)
	}
	if err != nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, err
	}
	if permit == nil { // the context has ended
		return t.base.RoundTrip(req)
	}
	defer permit.Release() // if it was not used
	begin := time.Now()
	resp, err := t.base.RoundTrip(req.WithContext(throttle.WithPermit(ctx, permit)))
	if trace != nil {
		trace.sent(time.Since(begin))
	}
	if resp != nil {
		resp.Request = req // base has seen a copy
	}
	return resp, err
}

// CloseIdleConnections closes those of the transport below.
func (t *Transport) CloseIdleConnections() { t.base.CloseIdleConnections() }

// Wait waits for the turn of a request before there is one to send: the first RoundTrip with the
// context that it returns, to the upstream of that key, does not wait. So a server may have clients
// wait before it has made their requests. Size is the length of the body, as far as it is known.
// Its errors are those of RoundTrip while a request waits. If there is none, release must be called
// in the end, in case nothing was sent.
func (t *Transport) Wait(
	ctx context.Context, key string, size int64,
) (with context.Context, release func(), err error) {
	permit, err := t.acquire(ctx, key, size, true)
	switch {
	case err != nil:
		return nil, nil, err
	case permit == nil:
		return nil, nil, context.Cause(ctx)
	}
	h := &holder{key: key, permit: permit}
	return context.WithValue(ctx, holderKey{}, h), permit.Release, nil
}

type holderKey struct{}

// A holder has the permit that Wait got.
type holder struct {
	key    string
	permit *throttle.Permit
	used   atomic.Bool
}

// held returns the permit that Wait got for a request; nil if there is none.
func (t *Transport) held(ctx context.Context, key string) *throttle.Permit {
	h, ok := ctx.Value(holderKey{}).(*holder)
	if !ok || h.key != key || h.used.Swap(true) {
		return nil
	}
	return h.permit
}

// acquire returns the permit to send a request with, or nil if its context ended first. Fresh says
// that the request was not sent yet.
func (t *Transport) acquire(
	ctx context.Context, key string, size int64, fresh bool,
) (*throttle.Permit, error) {
	trace, _ := ctx.Value(traceKey{}).(*Trace)
	u := t.base.Upstream(key)
	var place uint64
	if trace != nil {
		place = trace.placeOf(&t.arrivals)
	} else {
		place = t.arrivals.Add(1)
	}
	if t.empty(key) {
		if p, ok := u.TryAcquire(1); ok {
			t.mu.Lock()
			t.queueLocked(key).given = time.Now()
			t.mu.Unlock()
			return p, nil
		}
	}
	c := &call{
		place: place,
		fresh: fresh,
		size:  size,
		since: time.Now(),
		turn:  make(chan turn, 1),
	}
	c.behind, _ = ctx.Value(behindKey{}).(bool)
	var before throttle.Waited
	if trace != nil {
		before = u.Stats().Waited
	}
	got := t.wait(ctx, key, clientOf(ctx, trace), c)
	if trace != nil {
		if got.permit == nil {
			got.waited = u.Stats().Waited
		}
		trace.queued(time.Since(c.since), before, got.waited)
	}
	return got.permit, got.err
}

// empty reports whether nothing waits for an upstream.
func (t *Transport) empty(key string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	q := t.mu.queues[key]
	return q == nil || q.waiting() == 0
}

// wait returns what c got in its turn: nothing if ctx ended first.
func (t *Transport) wait(ctx context.Context, key, client string, c *call) turn {
	t.mu.Lock()
	q := t.queueLocked(key)
	q.push(client, c)
	if q.cancel == nil {
		var dispatch context.Context
		dispatch, q.cancel = context.WithCancel(context.Background())
		go t.dispatch(dispatch, key, q)
	}
	t.mu.Unlock()

	var got turn
	select {
	case got = <-c.turn:
		if got.permit == nil || ctx.Err() == nil {
			return got
		}
	case <-ctx.Done():
		t.mu.Lock()
		if c.waits() {
			q.remove(c)
			if q.waiting() == 0 {
				q.cancel() // its turn is wanted no more
			}
			t.mu.Unlock()
			return turn{}
		}
		t.mu.Unlock()
		got = <-c.turn
	}
	if got.permit != nil {
		t.passOn(q, got)
	}
	return turn{err: got.err}
}
