package pool

import (
	"fmt"
	"runtime/debug"
	"slices"
)

// A result is how a task ended. Its number is 0 if there was no task.
type result struct {
	number     int64
	err        error
	handler    error // a panic of Failed
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
		p.endLocked(last)
		last = result{} // an idle worker must not keep an error alive
		task, number := p.takeLocked()
		cut := p.cut
		p.mu.Unlock()
		if number == 0 {
			left = true
			return
		}
		last.number = number
		p.run(task, cut, &last)
	}
}

// run does one task. It writes to r and returns nothing, because a task that calls runtime.Goexit
// lets it return nothing.
func (p *Pool[T]) run(task T, cut error, r *result) {
	if cut != nil {
		r.notStarted = true
		r.err = fmt.Errorf("%w: %w", ErrNotStarted, cut)
		p.report(task, r)
		return
	}
	r.err = errGoexit // unless do returns or panics
	defer func() {
		if v := recover(); v != nil {
			r.panicked = true
			r.err = &PanicError{v, debug.Stack()}
		}
		if r.err != nil {
			p.report(task, r)
		}
	}()
	r.err = p.do(p.ctx, task)
}

func (p *Pool[T]) report(task T, r *result) {
	if p.Failed == nil {
		return
	}
	defer func() {
		if v := recover(); v != nil {
			r.handler = &PanicError{v, debug.Stack()}
		}
	}()
	p.Failed(task, r.err)
}

// endLocked accounts for a task that has ended.
func (p *Pool[T]) endLocked(r result) {
	if r.number == 0 {
		return
	}
	p.busy--
	switch {
	case r.notStarted:
		p.notStarted++
	case r.err != nil:
		p.done++
		p.failed++
		if r.panicked {
			p.panicked++
		}
		if p.first == nil {
			p.first = r.err
		}
	default:
		p.done++
	}
	if p.handler == nil {
		p.handler = r.handler
	}
	if len(p.barriers) == 0 {
		return
	}
	p.barriers = slices.DeleteFunc(p.barriers, func(b *barrier) bool {
		if r.number > b.upTo {
			return false
		}
		b.left--
		if b.left > 0 {
			return false
		}
		close(b.open)
		return true
	})
}

// takeLocked waits for the next task and returns it with its number, or the number 0 if the worker
// is to leave.
func (p *Pool[T]) takeLocked() (task T, number int64) {
	for {
		switch {
		case p.workers > p.size, p.draining && p.queued == 0:
			p.workers--
			if p.workers == 0 { // only when draining: size is never 0
				close(p.ended)
			}
			return task, 0
		case p.queued > 0:
			var none T
			task, p.queue[p.head] = p.queue[p.head], none // the ring must not keep it alive
			p.head = (p.head + 1) % maxQueue
			p.queued--
			p.busy++
			p.taken++
			p.admitLocked()
			p.wakeLocked()
			return task, p.taken
		}
		p.idle++
		p.wakeup.Wait()
		p.idle--
		p.waking = false
	}
}

// wakeLocked wakes one idle worker if there is work, and not a second one before the first has come
// back: that one wakes the next when work is left. So small tasks do not pay for waking a goroutine
// each, and large ones still get all workers.
func (p *Pool[T]) wakeLocked() {
	if p.queued > 0 && p.idle > 0 && !p.waking {
		p.waking = true
		p.wakeup.Signal()
	}
}
