package pool

import (
	"context"
	"fmt"
	"reflect"
	"runtime/debug"
	"slices"
	"time"
)

// A taskContext ends with the pool and has the values of a submitter's context.
type taskContext struct {
	context.Context // the pool's
	values          context.Context
}

// Value asks the pool's context first. It has no values but the one by which package context finds
// what ends a context, and that must not be the submitter's.
func (c *taskContext) Value(key any) any {
	if v := c.Context.Value(key); v != nil {
		return v
	}
	return c.values.Value(key)
}

// newContextLocked returns the context of a task, and keeps it for the next one: most tasks come
// from a loop that submits with one context, and then share it.
func (p *Pool[T]) newContextLocked(ctx context.Context) *taskContext {
	if c, ok := ctx.(*taskContext); ok && c.Context == p.ctx {
		return c // of a task that submits another: without this a chain of them would have no end
	}
	c := &taskContext{p.ctx, ctx}
	if reflect.ValueOf(ctx).Comparable() { // else == might panic
		p.last = c
	}
	return c
}

// A result is how a task ended. Its number is 0 if there was no task.
type result struct {
	number     int64
	err        error
	panicked   bool
	notStarted bool
}

// work is one worker. last is how the task of the goroutine that it replaces ended.
func (p *Pool[T]) work(last result) {
	left := false
	defer func() {
		if !left {
			go p.work(last) // runtime.Goexit ended this goroutine, but not the worker
		}
	}()
	for {
		// One critical section a task: taking the lock twice would cost as much as all the rest.
		p.mu.Lock()
		p.endLocked(&last)
		last = result{} // an idle worker must not keep an error alive
		var e entry[T]
		number := p.takeLocked(&e)
		cut := p.cut
		p.mu.Unlock()
		if number == 0 {
			left = true
			return
		}
		last.number = number
		p.run(&e, cut, &last)
	}
}

// run does one task. It writes to r and returns nothing, because a task that calls runtime.Goexit
// lets it return nothing.
func (p *Pool[T]) run(e *entry[T], cut error, r *result) {
	began := p.now()
	if cut != nil {
		r.notStarted, r.err = true, fmt.Errorf("%w: %w", ErrNotStarted, cut)
		p.report(e, r.err, began, began)
		return
	}
	r.err = errGoexit // unless do returns or panics
	defer func() {
		ended := p.now()
		if v := recover(); v != nil {
			r.panicked = true
			r.err = &PanicError{v, debug.Stack()}
		}
		if r.err != nil || p.Observe != nil {
			p.report(e, r.err, began, ended)
		}
	}()
	r.err = p.do(e.ctx, e.task)
}

func (p *Pool[T]) report(e *entry[T], err error, began, ended time.Duration) {
	if err != nil && p.OnError != nil {
		p.OnError(e.task, err)
	}
	if p.Observe != nil {
		p.Observe(e.task, err, began-e.accepted, ended-began)
	}
}

// now is for Observe, and asks no clock without it.
func (p *Pool[T]) now() time.Duration {
	if p.Observe == nil {
		return 0
	}
	return time.Since(p.made)
}

// endLocked accounts for a task that has ended. A worker that has had none is one that was started.
func (p *Pool[T]) endLocked(r *result) {
	if r.number == 0 {
		p.coming = false
		return
	}
	p.busy--
	if r.notStarted {
		p.notStarted++
	} else if p.done++; r.err != nil {
		p.failed++
		if r.panicked {
			p.panicked++
		}
		if p.first == nil {
			p.first = r.err
		}
	}
	p.barriers = slices.DeleteFunc(p.barriers, func(b *barrier) bool {
		if r.number > b.upTo {
			return false
		}
		b.left--
		if b.left == 0 {
			close(b.open)
		}
		return b.left == 0
	})
}

// takeLocked waits for the next task, puts it into e and returns its number, or 0 if the worker is
// to leave.
func (p *Pool[T]) takeLocked(e *entry[T]) (number int64) {
	for {
		switch {
		case p.workers > p.size, p.draining && p.queued == 0:
			p.workers--
			if p.draining && p.workers == 0 {
				close(p.ended)
			}
			return 0
		case p.queued > 0:
			*e = p.queue[p.head]
			p.queue[p.head] = entry[T]{} // the ring must not keep it alive
			p.head = (p.head + 1) % maxQueue
			p.queued--
			p.busy++
			p.taken++
			p.admitLocked()
			p.wakeLocked()
			return p.taken
		}
		p.idle++
		p.wakeup.Wait()
		p.idle--
		p.coming = false
	}
}

// wakeLocked brings a worker if there is work, an idle one or a new one, and not a second one
// before the first has come: that one brings the next when work is left. So small tasks do not pay
// for waking a goroutine each, and large ones still get all workers.
func (p *Pool[T]) wakeLocked() {
	switch {
	case p.queued == 0 || p.coming:
	case p.idle > 0:
		p.coming = true
		p.wakeup.Signal()
	case p.workers < p.size:
		p.coming = true
		p.workers++
		go p.work(result{})
	}
}
