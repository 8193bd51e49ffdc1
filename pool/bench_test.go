package pool_test

import (
	"context"
	"sync"
	"testing"

	"github.com/penstock/penstock/pool"
)

const benchWorkers = 64

func noop(context.Context, int) error { return nil }

// BenchmarkPool pays for a context that can end, as its callers do; the channels beside it cannot
// give up.
func BenchmarkPool(b *testing.B) {
	b.ReportAllocs()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	p := pool.New(benchWorkers, noop)
	for i := range b.N {
		if err := p.Submit(ctx, i); err != nil {
			b.Fatal(err)
		}
	}
	if err := p.Drain(ctx); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkChannelBuffered(b *testing.B) { benchmarkChannel(b, benchWorkers) }

func BenchmarkChannelUnbuffered(b *testing.B) { benchmarkChannel(b, 0) }

// benchmarkChannel is the least that a pool by hand consists of: goroutines on a channel that
// survive a panic.
func benchmarkChannel(b *testing.B, buffer int) {
	b.ReportAllocs()
	ctx := context.Background()
	tasks := make(chan int, buffer)
	var workers sync.WaitGroup
	for range benchWorkers {
		workers.Go(func() {
			for task := range tasks {
				func() {
					defer func() { _ = recover() }()
					_ = noop(ctx, task)
				}()
			}
		})
	}
	for i := range b.N {
		tasks <- i
	}
	close(tasks)
	workers.Wait()
}
