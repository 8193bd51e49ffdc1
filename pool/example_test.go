package pool_test

import (
	"context"
	"errors"
	"fmt"
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
	// Failed is set before the first Submit. It is called by the workers, so by several at once.
	uploads.Failed = func(name string, err error) { fmt.Printf("%s: %v\n", name, err) }

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

	ctx, cancel := context.WithTimeoutCause(context.Background(), 50*time.Millisecond, errors.New("no worker in 50ms"))
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

// Drain gives the tasks until the end of its context, then cancels them. What never started is reported, not lost.
func ExamplePool_Drain() {
	uploads := pool.New(1, func(ctx context.Context, name string) error {
		if name == "small.csv" {
			return nil
		}
		<-ctx.Done() // an upload that takes too long
		return fmt.Errorf("upload cut off: %w", context.Cause(ctx))
	})
	uploads.Failed = func(name string, err error) {
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

	grace, cancel := context.WithTimeoutCause(context.Background(), 10*time.Millisecond, errors.New("grace period over"))
	defer cancel()
	err := uploads.Drain(grace)

	if failed, ok := errors.AsType[*pool.Error](err); ok {
		fmt.Println("accepted", failed.Accepted, "failed", failed.Failed, "not started", failed.NotStarted)
	}
	// Output:
	// huge.csv failed: upload cut off: grace period over
	// late.csv is for the next run
	// accepted 3 failed 1 not started 1
}

// Resize acts on a pool that works.
func ExamplePool_Resize() {
	proceed := make(chan struct{})
	p := pool.New(1, func(ctx context.Context, task int) error {
		<-proceed
		return nil
	})

	p.Resize(3)
	for task := range 3 {
		if err := p.Submit(context.Background(), task); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println("grown to", p.Stats().Workers)

	p.Resize(1)
	close(proceed)
	if err := p.Wait(context.Background()); err != nil {
		fmt.Println(err)
	}
	fmt.Println("done", p.Stats().Done)
	fmt.Println(p.Drain(context.Background()))
	// Output:
	// grown to 3
	// done 3
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
