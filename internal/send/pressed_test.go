package send

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/throttle"
)

// A server that was down for a while is not said to refuse a pace, or to take so many at once.
func TestOutageAccusesNobody(t *testing.T) {
	for name, limits := range map[string]throttle.Limits{"given": {Rate: 10}, "found": {}} {
		t.Run(name, func(t *testing.T) {
			var once sync.Once
			var begin time.Time
			onFakeTime(t, 600, func(w http.ResponseWriter, r *http.Request) {
				once.Do(func() { begin = time.Now() })
				if d := time.Since(begin); d > 4*time.Second && d < 24*time.Second {
					w.WriteHeader(http.StatusServiceUnavailable)
					return
				}
				accept(w, r, 100*time.Millisecond)
			}, func(w *world) {
				w.Limits = limits
				s := w.run()
				w.ended(s, exit.Delivered, 600, 0, 0, 0, 0)
				if limits.Rate > 0 && s.Learned != (progress.Learned{}) {
					t.Errorf("it learned %+v", s.Learned)
				}
				for _, words := range w.watch.holding() {
					if strings.Contains(words, "the server refuses") || strings.Contains(words, "is refused") {
						t.Errorf("it says %q", words)
					}
				}
			})
		})
	}
}

// A large file that the server refused after its last byte begins anew, and the progress says so.
func TestSaysWhyBytesFallBack(t *testing.T) {
	refuse := true
	c := etaCase{sizes: files(1, 4<<20), serve: func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		time.Sleep(time.Second)
		if refuse {
			refuse = false
			w.Header().Set("Retry-After", "3")
			w.WriteHeader(http.StatusTooManyRequests)
		}
	}}
	seen, _ := c.run(t)
	said := false
	for _, s := range seen {
		if strings.Contains(s.Holding, "00000 is sent again from its beginning (429)") {
			said = true
			if s.Elapsed < time.Second || s.Elapsed > 12*time.Second {
				t.Errorf("after %v: %q", s.Elapsed, s.Holding)
			}
		}
	}
	if !said {
		t.Error("it does not say why bytes fall back")
	}
}
