package pool

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
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
	// OnError, if not nil, is called once for each task whose function returned an error, panicked
	// (a *PanicError) or called runtime.Goexit, and for each task that was accepted and never run
	// (ErrNotStarted). After a stop that may be many calls for one reason: errors.Is(err, cause) is
	// true of each, where cause is that of Discard or of the end of Drain's context. If nil, errors
	// are only counted.
	//
	// Observe, if not nil, is called once for each task, after OnError, with the same error or nil,
	// the time from its acceptance to its start, and the time that its function took, which is zero
	// if it was never run.
	//
	// Both are called by the workers, so by several at once, and their task has not ended for Wait,
	// Drain and Stats until they return. A panic in them ends the program. Set them before the
	// first Submit.
	OnError func(task T, err error)
	Observe func(task T, err error, queued, ran time.Duration)

	do     func(context.Context, T) error
	ctx    context.Context // that all tasks' contexts end with
	cancel context.CancelCauseFunc
	made   time.Time     // origin of the instants for Observe
	ended  chan struct{} // closed when draining and no worker is left
	// of *waiter[T], so that a Submit that waits need not allocate; the pool's own, to stay in its
	// synctest bubble
	spare sync.Pool

	mu sync.Mutex // protects all that follows

	size    int // workers at most
	workers int // workers there are
	busy    int // of these, those with a task
	idle    int // of these, those in wakeup.Wait
	wakeup  sync.Cond
	coming  bool // a worker was started or signalled and has not looked at the queue yet

	queue  [maxQueue]entry[T] // a ring: queued tasks from head on
	head   int
	queued int
	taken  int64 // tasks that have left the queue; a task's number is the count that includes it

	waiters  []*waiter[T] // submitters that wait for a place in the queue
	barriers []*barrier
	last     *taskContext // of the last Submit; never nil, but its values may be
	draining bool
	// why tasks that are queued do not start any more: the cause of Discard, or why Drain stopped
	// waiting
	cut error

	done, failed, panicked, notStarted int64

	first error // of a task
}

// An entry is a task with what belongs to it.
type entry[T any] struct {
	task     T
	ctx      *taskContext
	accepted time.Duration // when; zero without Observe
}

// A waiter is one Submit that waits.
type waiter[T any] struct {
	entry[T]
	answer chan error // has room for the one answer, so that giving it never blocks
}

// A barrier is one Wait that waits: for the tasks with numbers up to upTo, of which left have not
// ended.
type barrier struct {
	upTo int64
	left int
	open chan struct{}
}

// New returns a pool of at most so many workers, goroutines that call do for each submitted task.
// Fewer than one is taken as one; with a nil do, each Submit returns an error.
//
// A worker is started when there is a task for it and all others are busy. It stays until Drain, or
// until Resize makes it one too many. So a pool that was never used needs no Drain.
//
// The context that do gets has the values of the one given to Submit, for a logger or a trace, but
// neither its deadline nor its end: what cancels it is the end of the context of a Drain, with that
// one's cause, and the end of the pool.
func New[T any](workers int, do func(context.Context, T) error) *Pool[T] {
	p := &Pool[T]{do: do, size: max(workers, 1), made: time.Now(), ended: make(chan struct{})}
	p.ctx, p.cancel = context.WithCancelCause(context.Background())
	p.last = new(taskContext)
	p.wakeup.L = &p.mu
	p.spare.New = func() any { return &waiter[T]{answer: make(chan error, 1)} }
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
	c := p.last
	if c.values != ctx {
		c = p.newContextLocked(ctx)
	}
	if p.hasRoomLocked() { // so no caller waits: admitLocked is called wherever room is made
		p.pushLocked(task, c)
		p.mu.Unlock()
		return nil
	}
	w := p.spare.Get().(*waiter[T])
	w.task, w.ctx = task, c
	p.waiters = append(p.waiters, w)
	p.mu.Unlock()

	var err error
	select {
	case err = <-w.answer:
	case <-ctx.Done():
		p.mu.Lock()
		if i := slices.Index(p.waiters, w); i >= 0 {
			p.removeLocked(i)
			w.answer <- fmt.Errorf("pool: task not submitted: %w", context.Cause(ctx))
		}
		p.mu.Unlock()
		err = <-w.answer // if another one came first, the task may be running
	}
	p.spare.Put(w)
	return err
}

// Resize changes how many workers there may be; less than one is taken as one. It acts at once: the
// tasks that are queued start, as far as there are workers now. When there are too many, the idle
// ones leave, and then each whose task ends, so until then Stats shows more than n. The bound of
// the queue follows n.
func (p *Pool[T]) Resize(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.size = max(n, 1)
	if p.workers > p.size {
		p.wakeup.Broadcast() // the idle ones: some leave, the others look at the queue again
	}
	p.wakeLocked()
	p.admitLocked()
}

// Wait waits until every task that was accepted before the call has ended, and OnError has returned
// for those that failed. Tasks accepted meanwhile do not make it longer. It returns nil then,
// however they ended, or when ctx ends first an error that wraps its cause. The pool stays open.
func (p *Pool[T]) Wait(ctx context.Context) error {
	p.mu.Lock()
	b := &barrier{p.taken + int64(p.queued), p.busy + p.queued, make(chan struct{})}
	if b.left == 0 {
		close(b.open)
	} else {
		p.barriers = append(p.barriers, b)
	}
	p.mu.Unlock()

	select {
	case <-b.open:
	case <-ctx.Done():
		p.mu.Lock()
		defer p.mu.Unlock()
		if i := slices.Index(p.barriers, b); i >= 0 {
			p.barriers = slices.Delete(p.barriers, i, i+1)
			return fmt.Errorf("pool: wait given up with %d tasks not ended: %w", b.left,
				context.Cause(ctx))
		}
	}
	return nil
}

// Discard begins the end of the pool: Submit takes no more tasks, and those that are queued are not
// run but handed to OnError, with an error that wraps [ErrNotStarted] and cause. Tasks that run are
// left to finish. It returns at once; Drain then waits for the rest.
//
// A program that is interrupted calls it to learn which tasks were never begun. Drain without
// Discard runs the queued tasks; with an ended context it hands them back as well, but also cancels
// the running ones.
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

// Drain ends the pool, in two stages. First, Submit accepts no more tasks, not even those of calls
// that wait, and all that were accepted run to their end. When ctx ends before that, the second
// stage cancels the tasks' contexts with the cause of ctx, and hands queued tasks to OnError with
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
	p.cancel(nil) // lets go of what tasks may have hung on their contexts

	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = new(taskContext)
	if p.failed+p.notStarted == 0 {
		return nil
	}
	return &Error{p.taken, p.failed, p.notStarted, p.first, p.cut}
}

// closeLocked ends the taking of tasks.
func (p *Pool[T]) closeLocked() {
	if !p.draining && p.workers == 0 {
		close(p.ended)
	}
	p.draining = true
	for len(p.waiters) > 0 {
		w := p.waiters[0]
		p.removeLocked(0)
		w.answer <- ErrDraining
	}
	p.wakeup.Broadcast() // the idle ones can leave
}

func (p *Pool[T]) hasRoomLocked() bool { return p.queued < min(p.size, maxQueue) }

func (p *Pool[T]) pushLocked(task T, ctx *taskContext) {
	p.queue[(p.head+p.queued)%maxQueue] = entry[T]{task, ctx, p.now()}
	p.queued++
	p.wakeLocked()
}

// admitLocked queues the tasks of waiting callers while there is room. To wake them instead, so
// that they try again, would lose their order, and could lose a wake-up.
func (p *Pool[T]) admitLocked() {
	for len(p.waiters) > 0 && p.hasRoomLocked() {
		w := p.waiters[0]
		p.pushLocked(w.task, w.ctx)
		p.removeLocked(0)
		w.answer <- nil
	}
}

// removeLocked takes a waiter out of the line, and its task out of it, which it must not keep
// alive.
func (p *Pool[T]) removeLocked(i int) {
	p.waiters[i].entry = entry[T]{}
	p.waiters = slices.Delete(p.waiters, i, i+1)
}
