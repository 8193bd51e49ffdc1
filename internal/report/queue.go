package report

import (
	"context"
	"sync"
)

// A queue runs functions one after another, in a goroutine of its own that lasts as long as there are any. Adding one never
// blocks: where a reader has stopped, only that goroutine waits for it.
type queue struct {
	mu   sync.Mutex
	todo []task
	size int           // of the tasks that are not done, the one that runs included
	busy bool          // the goroutine exists
	less chan struct{} // closed when a task is done; nil while nobody waits for that
}

type task struct {
	size int // bytes that it holds in memory
	do   func()
}

func (q *queue) add(size int, do func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.todo = append(q.todo, task{size, do})
	q.size += size
	if !q.busy {
		q.busy = true
		go q.run()
	}
}

func (q *queue) run() {
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
		q.wakeLocked()
	}
	q.todo, q.busy = nil, false
	q.wakeLocked()
}

func (q *queue) wakeLocked() {
	if q.less != nil {
		close(q.less)
		q.less = nil
	}
}

// held is how many bytes the tasks hold that are not done.
func (q *queue) held() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.size
}

// room waits until the tasks hold less than most.
func (q *queue) room(ctx context.Context, most int) error {
	return q.wait(ctx, func() bool { return q.size < most })
}

// drain waits until all tasks are done.
func (q *queue) drain(ctx context.Context) error {
	return q.wait(ctx, func() bool { return !q.busy })
}

func (q *queue) wait(ctx context.Context, enough func() bool) error {
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
