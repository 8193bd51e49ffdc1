package send

import (
	"net/http"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/board"
)

// What is published is what goes on: why the run waits, what failed, and how it ended.
func TestPublish(t *testing.T) {
	bad := nth(func(n int, w http.ResponseWriter, _ *http.Request) bool {
		switch n {
		case 1:
			w.WriteHeader(http.StatusNotFound)
		case 2:
			w.Header().Set("Retry-After", "10")
			w.WriteHeader(http.StatusTooManyRequests)
		}
		return n <= 2
	})
	onFakeTime(t, 4, bad, func(w *world) {
		var states []board.State
		w.Publish = func(s board.State) { states = append(states, s) }
		w.Limits.InFlight = 1
		w.ended(w.run(), 3, 3, 1, 0, 0, 0)
		last := states[len(states)-1]
		if last.Ended.IsZero() || last.Holding != "" || last.Items.Delivered != 3 ||
			last.Items.Failed != 1 || !last.Items.Known || last.Items.Total != 4 {
			t.Errorf("at the end %+v, %+v", last, last.Items)
		}
		u := last.Upstreams[0]
		if len(last.Upstreams) != 1 || u.Sent != 5 || u.Accepted != 3 || u.Throttled != 1 {
			t.Errorf("at the end %+v", last.Upstreams)
		}
		if len(last.Failures) != 1 || last.Failures[0].Why == "" ||
			!last.Failures[0].At.Equal(w.begin) {
			t.Errorf("%+v", last.Failures)
		}
		paused := 0
		for _, s := range states[:len(states)-1] {
			if !s.Ended.IsZero() {
				t.Error("it has ended before its end")
			}
			if s.Upstreams[0].Until.Equal(w.begin.Add(10 * time.Second)) {
				paused++
			}
		}
		if paused != 199 { // the look at 10 s comes after the pause
			t.Errorf("it is paused in %d of %d states", paused, len(states))
		}
	})
}
