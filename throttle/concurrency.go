package throttle

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// A Concurrency is a limit of how many hold a [Permit] at once. Callers that wait
// are served in the order in which they came.
//
// The limit may change while permits are out: raising it serves callers that wait
// at once, lowering it takes effect as permits come back. The count of permits
// never leaks and never goes below zero: a permit is given back once, however
// often and from wherever it is released.
//
// It is safe for concurrent use. Use [NewConcurrency]; it must not be copied.
type Concurrency struct {
	mu struct {
		sync.Mutex
		limit, held int
		queue       waitlist
	}
}

// ConcurrencyStats is a snapshot of a [Concurrency].
type ConcurrencyStats struct {
	Limit   int // as set
	Held    int // permits that are out
	Waiting int // callers that wait now
}

// NewConcurrency returns a limit of that many permits. With a limit of 0 or below that, all callers
// wait until it is raised; [math.MaxInt] is no limit.
func NewConcurrency(limit int) *Concurrency {
	c := &Concurrency{}
	c.mu.limit = limit
	return c
}

// Acquire blocks until a permit is free and takes it. The caller must release
// it. When ctx ends first, Acquire returns its cause (see [context.Cause]).
func (c *Concurrency) Acquire(ctx context.Context) (*Permit, error) {
	if err := c.acquire(ctx); err != nil {
		return nil, err
	}
	return &Permit{concurrency: c}, nil
}

// SetLimit sets the limit, read as that of [NewConcurrency].
func (c *Concurrency) SetLimit(limit int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.limit = limit
	c.serveLocked()
}

// Stats returns a snapshot.
func (c *Concurrency) Stats() ConcurrencyStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return ConcurrencyStats{Limit: c.mu.limit, Held: c.mu.held, Waiting: c.mu.queue.len}
}

// takeLocked requires that mu is held.
func (c *Concurrency) takeLocked() bool {
	if c.mu.queue.first != nil || c.mu.held >= c.mu.limit {
		return false
	}
	c.mu.held++
	return true
}

func (c *Concurrency) acquire(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	c.mu.Lock()
	if c.takeLocked() {
		c.mu.Unlock()
		return nil
	}
	w := c.mu.queue.get(1)
	c.mu.queue.push(w)
	c.mu.Unlock()
	defer c.mu.queue.put(w)
	for w.state.Load() == queued {
		if w.park(ctx) && c.leave(w) {
			return context.Cause(ctx)
		}
	}
	return nil
}

// leave takes w out of the queue, unless it was served before.
func (c *Concurrency) leave(w *waiter) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w.state.Load() != queued {
		return false
	}
	c.mu.queue.remove(w)
	return true
}

func (c *Concurrency) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.held--
	c.serveLocked()
}

// serveLocked hands out free permits. It requires that mu is held.
func (c *Concurrency) serveLocked() {
	for w := c.mu.queue.first; w != nil && c.mu.held < c.mu.limit; w = c.mu.queue.first {
		c.mu.held++
		c.mu.queue.remove(w)
		w.set(granted)
	}
}

// A Permit is the right to have one request in flight. End it once with
// [Permit.Done] or [Permit.Release]; later calls do nothing. It is safe for
// concurrent use.
type Permit struct {
	concurrency *Concurrency // if nil, from an Upstream
	upstream    *Upstream
	token       time.Time // when the latest was given out
	ticket      ticket
	landed      bool // it has no place in flight any more
	told, ended atomic.Bool
}

// Release gives the permit back and reports nothing about how the request went. An
// [Upstream] whose limits are to be found begins with one request at a time, and
// stays there if every permit ends so.
func (p *Permit) Release() { p.Done(Feedback{}) }

// Done gives the permit back and reports to its [Upstream], if it has one, how the
// request went. Of a [Feedback] at least the Outcome is needed: without one Done is
// the same as Release.
func (p *Permit) Done(f Feedback) {
	if p.ended.Swap(true) {
		return
	}
	if p.upstream == nil {
		p.concurrency.release()
		return
	}
	p.tell(f) // before the next request goes, which it may hold up
	if !p.landed {
		p.upstream.landed()
	}
}

// tell reports to the upstream how the request went, which still holds its permit. Only the first
// call counts.
func (p *Permit) tell(f Feedback) (n news) {
	if p.told.Swap(true) {
		return n
	}
	return p.upstream.feed(p.ticket, f)
}
