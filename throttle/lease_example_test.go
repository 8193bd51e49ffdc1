package throttle_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/penstock/penstock/throttle"
)

// A turn is a Leaser without a network: of the slots of a rate, numbered from midnight on, the
// process i of n has each n-th. The processes need the same time of day, and what one of them does
// not use is lost.
type turn struct {
	every time.Duration // between two slots of all together
	i, n  int64

	mu   sync.Mutex
	next int64 // of our slots; those before were granted
}

func (t *turn) Lease(_ context.Context, want int) (throttle.Lease, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	today := now.Sub(now.Truncate(24 * time.Hour))
	ours := time.Duration(t.n) * t.every
	if soonest := int64(today/ours) + 1; t.next < soonest || t.next > soonest+1e6 { // another day
		t.next = soonest
	}
	first := time.Duration(t.next)*ours + time.Duration(t.i)*t.every
	t.next += int64(want)
	return throttle.Lease{First: now.Add(first - today), Every: ours, N: want}, nil
}

// Three processes share 600 requests a second; this one is the second.
func ExampleLeaser() {
	upstream := throttle.NewUpstream(throttle.Limits{InFlight: 100})
	upstream.SetLeaser(&turn{every: time.Second / 600, i: 1, n: 3})

	begin := time.Now()
	for range 5 {
		permit, err := upstream.Acquire(context.Background(), 1)
		if err != nil {
			fmt.Println(err)
			return
		}
		go permit.Done(throttle.Feedback{Signal: throttle.SignalSuccess}) // once it was sent
	}
	fmt.Println("five took 20 ms or more:", time.Since(begin) >= 20*time.Millisecond)
	// Output: five took 20 ms or more: true
}

// One server is shared with two other processes, all others are not.
func ExampleTransport_leaserFor() {
	transport := &throttle.Transport{
		LeaserFor: func(key string) throttle.Leaser {
			if key == "https://api.example.com" {
				return &turn{every: time.Second / 600, i: 1, n: 3}
			}
			return nil
		},
	}
	_, shared := transport.Upstream("https://api.example.com").TryAcquire(1) // no slot is there yet
	_, other := transport.Upstream("https://other.example.com").TryAcquire(1)
	fmt.Println(shared, other)
	// Output: false true
}
