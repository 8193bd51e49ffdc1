package fair

import (
	"context"
	"errors"
	"time"

	"github.com/penstock/penstock/throttle"
)

// ErrLeft is the error of a request that has left the queue before its turn.
var ErrLeft = errors.New("fair: the request has left the queue")

// A Place is that of one request in the queue of an upstream.
type Place struct {
	t        *Transport
	upstream *throttle.Upstream
	queue    *queue
	call     call
	key      string
	trace    *Trace
	before   throttle.Waited // the upstream's account, by then
}

// Join is [Transport.Wait] for a caller that waits in its own way, such as in a Read of its
// client's connection: it returns at once. Wake is called when the turn has come, or will not come,
// with a lock held: it must only wake a waiter. In any case Leave must be called in the end. The
// end of ctx is for the caller to notice.
func (t *Transport) Join(ctx context.Context, key string, size int64, wake func()) *Place {
	return t.join(ctx, key, size, true, wake)
}

// Leave returns the request's turn if that has come. Otherwise the request waits no more, and the
// error is ErrLeft, or what all got that waited, as from [Transport.Wait].
func (p *Place) Leave() (*Turn, error) {
	got := p.leave()
	p.record(got)
	switch {
	case got.err != nil:
		return nil, got.err
	case got.permit == nil:
		return nil, ErrLeft
	}
	return &Turn{key: p.key, permit: got.permit}, nil
}

func (t *Transport) join(
	ctx context.Context, key string, size int64, fresh bool, wake func(),
) *Place {
	p := &Place{t: t, upstream: t.base.Upstream(key), key: key}
	p.trace, _ = ctx.Value(traceKey{}).(*Trace)
	p.call = call{
		place: t.arrive(p.trace),
		fresh: fresh,
		size:  size,
		since: time.Now(),
		turn:  make(chan turn, 1),
		wake:  wake,
	}
	p.call.behind, _ = ctx.Value(behindKey{}).(bool)
	if p.trace != nil {
		p.before = p.upstream.Stats().Waited
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	p.queue = t.queueLocked(key)
	p.queue.push(clientOf(ctx, p.trace), &p.call)
	if p.queue.cancel == nil {
		var dispatch context.Context
		dispatch, p.queue.cancel = p.queue.context()
		go t.dispatch(dispatch, key, p.queue)
	}
	return p
}

// wait returns what the request got in its turn: nothing if ctx ended first.
func (p *Place) wait(ctx context.Context) (got turn) {
	defer func() { p.record(got) }()
	select {
	case got = <-p.call.turn:
		if got.permit == nil || ctx.Err() == nil {
			return got
		}
	case <-ctx.Done():
		got = p.leave()
	}
	if got.permit != nil {
		p.t.passOn(p.queue, got)
	}
	return turn{err: got.err}
}

// leave takes the request out of the queue, and returns what it got in its turn if that was before.
func (p *Place) leave() turn {
	p.t.mu.Lock()
	if !p.call.waits() {
		p.t.mu.Unlock()
		return <-p.call.turn
	}
	defer p.t.mu.Unlock()
	p.queue.remove(&p.call)
	if p.queue.waiting() == 0 {
		p.queue.cancel() // its turn is wanted no more
	}
	return turn{}
}

// record notes the wait in the trace.
func (p *Place) record(got turn) {
	if p.trace == nil {
		return
	}
	if got.permit == nil {
		got.waited = p.upstream.Stats().Waited
	}
	p.trace.queued(time.Since(p.call.since), p.before, got.waited)
}
