package send

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/memnet"
	"github.com/penstock/penstock/internal/race"
	"github.com/penstock/penstock/internal/report"
)

// A server that says that it has a file already may have it from an attempt whose answer was
// another.
func TestExistsAfterDoubt(t *testing.T) {
	stored := answer{stores: true, status: http.StatusBadGateway}
	for _, c := range []struct {
		name        string
		method      string
		keyed       bool
		noOverwrite bool
		answers     []answer
		exists      int  // what the server says from then on
		older       bool // it has another content from an earlier run
		want        item.Fate
		asked       item.Fate // the same under --verify
		requests    int
	}{
		{"PUT", "PUT", false, false, []answer{stored}, 409, false, item.Unknown, item.Delivered, 2},
		{"PUT, by a condition of the user", "PUT", false, false, []answer{stored}, 412, false,
			item.Unknown, item.Delivered, 2},
		{"PUT --no-overwrite", "PUT", false, true, []answer{stored}, 409, false, item.Unknown,
			item.Delivered, 2},
		{"PUT --no-overwrite, 412", "PUT", false, true, []answer{stored}, 412, false,
			item.Unknown, item.Delivered, 2},
		{"PUT --no-overwrite, older", "PUT", false, true, []answer{{status: 502}}, 412, true,
			item.Unknown, item.Unknown, 2},
		{"PUT, gateway asks to wait", "PUT", false, false,
			[]answer{{stores: true, status: 504,
				wait: 1}}, 409, false, item.Unknown, item.Delivered, 2},
		{"POST with a key", "POST", true, false, []answer{stored}, 409, false, item.Unknown,
			item.Delivered, 1 + mostConflicts},
		{"POST with a key, 412", "POST", true, true, []answer{stored}, 412, false, item.Unknown,
			item.Delivered, 2},
		// Nothing is in doubt: it is a refusal like others.
		{"PUT, refused", "PUT", false, false, nil, 409, false, item.Failed, item.Failed, 1},
		{"PUT, refused with 412", "PUT", false, true, nil, 412, false, item.Failed, item.Failed, 1},
		{"PUT, refused after 503", "PUT", false, false, []answer{{status: 503}}, 409, false,
			item.Failed, item.Failed, 2},
		{"POST", "POST", false, false, nil, 409, false, item.Failed, item.Failed, 1},
		{"PUT with a key", "PUT", true, false, nil, 409, false, item.Failed, item.Failed,
			mostConflicts},
		{"PUT with a key, in doubt", "PUT", true, false, []answer{stored}, 409, false,
			item.Unknown, item.Delivered, 1 + mostConflicts},
		// Another request may have that key.
		{"POST with a key, never sent", "POST", true, false, nil, 409, false, item.Unknown,
			item.Unknown, mostConflicts},
		{"POST with a key, refused", "POST", true, false, []answer{{status: 503}}, 409, false,
			item.Unknown, item.Unknown, 1 + mostConflicts},
	} {
		for _, verify := range []bool{false, true} {
			name, want := c.name, c.want
			if verify {
				name, want = name+", verify", c.asked
			}
			t.Run(name, func(t *testing.T) {
				onScene(t, func(s *scene) {
					if c.keyed {
						s.Idempotency = keys
					}
					if s.write("a"); c.older {
						s.send(c.method)
						s.write("b")
					}
					s.Attempts, s.NoOverwrite, s.Verify = 8, c.noOverwrite, verify
					answers := c.answers
					for range 8 {
						answers = append(answers, answer{status: c.exists})
					}
					s.keeper.requests = 0
					begun := time.Now()
					sum := s.send(c.method, answers...)
					got := map[item.Fate]int64{item.Delivered: sum.Items.Delivered,
						item.Unknown: sum.Items.Unknown, item.Failed: sum.Items.Failed}
					if got[want] != 1 || s.keeper.requests != c.requests {
						s.Errorf("%+v, want it %s, after %d requests in %v, want %d\n%s",
							sum.Items, want, s.keeper.requests, time.Since(begun), c.requests,
							errorsOf(sum))
					}
					var says string
					switch {
					case want != item.Unknown:
					case len(c.answers) > 0 && c.answers[0].status != http.StatusServiceUnavailable:
						says = "what the server has may be from an attempt before"
					default:
						says = "another request with this idempotency key may have been accepted"
					}
					for _, words := range []string{"may be from an attempt before",
						"another request with this"} {
						if said := strings.Contains(errorsOf(sum),
							words); said != strings.Contains(says, words) {
							s.Errorf("it says %q: %v\n%s", words, said, errorsOf(sum))
						}
					}
				})
			})
		}
	}
}

// [no overwrite] A file that is there under --no-overwrite may be another program's: an attempt
// that may have been accepted does not make it ours.
func TestExistsByAnotherProgram(t *testing.T) {
	for _, content := range []string{"z", "zz"} {
		for _, verify := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, verify %v", content, verify), func(t *testing.T) {
				onScene(t, func(s *scene) {
					s.write("a")
					s.keeper.content = content
					s.Attempts, s.NoOverwrite, s.Verify = 8, true, verify
					s.items(s.send("PUT", answer{status: http.StatusBadGateway}),
						report.ItemCounts{Total: 1, Unknown: 1})
					if s.keeper.requests != 2 {
						s.Errorf("%d requests, want 2", s.keeper.requests)
					}
				})
			})
		}
	}
}

// A server that has all the files already works: under --no-overwrite its 412 is no reason to give
// it up, however long the run takes.
func TestExistsForHours(t *testing.T) {
	for i, c := range []struct {
		name  string
		every time.Duration
		// whether the nth request for a file is answered 502
		broken          func(path string, n int) bool
		failed, unknown int64
	}{
		{"all exist", time.Hour / 12, func(string, int) bool { return false }, 30, 0},
		{"one failure", time.Hour / 12, func(path string, n int) bool {
			return path == "/00000" &&
				n == 1
		}, 29, 1},
		{"each fails once", time.Second, func(_ string, n int) bool { return n == 1 }, 0, 30},
	} {
		t.Run(c.name, func(t *testing.T) {
			race.Few(t, 2-i) // the last one is the shortest
			var mu sync.Mutex
			requests := map[string]int{}
			onFakeTime(t, 30, func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				requests[r.URL.Path]++
				n := requests[r.URL.Path]
				mu.Unlock()
				w.WriteHeader(map[bool]int{true: http.StatusBadGateway,
					false: http.StatusPreconditionFailed}[c.broken(r.URL.Path, n)])
			}, func(w *world) {
				w.NoOverwrite = true
				w.Attempts = 8
				w.Limits.Rate, w.Limits.InFlight = rate.Every(c.every), 1
				s := w.run()
				w.ended(s, exit.Items, 0, c.failed, c.unknown, 0, 0)
			})
		})
	}
}

// [no overwrite] A 412 under --no-overwrite says that a file is there. It may be ours if an attempt
// before may have been accepted.
func TestNoOverwrite(t *testing.T) {
	for _, lost := range []bool{true, false} {
		server := nth(func(n int, w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("If-None-Match") != "*" {
				t.Errorf("If-None-Match: %q", r.Header["If-None-Match"])
			}
			if n == 1 && lost {
				hijacked(w, "", (*memnet.Conn).Reset)
			} else {
				w.WriteHeader(http.StatusPreconditionFailed)
			}
			return true
		})
		onFakeTime(t, 1, server, func(w *world) {
			w.NoOverwrite = true
			want := report.ItemCounts{Total: 1, Failed: 1}
			if lost {
				want = report.ItemCounts{Total: 1, Unknown: 1}
			}
			w.items(w.run(), want)
		})
	}
}
