package fair

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/throttle"
)

type clientKey struct{}

// WithClient returns a context whose requests belong to the client of that name. Requests without a
// client belong to one whose name is empty.
func WithClient(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, clientKey{}, name)
}

// clientOf returns the client of a request.
func clientOf(ctx context.Context, t *Trace) string {
	if t != nil && t.Client != "" {
		return t.Client
	}
	client, _ := ctx.Value(clientKey{}).(string)
	return client
}

type traceKey struct{}

// A Trace records how one call fares: a request with all that is sent of it, retries and redirects
// included. However often it comes, a call with a Trace goes before those of its client that first
// came after it; without one, each attempt is a call of its own and goes behind those that came
// meanwhile. The zero value is ready. It is safe for concurrent use.
type Trace struct {
	// Client is the name of the client that the call is of, set before the Trace is used. If empty,
	// that of the context counts.
	Client string

	mu    sync.Mutex
	place uint64 // 0: it has not come yet
	times Times
}

// Times is where the time of a call went, up to now.
type Times struct {
	// Queue is how long its attempts have waited in the queue, those that ended there included, and
	// Waited how long of that each limit held up the queue. A wait that is not over does not count.
	Queue  time.Duration
	Waited throttle.Waited

	Attempts int           // handed to the transport below
	Upstream time.Duration // for these, until the answer's head was there or they had failed
}

// WithTrace returns a context for one call, of which t records how it fares.
func WithTrace(ctx context.Context, t *Trace) context.Context {
	return context.WithValue(ctx, traceKey{}, t)
}

// Times returns a snapshot.
func (t *Trace) Times() Times {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.times
}

// placeOf returns the call's place, which is the next of the arrivals if it has none.
func (t *Trace) placeOf(arrivals *atomic.Uint64) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.place == 0 {
		t.place = arrivals.Add(1)
	}
	return t.place
}

// Arrived gives a call its place now, before any of its requests has come.
func (t *Transport) Arrived(call *Trace) { call.placeOf(&t.arrivals) }

// queued adds a wait, which lies between two states of the upstream's account.
func (t *Trace) queued(d time.Duration, before, after throttle.Waited) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.times.Queue += d
	w := &t.times.Waited
	w.Rate += after.Rate - before.Rate
	w.Concurrency += after.Concurrency - before.Concurrency
	w.Bandwidth += after.Bandwidth - before.Bandwidth
	w.CoolDown += after.CoolDown - before.CoolDown
	w.Down += after.Down - before.Down
}

// sent adds an attempt.
func (t *Trace) sent(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.times.Attempts++
	t.times.Upstream += d
}
