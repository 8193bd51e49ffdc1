package model

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A call is a request to a model at an instant, and what comes back: the status and when, in
// milliseconds since the model was made.
type call struct{ at, status, after int }

func (c call) String() string {
	return fmt.Sprintf("at %d ms: %d after %d ms", c.at, c.status, c.after)
}

// serve makes a model in a bubble and calls it, in order.
func serve(t *testing.T, server func() Model, want ...call) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m, start := server(), time.Now()
		got := make([]call, len(want))
		var wg sync.WaitGroup
		for i, w := range want {
			time.Sleep(time.Until(start.Add(time.Duration(w.at) * time.Millisecond)))
			wg.Go(func() {
				a := m.Serve(context.Background(), Request{})
				after := time.Since(start)
				rounded := after.Round(time.Millisecond)
				if (after - rounded).Abs() > time.Microsecond {
					t.Errorf("at %d ms: answered after %v, want whole milliseconds", w.at, after)
				}
				got[i] = call{w.at, a.Status, int(rounded / time.Millisecond)}
			})
			synctest.Wait()
		}
		wg.Wait()
		if !slices.Equal(got, want) {
			t.Errorf("got  %v\nwant %v", got, want)
		}
	})
}

func TestCPU(t *testing.T) {
	tests := []struct {
		name string
		CPU
		want []call
	}{
		{"one on two cores has one", CPU{Cores: 2, Work: time.Second}, []call{{0, 201, 1000}}},
		{"two on two cores", CPU{Cores: 2, Work: time.Second},
			[]call{{0, 201, 1000}, {0, 201, 1000}}},
		{"three on two cores", CPU{Cores: 2, Work: time.Second},
			[]call{{0, 201, 1500}, {0, 201, 1500}, {0, 201, 1500}}},
		// The first is alone for 0.5 s; then both go at half speed until it ends, and the second
		// has half its work left.
		{"one joins another", CPU{Cores: 1, Work: time.Second},
			[]call{{0, 201, 1500}, {500, 201, 2000}}},
		{"after a pause", CPU{Cores: 1, Work: time.Second},
			[]call{{0, 201, 1000}, {7000, 201, 8500}, {7500, 201, 9000}}},
		// The work of the first runs on after its 504: 0.75 of it are done by then.
		{"a gateway gives up", CPU{Cores: 1, Work: time.Second, Timeout: 1250 * time.Millisecond},
			[]call{{0, 504, 1250}, {0, 504, 1250}, {1500, 504, 2750}, {3000, 201, 4000}}},
		// Until 2 s the places are taken, whether or not anybody waits for the work.
		{"a limit", CPU{Cores: 1, Work: time.Second, Timeout: 1500 * time.Millisecond, Limit: 2},
			[]call{{0, 504, 1500}, {0, 504, 1500}, {100, 503, 100}, {1999, 503, 1999},
				{2000, 201, 3000}}},
		{"half the cores in the second second",
			CPU{Cores: 1, Work: time.Second, Factor: Steps(time.Second, 1, 0.5, 2)},
			[]call{{500, 201, 2000}, {2000, 201, 3000}, {3000, 201, 4000}, {3000, 201, 4000}}},
		{"a tenant", CPU{Cores: 1, Work: time.Second, Factor: Alternate(time.Second, 0.5)},
			[]call{{1000, 201, 2500}, {2500, 201, 4000}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			serve(t, func() Model { return NewCPU(tt.CPU) }, tt.want...)
		})
	}
}

// All that the cores do, and nothing twice: against small steps of time.
func TestSharedModel(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			w := newWork(time.Second, 1, seed)
			cores := 1 + float64(seed%4)
			factor := Steps(5*time.Second, 1, 0.5, 2)
			s, start := NewShared(cores, factor), time.Now()

			type task struct {
				begin, left float64
				end         float64
			}
			tasks := make([]task, 30)
			var wg sync.WaitGroup
			for i := range tasks {
				time.Sleep(w.draw() / 4)
				work := w.draw()
				tasks[i] = task{begin: time.Since(start).Seconds(), left: work.Seconds()}
				wg.Go(func() {
					s.Do(work)
					tasks[i].end = time.Since(start).Seconds()
				})
			}
			wg.Wait()

			const step = 1e-3
			for now, left := 0.0, len(tasks); left > 0; now += step {
				var there []*task
				for i := range tasks {
					if tasks[i].begin <= now && tasks[i].left > 0 {
						there = append(there, &tasks[i])
					}
				}
				f, _ := factor(time.Duration(now * float64(time.Second)))
				for _, k := range there {
					if k.left -= step * min(1, cores*f/float64(len(there))); k.left <= 0 {
						if left--; math.Abs(now-k.end) > 0.02 {
							t.Fatalf("seed %d: the task of %.3f s ended at %.4f s, want %.4f",
								seed, k.begin, k.end, now)
						}
					}
				}
			}
		})
	}
}

// Quotas without a schedule, and threads, are tested by the presets of the package lab.
func TestQuotaWithFactor(t *testing.T) {
	serve(t, func() Model {
		return NewQuota(Quotas{Rate: 1, N: 1, Factor: Steps(2*time.Second, 1, 0.5)})
	}, call{0, 201, 0}, call{999, 429, 999}, call{1000, 201, 1000}, call{2000, 201, 2000},
		call{3999, 429, 3999}, call{4000, 201, 4000})
}

func TestQuotaTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewQuota(Quotas{Rate: 0.5, N: 1, RetryAfter: true, Headers: true})
		a := m.Serve(t.Context(), Request{})
		want := Quota{Limit: 1, Remaining: 0, Window: 2 * time.Second, Reset: 2 * time.Second}
		if diff := cmp.Diff(want, *a.Quota); diff != "" || a.Status != 201 {
			t.Errorf("%d, -want +got:\n%s", a.Status, diff)
		}
		time.Sleep(300 * time.Millisecond)
		a = m.Serve(t.Context(), Request{})
		if a.Status != 429 || a.RetryAfter != 2 || a.Quota.Reset != 1700*time.Millisecond {
			t.Errorf("%+v, %v; want 429, 2 s, reset 1.7 s", a, a.Quota.Reset)
		}
	})
}

func TestOutage(t *testing.T) {
	const at, length = 1500 * time.Millisecond, 2 * time.Second
	worker := func() Model {
		return NewThreads(Threads{Workers: 1, Backlog: 9, Service: time.Second})
	}
	serve(t, func() Model { return NewOutage(at, length, false, worker) },
		call{0, 201, 1000}, call{1000, 201, 2000}, call{1400, 201, 3000},
		call{1500, 0, 1500}, call{3499, 0, 3499}, call{3500, 201, 4500})
	serve(t, func() Model { return NewOutage(at, length, true, worker) },
		call{0, 201, 1000}, call{1000, 0, 1500}, call{1400, 0, 1500},
		call{1500, 0, 1500}, call{3499, 0, 3499}, call{3500, 201, 4500})
	serve(t, func() Model {
		return NewOutage(time.Second, time.Second, true,
			func() Model { return NewCPU(CPU{Cores: 1, Work: 3 * time.Second}) })
	}, call{0, 0, 1000}, call{1999, 0, 1999}, call{2000, 201, 5000})
	serve(t, func() Model {
		o := NewOutage(at, length, true, worker)
		o.Status = 502
		return o
	}, call{0, 201, 1000}, call{1000, 502, 1500}, call{1500, 502, 1500},
		call{3499, 502, 3499}, call{3500, 201, 4500})
}

func TestHang(t *testing.T) {
	serve(t, func() Model {
		return NewHang(1500*time.Millisecond, 2*time.Second,
			NewThreads(Threads{Workers: 9, Service: time.Second}))
	}, call{0, 201, 1000}, call{1000, 201, 3500}, call{1500, 201, 4500},
		call{3000, 201, 4500}, call{3500, 201, 4500})
}

func TestSlowConnect(t *testing.T) {
	serve(t, func() Model {
		return &SlowConnect{Model: NewThreads(Threads{Workers: 9, Service: time.Second}),
			Above: 2, Delay: 3 * time.Second}
	}, call{0, 201, 1000}, call{0, 201, 1000}, call{0, 201, 4000}, call{1001, 201, 2001})
}

func TestWork(t *testing.T) {
	if got := newWork(time.Second, 0, 1).draw(); got != time.Second {
		t.Errorf("without a spread: %v", got)
	}
	a, b := newWork(time.Second, 1.5, 1), newWork(time.Second, 1.5, 1)
	const n = 200_000
	var sum float64
	for range n {
		x := a.draw()
		if y := b.draw(); x != y {
			t.Fatalf("the same seed draws %v and %v", x, y)
		}
		sum += x.Seconds()
	}
	if mean := sum / n; math.Abs(mean-1) > 0.05 {
		t.Errorf("mean %.3f s, want 1", mean)
	}
}
