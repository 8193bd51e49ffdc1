package fair

import (
	"context"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/throttle"
)

// BenchmarkRoundTrip measures what a request costs above a server that answers at once: without a
// Transport of this package, with one while nothing waits, and through its queue.
func BenchmarkRoundTrip(b *testing.B) {
	answer := base(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
	})
	for _, c := range []struct {
		name    string
		limits  throttle.Limits
		fair    bool
		trace   bool
		callers int
	}{
		{"none/throttle", throttle.Limits{Fixed: true}, false, false, 1},
		{"none/fair", throttle.Limits{Fixed: true}, true, false, 1},
		{"none/traced", throttle.Limits{Fixed: true}, true, true, 1},
		{"queue/throttle", throttle.Limits{InFlight: 1, Fixed: true}, false, false, 100},
		{"queue/fair", throttle.Limits{InFlight: 1, Fixed: true}, true, false, 100},
		{"queue/traced", throttle.Limits{InFlight: 1, Fixed: true}, true, true, 100},
	} {
		b.Run(c.name, func(b *testing.B) {
			below := &throttle.Transport{Base: answer, Limits: c.limits}
			var sender http.RoundTripper = below
			if c.fair {
				sender = New(below)
			}
			b.ReportAllocs()
			var group sync.WaitGroup
			for i := range c.callers {
				group.Go(func() {
					ctx := WithClient(context.Background(), strconv.Itoa(i%4))
					for range b.N/c.callers + 1 {
						ctx := ctx
						if c.trace {
							ctx = WithTrace(ctx, new(Trace))
						}
						r, _ := http.NewRequestWithContext(ctx, "GET", host+"/", nil)
						resp, err := sender.RoundTrip(r)
						if err != nil {
							b.Error(err)
							return
						}
						resp.Body.Close()
					}
				})
			}
			group.Wait()
		})
	}
}

// BenchmarkWaiting measures the memory of 10,000 requests that wait, each of a client of its own,
// their goroutines included.
func BenchmarkWaiting(b *testing.B) {
	const n = 10_000
	for range b.N {
		t := New(&throttle.Transport{Limits: throttle.Limits{Rate: 1e-6, Fixed: true}})
		ctx, cancel := context.WithCancel(context.Background())
		p, _ := t.base.Upstream(host).Acquire(ctx, 1)
		p.Release()
		heap, stacks := inUse()
		var group sync.WaitGroup
		for i := range n {
			group.Go(func() {
				ctx := WithClient(ctx, strconv.Itoa(i))
				r, _ := http.NewRequestWithContext(ctx, "GET", host+"/", nil)
				t.RoundTrip(r)
			})
		}
		for t.Queue(host).Waiting < n {
			time.Sleep(time.Millisecond)
		}
		h, s := inUse()
		b.ReportMetric(float64(h-heap)/n, "heap-B/request")
		b.ReportMetric(float64(s-stacks)/n, "stack-B/request")
		begin := time.Now()
		for range 100 {
			t.Estimate(host, "5000")
		}
		b.ReportMetric(float64(time.Since(begin).Nanoseconds())/100, "ns/estimate")
		begin = time.Now()
		cancel()
		group.Wait()
		b.ReportMetric(float64(time.Since(begin).Milliseconds()), "ms/cancel")
	}
}

func inUse() (heap, stacks uint64) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc, m.StackInuse
}
