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

// Wait waits for the turn of a request before there is one to send. So a server may have clients
// wait before it has made their requests. Size is the length of the body, as far as it is known.
// Its errors are those of RoundTrip while a request waits.
func (t *Transport) Wait(ctx context.Context, key string, size int64) (*Turn, error) {
	permit, err := t.acquire(ctx, key, size, true)
	switch {
	case err != nil:
		return nil, err
	case permit == nil:
		return nil, context.Cause(ctx)
	}
	return &Turn{key: key, permit: permit}, nil
}

// A Turn is that of one request, which was waited for.
type Turn struct {
	key    string
	permit *throttle.Permit
	used   atomic.Bool
}

// Context returns a context that takes the turn: the first RoundTrip with it, to the upstream that
// the turn is of, does not wait.
func (t *Turn) Context(ctx context.Context) context.Context {
	return context.WithValue(ctx, turnKey{}, t)
}

// Release gives back a turn that was not taken. It must be called in the end.
func (t *Turn) Release() { t.permit.Release() }

type turnKey struct{}

// held returns the permit that a request has from Wait; nil if there is none.
func (t *Transport) held(ctx context.Context, key string) *throttle.Permit {
	h, ok := ctx.Value(turnKey{}).(*Turn)
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
	if t.empty(key) {
		if p, ok := t.base.Upstream(key).TryAcquire(1); ok {
			trace, _ := ctx.Value(traceKey{}).(*Trace)
			t.arrive(trace)
			t.mu.Lock()
			t.queueLocked(key).given = time.Now()
			t.mu.Unlock()
			return p, nil
		}
	}
	got := t.join(ctx, key, size, fresh, nil).wait(ctx)
	return got.permit, got.err
}

// arrive returns the place of a call's first arrival.
func (t *Transport) arrive(trace *Trace) uint64 {
	if trace != nil {
		return trace.placeOf(&t.arrivals)
	}
	return t.arrivals.Add(1)
}

// empty reports whether nothing waits for an upstream.
func (t *Transport) empty(key string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	q := t.mu.queues[key]
	return q == nil || q.waiting() == 0
}
