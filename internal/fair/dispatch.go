package fair

import (
	"context"
	"time"

	"github.com/penstock/penstock/internal/standing"
	"github.com/penstock/penstock/throttle"
)

// mostIdle is how many upstreams for which nothing waits are remembered. What is lost is when the
// last token was given out.
const mostIdle = 1024

// A queue is what waits for one upstream. Transport.mu protects it, and all of its methods require
// that it is held.
type queue struct {
	classes
	cancel context.CancelFunc // ends the dispatcher's wait; nil: there is no dispatcher
	given  time.Time          // when a permit was given out last
	pace   pace
}

// queueLocked returns the queue of an upstream. It requires that mu is held.
func (t *Transport) queueLocked(key string) *queue {
	q := t.mu.queues[key]
	if q == nil {
		if len(t.mu.queues) >= mostIdle {
			for k, q := range t.mu.queues {
				if q.cancel == nil {
					delete(t.mu.queues, k)
				}
			}
		}
		q = new(queue)
		t.mu.queues[key] = q
	}
	return q
}

// dispatch gives out turns for as long as calls wait. It gets a permit first and chooses then: a
// call that comes while it waits for the permit is not too late.
func (t *Transport) dispatch(ctx context.Context, key string, q *queue) {
	for ctx != nil {
		u := t.base.Upstream(key)
		permit, err := u.Acquire(ctx, 1)
		if err != nil {
			ctx = t.failed(ctx, q, err)
			continue
		}
		ctx = t.acquired(ctx, q, permit, u.Stats())
	}
}

// acquired gives the turn that was waited for with ctx to a call. It returns the context to wait
// with for the next, or nil if there is none to wait for.
func (t *Transport) acquired(ctx context.Context, q *queue, permit *throttle.Permit,
	s throttle.UpstreamStats) context.Context {

	now := time.Now()
	t.mu.Lock()
	q.given = now
	q.pace.add(now, s)
	given := q.give(turn{
		permit: permit,
		waited: s.Waited,
		probe:  s.Phase == throttle.PhaseDown || s.Phase == throttle.PhaseHoldingBack,
	})
	next := q.next(ctx)
	t.mu.Unlock()
	if !given { // all calls have left
		permit.Release()
	}
	return next
}

// failed is acquired for a wait that has failed.
func (t *Transport) failed(ctx context.Context, q *queue, err error) context.Context {
	t.mu.Lock()
	defer t.mu.Unlock()
	if ctx.Err() == nil { // else all calls had left, and what waits now has come since
		for q.give(turn{err: err}) {
		}
	}
	return q.next(ctx)
}

// passOn gives a turn to another call if one waits.
func (t *Transport) passOn(q *queue, got turn) {
	t.mu.Lock()
	given := q.give(got)
	if given && q.waiting() == 0 {
		q.cancel()
	}
	t.mu.Unlock()
	if !given {
		got.permit.Release()
	}
}

// give gives a turn to the call that is next. It reports false if none waits.
func (q *queue) give(got turn) bool {
	c := q.take(got.probe)
	if c == nil {
		return false
	}
	c.turn <- got
	if c.wake != nil {
		c.wake()
	}
	return true
}

// next returns the context for the dispatcher's next wait, after one with ctx, or nil if the
// dispatcher is to end.
func (q *queue) next(ctx context.Context) context.Context {
	if q.waiting() > 0 && ctx.Err() == nil {
		return ctx
	}
	q.cancel()
	q.cancel, q.pace = nil, pace{}
	if q.waiting() == 0 {
		return nil
	}
	ctx, q.cancel = q.context()
	return ctx
}

// context returns one for the dispatcher, and what ends it. It says below how many calls wait.
func (q *queue) context() (context.Context, context.CancelFunc) {
	return context.WithCancel(
		context.WithValue(context.Background(), standing.CrowdKey{}, &q.crowd))
}
