package throttle_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/throttle"
	"golang.org/x/time/rate"
)

// A limiter is what the benchmarks put side by side.
type limiter struct {
	wait    func(context.Context) error
	setRate func(rate.Limit)
	pause   func()               // for a long time
	next    func() time.Duration // what one more caller would wait
}

var limiters = []struct {
	name string
	make func(r rate.Limit) limiter
}{
	{"Bucket", func(r rate.Limit) limiter {
		b := throttle.NewBucket(r, 1)
		return limiter{
			wait:    b.Wait,
			setRate: b.SetRate,
			pause:   func() { b.Pause(time.Now().Add(time.Hour)) },
			next: func() time.Duration {
				begin := time.Now()
				b.Wait(context.Background())
				return time.Since(begin)
			},
		}
	}},
	{"Limiter", func(r rate.Limit) limiter {
		l := rate.NewLimiter(r, 1)
		return limiter{
			wait:    l.Wait,
			setRate: l.SetLimit,
			pause:   func() { l.SetLimit(0) },
			next:    func() time.Duration { return l.Reserve().Delay() },
		}
	}},
}

// BenchmarkWait measures the cost of a Wait whose token is there.
func BenchmarkWait(b *testing.B) {
	for _, goroutines := range []int{1, 2, 1000} {
		for _, w := range limiters {
			b.Run(w.name+"/goroutines="+strconv.Itoa(goroutines), func(b *testing.B) {
				wait := w.make(1e9).wait
				each(b, goroutines, wait)
			})
		}
	}
}

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
// fullest windows as a share of what they may hold. One operation is one and a
// half seconds of sending.
func BenchmarkPace(b *testing.B) {
	for _, workers := range []int{64, 1000} {
		for _, r := range []float64{10, 100, 1000, 10_000, 50_000} {
			for _, w := range limiters {
				b.Run(fmt.Sprintf("%s/workers=%d/rps=%g", w.name, workers, r), func(b *testing.B) {
					for b.Loop() {
						grants := pace(w.make(rate.Limit(r)).wait, workers, 1500*time.Millisecond)
						span := grants[len(grants)-1].Seconds() - grants[0].Seconds()
						b.ReportMetric(float64(len(grants)-1)/span/r, "achieved")
						reportWindows(b, grants, r)
					}
				})
			}
		}
	}
}

// reportWindows reports the fullest windows as a share of what they may hold.
func reportWindows(b *testing.B, grants []time.Duration, r float64) {
	b.ReportMetric(float64(fullest(grants, time.Second))/(1.01*r+1), "in1s")
	b.ReportMetric(float64(fullest(grants, 100*time.Millisecond))/(0.115*r+1), "in100ms")
}

// BenchmarkPaceOverAStop reports the fullest windows when the process is stopped
// for 300 ms and goes on.
func BenchmarkPaceOverAStop(b *testing.B) {
	sh, err := exec.LookPath("sh")
	if err != nil || runtime.GOOS == "windows" {
		b.Skip("stopping this process takes a Unix shell")
	}
	for _, r := range []float64{10, 1000, 10_000} {
		for _, w := range limiters {
			b.Run(fmt.Sprintf("%s/rps=%g", w.name, r), func(b *testing.B) {
				for b.Loop() {
					helper := exec.Command(sh, "-c", fmt.Sprintf("sleep 0.5; kill -STOP %[1]d; sleep 0.3; kill -CONT %[1]d", os.Getpid()))
					if err := helper.Start(); err != nil {
						b.Fatal(err)
					}
					reportWindows(b, pace(w.make(rate.Limit(r)).wait, 64, 1500*time.Millisecond), r)
					if err := helper.Wait(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// crowd is many goroutines that wait.
type crowd struct {
	started, served atomic.Int64
	group           sync.WaitGroup
}

// gather starts n goroutines and returns once all of them wait.
func gather(n int, wait func(i int) error) *crowd {
	c := &crowd{}
	for i := range n {
		c.group.Go(func() {
			c.started.Add(1)
			if wait(i) == nil {
				c.served.Add(1)
			}
		})
	}
	for c.started.Load() < int64(n) {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(100 * time.Millisecond)
	return c
}

// inUse returns the bytes of heap and stacks in use.
func inUse() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc + m.StackInuse)
}

// BenchmarkCrowd reports what a hundred thousand callers in line cost: bytes for
// each beyond a goroutine that waits on a channel of its own, the time in which
// all of them leave when their contexts end, and how many intervals the next
// caller then waits.
func BenchmarkCrowd(b *testing.B) {
	const n, r = 100_000, 10
	var parked float64
	for range 2 { // the first run makes the goroutines that the others use again
		own := make([]chan struct{}, n)
		before := inUse()
		c := gather(n, func(i int) error {
			own[i] = make(chan struct{})
			<-own[i]
			return nil
		})
		parked = (inUse() - before) / n
		for _, ch := range own {
			close(ch)
		}
		c.group.Wait()
	}
	for _, l := range limiters {
		b.Run(l.name, func(b *testing.B) {
			for b.Loop() {
				l := l.make(r)
				ctx, cancel := context.WithCancel(context.Background())
				before := inUse()
				c := gather(n, func(int) error { return l.wait(ctx) })
				b.ReportMetric((inUse()-before)/n-parked, "B/waiter")
				begin := time.Now()
				cancel()
				c.group.Wait()
				b.ReportMetric(float64(time.Since(begin).Milliseconds()), "ms-cancel")
				l.next() // takes the token that may be there
				b.ReportMetric(l.next().Seconds()*r, "intervals")
			}
		})
	}
}

// BenchmarkLiveRate reports how long after a change of the rate from 10 to 1000 the
// first of a thousand waiters goes, and what share of the new rate they get.
func BenchmarkLiveRate(b *testing.B) {
	for _, l := range limiters {
		b.Run(l.name, func(b *testing.B) {
			for b.Loop() {
				l := l.make(10)
				ctx, cancel := context.WithCancel(context.Background())
				var begin atomic.Pointer[time.Time]
				var first atomic.Int64
				c := gather(1000, func(int) error {
					err := l.wait(ctx)
					if t := begin.Load(); t != nil && err == nil {
						first.CompareAndSwap(0, int64(time.Since(*t)))
					}
					return err
				})
				now, before := time.Now(), c.served.Load()
				begin.Store(&now)
				l.setRate(1000)
				time.Sleep(300 * time.Millisecond)
				b.ReportMetric(float64(first.Load())/1e6, "ms-first")
				b.ReportMetric(float64(c.served.Load()-before)/time.Since(now).Seconds()/1000, "of-rate")
				cancel()
				c.group.Wait()
			}
		})
	}
}

// BenchmarkPause reports how many of a thousand waiters go although they are to pause.
func BenchmarkPause(b *testing.B) {
	for _, l := range limiters {
		b.Run(l.name, func(b *testing.B) {
			for b.Loop() {
				l := l.make(2000)
				ctx, cancel := context.WithCancel(context.Background())
				c := gather(1000, func(int) error { return l.wait(ctx) })
				l.pause()
				before := c.served.Load()
				time.Sleep(500 * time.Millisecond)
				b.ReportMetric(float64(c.served.Load()-before), "leaked")
				cancel()
				c.group.Wait()
			}
		})
	}
}

// BenchmarkUpstream measures the cost of a permit and a token that are there.
func BenchmarkUpstream(b *testing.B) {
	u := throttle.NewUpstream(throttle.Limits{Rate: 1e9, InFlight: 1 << 20})
	b.ReportAllocs()
	for b.Loop() {
		permit, err := u.Acquire(b.Context(), 1)
		if err != nil {
			b.Fatal(err)
		}
		permit.Release()
	}
}

type stub struct{ body io.ReadCloser }

// RoundTrip watches the context as net/http does.
func (s stub) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	ctx.Done()
	cancel(nil)
	return &http.Response{StatusCode: http.StatusOK, Body: s.body}, nil
}

// BenchmarkTransport measures what a Transport adds to a request.
func BenchmarkTransport(b *testing.B) {
	limits := throttle.Limits{Rate: 1e9, InFlight: 1 << 20}
	for _, bench := range []struct {
		name string
		base http.RoundTripper
	}{
		{"none", stub{http.NoBody}},
		{"limits", &throttle.Transport{Base: stub{http.NoBody}, Limits: limits}},
		{"timeout", &throttle.Transport{Base: stub{http.NoBody}, Limits: limits, Timeout: time.Minute}},
		{"body", &throttle.Transport{Base: stub{io.NopCloser(nil)}, Limits: limits, Timeout: time.Minute}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			r, err := http.NewRequestWithContext(b.Context(), "GET", "http://example.com/a", nil)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				resp, err := bench.base.RoundTrip(r)
				if err != nil {
					b.Fatal(err)
				}
				resp.Body.Close()
			}
		})
	}
}

// BenchmarkTransportNewKey measures what the first request of a key costs while others are in flight.
func BenchmarkTransportNewKey(b *testing.B) {
	for _, keys := range []int{0, 1000, 5000, 20_000} {
		b.Run("keys="+strconv.Itoa(keys), func(b *testing.B) {
			tr := &throttle.Transport{}
			for i := range keys {
				if _, err := tr.Upstream("used "+strconv.Itoa(i)).Acquire(b.Context(), 1); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				tr.Upstream("new " + strconv.Itoa(i))
			}
		})
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
