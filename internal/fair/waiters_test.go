package fair

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/throttle"
)

// The clients with most requests waiting come first, and no more than were asked for.
func TestWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, throttle.Limits{InFlight: 1}, 0, nil)
		if got := w.Waiters(host, 3); got != nil {
			t.Errorf("nothing waits: %v", got)
		}
		turn, err := w.base.Upstream(host).Acquire(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		for i, n := range []int{1, 3, 2, 3, 1, 2} {
			for range n {
				w.start(ctx, fmt.Sprint("c", i), "/")
				time.Sleep(time.Second)
			}
		}
		w.start(Behind(ctx), "behind", "/")
		all := []Waiter{{"c1", 3, 11 * time.Second}, {"c3", 3, 6 * time.Second},
			{"c2", 2, 8 * time.Second}, {"c5", 2, 2 * time.Second}, {"c0", 1, 12 * time.Second},
			{"c4", 1, 3 * time.Second}}
		for most := range 8 {
			got := w.Waiters(host, most)
			if want := all[:min(most, len(all))]; !slices.Equal(got, want) {
				t.Errorf("%d: %v, want %v", most, got, want)
			}
		}
		cancel()
		turn.Release()
		w.idle()
	})
}
