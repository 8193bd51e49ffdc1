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
	"github.com/penstock/penstock/internal/report"
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

// Refusals are evidence of a limit if the server was up.
func TestPressed(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	ok := func(p *pressed, sent, now int) { p.note(report.Accepted, 200, at(sent), at(now)) }
	no := func(p *pressed, status int, outcome report.Outcome, now int) {
		p.note(outcome, status, at(now), at(now))
	}
	for _, c := range []struct {
		name string
		do   func(p *pressed)
		want bool
	}{
		{"never refused", func(p *pressed) { ok(p, 1, 2) }, false},
		{"429", func(p *pressed) { no(p, 429, report.Throttled, 1); ok(p, 2, 3) }, true},
		{"429, accepted before", func(p *pressed) { no(p, 429, report.Throttled, 1); ok(p, 0, 3) }, false},
		{"503 once", func(p *pressed) { no(p, 503, report.Overloaded, 1); ok(p, 2, 3) }, false},
		{"503 twice", func(p *pressed) {
			for range 2 {
				no(p, 503, report.Overloaded, 1)
				ok(p, 2, 3)
			}
		}, true},
		{"down twice", func(p *pressed) {
			for range 2 {
				no(p, 503, report.Overloaded, 1)
				p.down = true
				ok(p, 2, 3)
			}
		}, false},
		{"no connection", func(p *pressed) {
			for range 3 {
				no(p, 0, report.Overloaded, 1)
				ok(p, 2, 3)
			}
		}, false},
	} {
		var p pressed
		c.do(&p)
		if got := p.shown(); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
