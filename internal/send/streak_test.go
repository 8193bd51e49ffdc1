package send

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/exit"
)

// A server that refuses some requests at random is not said to be down when it refuses a few in a row.
func TestRandomRefusalsAreNoOutage(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		accept time.Duration // it is down from then on, for a minute; 0: never
		says   bool
	}{
		{"500", http.StatusInternalServerError, 0, false},
		{"502", http.StatusBadGateway, 0, false},
		{"503", http.StatusServiceUnavailable, 0, false},
		{"500, and an outage", http.StatusInternalServerError, 20 * time.Second, true},
		{"503, and an outage", http.StatusServiceUnavailable, 20 * time.Second, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var n atomic.Int64
			began := time.Time{}
			onFakeTime(t, 200, func(rw http.ResponseWriter, r *http.Request) {
				i, since := n.Add(1), time.Since(began)
				down := c.accept > 0 && since >= c.accept && since < c.accept+time.Minute
				if i%5 == 0 || i%40 >= 30 && i%40 < 34 || down {
					rw.WriteHeader(c.status)
					return
				}
				accept(rw, r, 100*time.Millisecond)
			}, func(w *world) {
				began = w.begin
				w.Attempts = 1000
				w.Limits.Rate = 10
				s := w.run()
				w.ended(s, exit.Delivered, 200, 0, 0, 0, 0)
				if says := strings.Contains(w.watch.talk.String(), " is down ("); says != c.says {
					t.Errorf("it is said to be down: %v\n%s", says, w.watch.talk.String())
				}
				if shows := strings.Contains(strings.Join(w.watch.holding(), "\n"), "server down"); shows != c.says {
					t.Errorf("it is shown to be down: %v: %q", shows, w.watch.holding())
				}
			})
		})
	}
}
