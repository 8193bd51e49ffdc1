package throttle_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/throttle"
	"golang.org/x/time/rate"
)

// waiters are the two limiters that the benchmarks put side by side.
var waiters = []struct {
	name string
	make func(r rate.Limit) func(context.Context) error
}{
	{"Bucket", func(r rate.Limit) func(context.Context) error { return throttle.NewBucket(r, 1).Wait }},
	{"Limiter", func(r rate.Limit) func(context.Context) error { return rate.NewLimiter(r, 1).Wait }},
}

// BenchmarkWait measures the cost of a Wait whose token is there.
func BenchmarkWait(b *testing.B) {
	for _, goroutines := range []int{1, 2, 1000} {
		for _, w := range waiters {
			b.Run(w.name+"/goroutines="+itoa(goroutines), func(b *testing.B) {
				wait := w.make(1e9)
				each(b, goroutines, wait)
			})
		}
	}
}

func itoa(n int) string { return strconv.Itoa(n) }

// each spreads b.N calls over goroutines.
func each(b *testing.B, goroutines int, wait func(context.Context) error) {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	b.ReportAllocs()
	var group sync.WaitGroup
	b.ResetTimer()
	for i := range goroutines {
		n := b.N / goroutines
		if i < b.N%goroutines {
			n++
		}
		group.Go(func() {
			for range n {
				if err := wait(ctx); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}

// BenchmarkPace reports the share of the rate that many workers achieve and the
// fullest windows as a share of what they may hold. One operation is three
// seconds of sending.
func BenchmarkPace(b *testing.B) {
	for _, workers := range []int{64, 1000} {
		for _, r := range []float64{10, 100, 1000, 10_000, 50_000} {
			for _, w := range waiters {
				b.Run(fmt.Sprintf("%s/workers=%d/rps=%g", w.name, workers, r), func(b *testing.B) {
					for b.Loop() {
						grants := pace(w.make(rate.Limit(r)), workers, 3*time.Second)
						span := grants[len(grants)-1].Seconds() - grants[0].Seconds()
						b.ReportMetric(float64(len(grants)-1)/span/r, "achieved")
						b.ReportMetric(float64(fullest(grants, time.Second))/(1.01*r+1), "in1s")
						b.ReportMetric(float64(fullest(grants, 100*time.Millisecond))/(0.115*r+1), "in100ms")
					}
				})
			}
		}
	}
}

// pace returns the instants of all grants to the workers within the time given.
func pace(wait func(context.Context) error, workers int, length time.Duration) []time.Duration {
	ctx, cancel := context.WithTimeout(context.Background(), length)
	defer cancel()
	var group sync.WaitGroup
	begin := time.Now()
	each := make([][]time.Duration, workers)
	for i := range workers {
		group.Go(func() {
			for wait(ctx) == nil {
				each[i] = append(each[i], time.Since(begin))
			}
		})
	}
	group.Wait()
	grants := slices.Concat(each...)
	slices.Sort(grants)
	return grants
}

// fullest returns the largest number of grants in any half-open window.
func fullest(grants []time.Duration, window time.Duration) int {
	most, from := 0, 0
	for to, g := range grants {
		for grants[from] <= g-window {
			from++
		}
		most = max(most, to-from+1)
	}
	return most
}
