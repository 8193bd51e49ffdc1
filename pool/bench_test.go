package pool_test

import (
	"context"
	"sync"
	"testing"

	"github.com/penstock/penstock/pool"
)

func noop(context.Context, int) error { return nil }

func channelWorkers(b *testing.B, buffer int) {
	b.ReportAllocs()
	ctx := context.Background()
	tasks := make(chan int, buffer)
	var workers sync.WaitGroup
	for range 64 {
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

func BenchmarkChannelBuffered(b *testing.B)   { channelWorkers(b, 64) }
func BenchmarkChannelUnbuffered(b *testing.B) { channelWorkers(b, 0) }
func BenchmarkChannel1024(b *testing.B)       { channelWorkers(b, 1024) }

func BenchmarkPool(b *testing.B) {
	b.ReportAllocs()
	ctx := context.Background()
	p := pool.New(64, noop)
	for i := range b.N {
		if err := p.Submit(ctx, i); err != nil {
			b.Fatal(err)
		}
	}
	p.Drain(ctx)
}
