package pool_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/pool"
)

func ExampleNew() {
	uploads := pool.New(2, func(ctx context.Context, name string) error {
		if name == "b.csv" {
			return errors.New("disk full")
		}
		return nil
	})
	// OnError is set before the first Submit. It is called by the workers, so by several at once.
	uploads.OnError = func(name string, err error) { fmt.Printf("%s: %v\n", name, err) }

	ctx := context.Background()
	for _, name := range []string{"a.csv", "b.csv", "c.csv"} {
		if err := uploads.Submit(ctx, name); err != nil {
			break
		}
	}
	fmt.Println(uploads.Drain(ctx))
	// Output:
	// b.csv: disk full
	// pool: 1 of 3 tasks failed, the first: disk full
}

// A Submit that waits for a busy pool gives up with its context, and with its cause.
func ExamplePool_Submit() {
	proceed := make(chan struct{})
	p := pool.New(1, func(ctx context.Context, task int) error {
		<-proceed
		return nil
	})

	ctx, cancel := context.WithTimeoutCause(context.Background(), 50*time.Millisecond,
		errors.New("no worker in 50ms"))
	defer cancel()
	for task := range 10 { // one task runs, one is queued, the third has to wait
		if err := p.Submit(ctx, task); err != nil {
			fmt.Println(task, err)
			break
		}
	}

	close(proceed)
	fmt.Println(p.Drain(context.Background()))
	// Output:
	// 2 pool: task not submitted: no worker in 50ms
	// <nil>
}

// Drain gives the tasks until the end of its context, then cancels them. What never started is
// reported, not lost.
func ExamplePool_Drain() {
	uploads := pool.New(1, func(ctx context.Context, name string) error {
		if name == "small.csv" {
			return nil
		}
		<-ctx.Done() // an upload that takes too long
		return fmt.Errorf("upload cut off: %w", context.Cause(ctx))
	})
	uploads.OnError = func(name string, err error) {
		if errors.Is(err, pool.ErrNotStarted) {
			fmt.Println(name, "is for the next run")
			return
		}
		fmt.Println(name, "failed:", err)
	}
	for _, name := range []string{"small.csv", "huge.csv", "late.csv"} {
		if err := uploads.Submit(context.Background(), name); err != nil {
			fmt.Println(err)
		}
	}

	grace, cancel := context.WithTimeoutCause(context.Background(), 10*time.Millisecond,
		errors.New("grace period over"))
	defer cancel()
	err := uploads.Drain(grace)

	if e, ok := errors.AsType[*pool.Error](err); ok {
		fmt.Println("accepted", e.Accepted, "failed", e.Failed, "not started", e.NotStarted)
	}
	// Output:
	// huge.csv failed: upload cut off: grace period over
	// late.csv is for the next run
	// accepted 3 failed 1 not started 1
}

// Resize acts on a pool that works.
func ExamplePool_Resize() {
	var together sync.WaitGroup
	together.Add(3)
	p := pool.New(1, func(ctx context.Context, task int) error {
		together.Done()
		together.Wait() // returns when three tasks run at once
		return nil
	})
	ctx := context.Background()
	if err := p.Submit(ctx, 1); err != nil {
		fmt.Println(err)
	}
	p.Resize(3)
	for task := range 2 {
		if err := p.Submit(ctx, task); err != nil {
			fmt.Println(err)
		}
	}
	together.Wait()
	fmt.Println(p.Drain(ctx))
	// Output: <nil>
}

// A task sees the values of the context that it was submitted with.
func ExamplePool_values() {
	type traceKey struct{}
	p := pool.New(4, func(ctx context.Context, name string) error {
		fmt.Println(name, "belongs to", ctx.Value(traceKey{}))
		return nil
	})
	ctx := context.WithValue(context.Background(), traceKey{}, "request 17")
	if err := p.Submit(ctx, "a.csv"); err != nil {
		fmt.Println(err)
	}
	fmt.Println(p.Drain(ctx))
	// Output:
	// a.csv belongs to request 17
	// <nil>
}

// Wait ends when what was submitted so far has, and leaves the pool open for more.
func ExamplePool_Wait() {
	ctx := context.Background()
	var sum atomic.Int64
	p := pool.New(4, func(ctx context.Context, n int64) error {
		sum.Add(n)
		return nil
	})
	for batch := range 2 {
		for n := range int64(10) {
			if err := p.Submit(ctx, n); err != nil {
				fmt.Println(err)
			}
		}
		if err := p.Wait(ctx); err != nil {
			fmt.Println(err)
		}
		fmt.Println("batch", batch, "sum", sum.Load())
	}
	fmt.Println(p.Drain(ctx))
	// Output:
	// batch 0 sum 45
	// batch 1 sum 90
	// <nil>
}
