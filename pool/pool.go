package pool

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// maxQueue bounds the tasks that are accepted and not started. The queue has only to bridge the
// time that a submitter takes to wake up; each place more makes Drain's first stage longer.
const maxQueue = 64

// A Pool calls one function for many tasks, in a number of goroutines that can change while it
// works. With n workers at most n tasks run and at most min(n, 64) more are queued. Submit blocks
// while the queue is full.
//
// A Pool is made by New and ended by Drain. Its methods may be called from several goroutines at
// once; it must not be copied. The zero value has no function to call: Submit returns an error, and
// the other methods have nothing to do.
type Pool[T any] struct {
	// Failed, if not nil, is called once for each task whose function returned an error, panicked
	// (a *PanicError) or called runtime.Goexit, and for each task that was accepted and never run
	// (ErrNotStarted). If nil, errors are only counted.
	//
	// It is called by the workers, so by several at once, and its task has not ended for Wait,
	// Drain and Stats until it returns. A panic in it is recovered; Drain returns the first one.
	// Set it before the first Submit.
	Failed func(task T, err error)

	do     func(context.Context, T) error
	ctx    context.Context // the tasks' context
	cancel context.CancelCauseFunc
	ended  chan struct{} // closed when the last worker has left
	// of *waiter[T], so that a Submit that waits need not allocate; the pool's own, to stay in its
	// synctest bubble
	spare sync.Pool

	mu sync.Mutex // protects all that follows

	size    int // workers wanted
	workers int // workers there are
	busy    int // of these, those with a task
	idle    int // of these, those in wakeup.Wait
	wakeup  sync.Cond
	waking  bool // an idle worker was signalled and has not come back yet

	queue  [maxQueue]T // a ring: queued tasks from head on
	head   int
	queued int
	taken  int64 // tasks that have left the queue; a task's number is the count that includes it

	waiters waiter[T] // the root of a ring of submitters that wait for a place in the queue
	waiting int       // how many

	barriers []*barrier
	draining bool
	// why tasks that are queued do not start any more: the cause of Discard, or why Drain stopped
	// waiting
	cut error

	done, failed, panicked, notStarted int64

	first, handler error // the first error of a task, the first panic of Failed
}

// A waiter is one Submit that waits.
type waiter[T any] struct {
	task       T
	answer     chan error // has room for the one answer, so that giving it never blocks
	next, prev *waiter[T] // nil when not in the ring
}

// A barrier is one Wait that waits: for the tasks with numbers up to upTo, of which left have not
// ended.
type barrier struct {
	upTo int64
	left int
	open chan struct{}
}

// New returns a pool of workers goroutines that call do for each submitted task. Fewer than one
// worker is taken as one; with a nil do, each Submit returns an error.
//
// The context that do gets is the pool's, not the submitter's. It has no values and no deadline. It
// is cancelled when the context of a Drain ends too early, with that one's cause, and when all is
// over.
//
// The goroutines stay until Drain, so each New needs one.
func New[T any](workers int, do func(context.Context, T) error) *Pool[T] {
	p := &Pool[T]{do: do, ended: make(chan struct{})}
	p.ctx, p.cancel = context.WithCancelCause(context.Background())
	p.wakeup.L = &p.mu
	p.waiters.next, p.waiters.prev = &p.waiters, &p.waiters
	p.spare.New = func() any { return &waiter[T]{answer: make(chan error, 1)} }
	p.Resize(workers)
	return p
}

// Submit hands in a task and returns nil once it is accepted, which is before it has run. It waits
// while all workers are busy and the queue is full. When ctx ends first, or has ended already,
// Submit returns an error that wraps its cause; when Drain or Discard begins first, or has begun
// already, it returns ErrDraining. The task is then not accepted and never run.
//
// ctx bounds only the wait: once accepted, the task does not end with it.
func (p *Pool[T]) Submit(ctx context.Context, task T) error {
	if p.do == nil {
		return errNoFunc
	}
	if ctx.Err() != nil {
		return fmt.Errorf("pool: task not submitted: %w", context.Cause(ctx))
	}
	p.mu.Lock()
	if p.draining {
		p.mu.Unlock()
		return ErrDraining
	}
	if p.hasRoomLocked() { // so no caller waits: admitLocked is called wherever room is made
		p.pushLocked(task)
		p.mu.Unlock()
		return nil
	}
	w := p.spare.Get().(*waiter[T])
	w.task = task
	p.linkLocked(w)
	p.mu.Unlock()

	var err error
	select {
	case err = <-w.answer:
	case <-ctx.Done():
		p.mu.Lock()
		waits := w.next != nil
		if waits {
			p.unlinkLocked(w)
		}
		p.mu.Unlock()
		if waits {
			err = fmt.Errorf("pool: task not submitted: %w", context.Cause(ctx))
		} else {
			err = <-w.answer // it came first: the task may be running
		}
	}
	p.spare.Put(w)
	return err
}

// Resize changes the number of workers; less than one is taken as one. More workers start at once.
// When there are too many, each leaves as its task ends, so until then Stats shows more of them
// than n. The bound of the queue follows n.
func (p *Pool[T]) Resize(n int) {
	if p.do == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.size = max(n, 1)
	if p.workers > p.size {
		p.wakeup.Broadcast() // the idle ones: some leave, the others look at the queue again
	}
	// A draining pool whose queue is empty has no use for more, and may have ended.
	for p.workers < p.size && !(p.draining && p.queued == 0) {
		p.workers++
		go p.work(result{})
	}
	p.admitLocked()
}

// Wait waits until every task that was accepted before the call has ended, and Failed has returned
// for those that failed. Tasks accepted meanwhile do not make it longer. It returns nil then,
// however they ended, or when ctx ends first an error that wraps its cause. The pool stays open.
func (p *Pool[T]) Wait(ctx context.Context) error {
	p.mu.Lock()
	b := &barrier{upTo: p.taken + int64(p.queued), left: p.busy + p.queued, open: make(chan struct{})}
	if b.left == 0 {
		p.mu.Unlock()
		return nil
	}
	p.barriers = append(p.barriers, b)
	p.mu.Unlock()

	select {
	case <-b.open:
		return nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if b.left == 0 {
		return nil
	}
	p.barriers = slices.DeleteFunc(p.barriers, func(other *barrier) bool { return other == b })
	return fmt.Errorf("pool: wait given up with %d tasks not ended: %w", b.left, context.Cause(ctx))
}

// Discard begins the end of the pool: Submit takes no more tasks, and those that are queued are not
// run but handed to Failed, with an error that wraps [ErrNotStarted] and cause. Tasks that run are
// left to finish. It returns at once; Drain then waits for the rest.
//
// A program that is interrupted calls it to learn which tasks were never begun. Drain alone runs
// them, or with an ended context cancels also those that run.
func (p *Pool[T]) Discard(cause error) {
	if p.do == nil {
		return
	}
	if cause == nil {
		cause = errDiscarded
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut == nil && p.queued > 0 {
		p.cut = cause
	}
	p.closeLocked()
}

// closeLocked ends the taking of tasks.
func (p *Pool[T]) closeLocked() {
	p.draining = true
	for p.waiting > 0 {
		w := p.waiters.next
		p.unlinkLocked(w)
		w.answer <- ErrDraining
	}
	p.wakeup.Broadcast() // the idle ones can leave
}

// Drain ends the pool, in two stages. First, Submit accepts no more tasks, not even those of calls
// that wait, and all that were accepted run to their end. When ctx ends before that, the second
// stage cancels the tasks' context with the cause of ctx, and hands queued tasks to Failed with
// ErrNotStarted. In both stages Drain returns when the last task has, and the workers have left;
// nothing of the pool runs after it.
//
// It returns nil if every task that the pool ever accepted was run without failing, else an *Error
// with the counts and the first failure. That tasks had to be cancelled is no failure if they
// nevertheless ended well.
//
// Drain may be called again, and at the same time: each call waits and returns the same, and any
// call's ctx can bring about the second stage. Drain with a context that has ended is an immediate
// stop.
func (p *Pool[T]) Drain(ctx context.Context) error {
	if p.do == nil {
		return nil
	}
	p.mu.Lock()
	p.closeLocked()
	p.mu.Unlock()

	select {
	case <-p.ended:
	case <-ctx.Done():
		p.mu.Lock()
		if p.cut == nil && p.busy+p.queued > 0 {
			p.cut = context.Cause(ctx)
		}
		p.mu.Unlock()
		p.cancel(context.Cause(ctx))
		<-p.ended
	}
	p.cancel(nil) // lets go of what tasks may have hung on their context

	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed+p.notStarted == 0 {
		return nil
	}
	return &Error{
		Accepted: p.taken, Failed: p.failed, NotStarted: p.notStarted,
		First: p.first, Cause: p.cut, handler: p.handler,
	}
}

// Stats are a pool's counts at one instant. Queued + Busy + Done + NotStarted is the number of
// accepted tasks.
type Stats struct {
	Workers    int   // goroutines, those that are to leave after their task included
	Busy       int   // tasks that run now, or whose error is with Failed now
	Queued     int   // tasks accepted and not started
	Waiting    int   // calls of Submit that wait
	Done       int64 // tasks that ran and ended, well or not
	Failed     int64 // of Done, those that failed
	Panicked   int64 // of Failed, those that panicked
	NotStarted int64 // tasks accepted and handed to Failed instead of run
}

// Stats returns the counts, all of the same instant.
func (p *Pool[T]) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{
		Workers: p.workers, Busy: p.busy, Queued: p.queued, Waiting: p.waiting,
		Done: p.done, Failed: p.failed, Panicked: p.panicked, NotStarted: p.notStarted,
	}
}

func (p *Pool[T]) hasRoomLocked() bool { return p.queued < min(p.size, maxQueue) }

func (p *Pool[T]) pushLocked(task T) {
	p.queue[(p.head+p.queued)%maxQueue] = task
	p.queued++
	p.wakeLocked()
}

// admitLocked queues the tasks of waiting callers while there is room. To wake them instead, so
// that they try again, would lose their order, and could lose a wake-up.
func (p *Pool[T]) admitLocked() {
	for p.waiting > 0 && p.hasRoomLocked() {
		w := p.waiters.next
		p.pushLocked(p.unlinkLocked(w))
		w.answer <- nil
	}
}

func (p *Pool[T]) linkLocked(w *waiter[T]) {
	w.next, w.prev = &p.waiters, p.waiters.prev
	w.prev.next, w.next.prev = w, w
	p.waiting++
}

// unlinkLocked takes w out of the ring, and its task out of w, which must not keep it alive.
func (p *Pool[T]) unlinkLocked(w *waiter[T]) T {
	var none T
	task := w.task
	w.task = none
	w.prev.next, w.next.prev = w.next, w.prev
	w.next, w.prev = nil, nil
	p.waiting--
	return task
}
