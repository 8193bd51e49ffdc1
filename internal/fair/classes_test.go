package fair

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/throttle"
)

// What is in the background goes last, by turns, and is not in the way of what comes later.
func TestBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, throttle.Limits{Rate: 10, Fixed: true}, 0, nil)
		w.start(t.Context(), "x", "/") // has the first turn
		for _, client := range []string{"A", "A", "A", "B"} {
			w.start(Behind(t.Context()), client, "/")
		}
		for range 2 {
			w.start(t.Context(), "a", "/")
		}
		if s := w.Queue(host); s != (QueueStats{Waiting: 2, Clients: 1, Bytes: 10}) {
			t.Errorf("%+v", s)
		}
		if d := w.Estimate(host, "b"); d != 200*ms {
			t.Errorf("another would wait for %v", d)
		}
		time.Sleep(350 * ms)
		w.start(t.Context(), "b", "/")
		w.idle()
		if got := w.order(); got != "xaaAbBAA" {
			t.Error(got)
		}
		for i, s := range w.sent {
			if s.at != time.Duration(i)*100*ms {
				t.Errorf("request %d at %v", i, s.at)
			}
		}
	})
}
