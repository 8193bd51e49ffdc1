package quota

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/race"
	"github.com/penstock/penstock/throttle"
)

// A record is when requests were sent, by all hosts of a test.
type record struct {
	mu   sync.Mutex
	sent []time.Time
	by   map[int]int
	wg   sync.WaitGroup // of those who send
}

// context returns one for those who send, and what ends it and waits for them.
func (r *record) context(t *testing.T) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	return ctx, func() {
		cancel()
		r.wg.Wait()
	}
}

func (r *record) add(host int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.by == nil {
		r.by = map[int]int{}
	}
	r.sent = append(r.sent, time.Now())
	r.by[host]++
}

// hosts begins so many hosts of a quota with that rate, each with workers that send until ctx ends.
func (r *record) hosts(
	ctx context.Context, e *engine, n int, rate float64, workers int,
) (all []*Quota) {
	for i := range n {
		q, u := e.host(per(rate)), upstream()
		q.Attach(u)
		r.saturate(ctx, i, workers, u)
		all = append(all, q)
	}
	return all
}

// windows returns how many were sent in any time of a length, at least and at most, of those that
// lie between two instants.
func (r *record) windows(from, to time.Time, length time.Duration) (least, most int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.SortFunc(r.sent, time.Time.Compare)
	place := func(t time.Time) int {
		n, _ := slices.BinarySearchFunc(r.sent, t, time.Time.Compare)
		return n
	}
	least = len(r.sent)
	for ; !from.Add(length).After(to); from = from.Add(length / 50) {
		n := place(from.Add(length)) - place(from)
		least, most = min(least, n), max(most, n)
	}
	return least, most
}

// each returns how many the hosts sent, the least and the most.
func (r *record) each(hosts int) (least, most int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	least = len(r.sent)
	for i := range hosts {
		least, most = min(least, r.by[i]), max(most, r.by[i])
	}
	return least, most
}

// send sends one request that takes a while.
func (r *record) send(ctx context.Context, host int, u *throttle.Upstream, takes time.Duration) {
	p, err := u.Acquire(ctx, 1)
	if err != nil {
		return
	}
	r.add(host)
	time.Sleep(takes)
	p.Done(throttle.Feedback{Signal: throttle.SignalSuccess})
}

// saturate sends without end, by so many workers, until ctx ends.
func (r *record) saturate(ctx context.Context, host, workers int, u *throttle.Upstream) {
	for range workers {
		r.wg.Go(func() {
			for ctx.Err() == nil {
				r.send(ctx, host, u, 20*time.Millisecond)
			}
		})
	}
}

// trickle sends so many a second, by chance, until ctx ends.
func (r *record) trickle(ctx context.Context, host int, rate float64, u *throttle.Upstream) {
	chance := rand.New(rand.NewPCG(1, uint64(host)))
	r.wg.Go(func() {
		for ctx.Err() == nil {
			time.Sleep(time.Duration(chance.ExpFloat64() / rate * 1e9))
			r.wg.Go(func() { r.send(ctx, host, u, 20*time.Millisecond) })
		}
	})
}

func upstream() *throttle.Upstream {
	return throttle.NewUpstream(throttle.Limits{InFlight: 1000, Fixed: true})
}

// All hosts together have the rate, and no more, in equal parts, by a few calls each.
func TestShares(t *testing.T) {
	for i, test := range []struct{ hosts, rate, seconds int }{
		{4, 50, 10}, {1, 1000, 5}, {1, 50, 5}, {4, 1000, 5}, {10, 50, 20}, {10, 3, 60},
		{100, 300, 4},
	} {
		t.Run(fmt.Sprintf("%d hosts, %d", test.hosts, test.rate), func(t *testing.T) {
			race.Few(t, i)
			synctest.Test(t, func(t *testing.T) {
				e := newEngine(t)
				var r record
				ctx, stop := r.context(t)
				defer stop()
				all := r.hosts(ctx, e, test.hosts, float64(test.rate), 100)
				length := time.Duration(test.seconds) * time.Second
				time.Sleep(4 * time.Second)
				from, before := time.Now(), make([]int64, len(all))
				for i, q := range all {
					before[i] = q.Part().RoundTrips
				}
				r.mu.Lock()
				r.by = nil
				r.mu.Unlock()
				time.Sleep(length)
				least, most := r.windows(from, time.Now(), time.Second)
				if over := max(3, test.rate*3/100); most > test.rate+over {
					t.Errorf("%d in a second", most)
				}
				if least < test.rate*97/100-1 {
					t.Errorf("only %d in a second", least)
				}
				if least, most := r.each(len(all)); most-least > max(most/10, 2) {
					t.Errorf("one host sent %d, another %d", least, most)
				}
				for i, q := range all {
					if n := q.Part().RoundTrips - before[i]; n > 20*int64(test.seconds) {
						t.Errorf("host %d made %d calls in %v", i, n, length)
					}
				}
				t.Logf("%d..%d in a second, %d calls in %v", least, most,
					all[0].Part().RoundTrips-before[0], length)
			})
		})
	}
}

// A host has one share, however many upstreams it has.
func TestSharesOfUpstreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		var r record
		ctx, stop := r.context(t)
		defer stop()
		for i, upstreams := range []int{3, 1} {
			q := e.host(per(100))
			for range upstreams {
				u := upstream()
				q.Attach(u)
				r.saturate(ctx, i, 50, u)
			}
		}
		time.Sleep(20 * time.Second)
		if least, most := r.each(2); least < 900 || most > 1100 {
			t.Errorf("one host sent %d, the other %d", least, most)
		}
	})
}

// What some hosts do not use is for those that can.
func TestSharesUnequal(t *testing.T) {
	for _, n := range []int{1000, 50} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEngine(t)
				var r record
				ctx, stop := r.context(t)
				defer stop()
				for i := range 4 {
					q, u := e.host(per(float64(n))), upstream()
					q.Attach(u)
					if i == 0 {
						r.saturate(ctx, i, 100, u)
					} else {
						r.trickle(ctx, i, float64(n)/30, u)
					}
				}
				time.Sleep(2 * time.Second)
				from := time.Now()
				time.Sleep(15 * time.Second)
				least, most := r.windows(from, time.Now(), 10*time.Second)
				t.Logf("%d..%d in 10 s", least, most)
				if least < n*97/10 || most > n*1005/100 {
					t.Errorf("%d to %d of %d", least, most, 10*n)
				}
			})
		})
	}
}
