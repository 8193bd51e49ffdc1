// Package queue makes calls that may block from a goroutine of its own, so that a stalled reader
// holds up nothing else. It is unbounded; its users check its length.
package queue

import (
	"context"
	"sync"
)

// A Queue runs functions one after another, in a goroutine that lasts as long as there are any. The
// zero value is ready.
type Queue struct {
	mu   sync.Mutex
	todo []task
	size int           // of the tasks that are not done, the one that runs included
	busy bool          // the goroutine exists
	less chan struct{} // closed when a task is done; nil while no caller waits for that
}

type task struct {
	size int // bytes that it holds in memory
	do   func()
}

// Add has do called, which holds size bytes in memory. It never blocks.
func (q *Queue) Add(size int, do func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.todo = append(q.todo, task{size, do})
	q.size += size
	if !q.busy {
		q.busy = true
		go q.run()
	}
}

func (q *Queue) run() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.todo) > 0 {
		next := q.todo[0]
		q.todo[0] = task{}
		q.todo = q.todo[1:]
		q.mu.Unlock()
		next.do()
		q.mu.Lock()
		q.size -= next.size
		q.busy = len(q.todo) > 0
		if q.less != nil {
			close(q.less)
			q.less = nil
		}
	}
	q.todo = nil
}

// Held returns how many bytes the functions hold that have not returned.
func (q *Queue) Held() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.size
}

// Room waits until the functions hold less than most bytes, or until ctx ends.
func (q *Queue) Room(ctx context.Context, most int) error {
	return q.wait(ctx, func() bool { return q.size < most })
}

// Drain waits until all functions have returned, or until ctx ends.
func (q *Queue) Drain(ctx context.Context) error {
	return q.wait(ctx, func() bool { return !q.busy })
}

func (q *Queue) wait(ctx context.Context, enough func() bool) error {
	for {
		q.mu.Lock()
		if enough() {
			q.mu.Unlock()
			return nil
		}
		if q.less == nil {
			q.less = make(chan struct{})
		}
		less := q.less
		q.mu.Unlock()
		select {
		case <-less:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
