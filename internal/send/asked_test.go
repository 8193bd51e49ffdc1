package send

import (
	"context"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/report"
)

// The note about --verify counts files, however often one is asked about, and of those that the
// server did not have the ones that were sent again.
func TestVerifyCountsFiles(t *testing.T) {
	const had0, had1 = "--verify: of the files in doubt the server had 0",
		"--verify: of the files in doubt the server had 1"
	for _, c := range []struct {
		name string
		// which request for the second file the server keeps; it answers 500 to each
		keeps int
		stop  time.Duration // 0: never
		sent  []int         // seconds
		items report.ItemCounts
		want  string
	}{
		{"asked three times", 0, 0, []int{10, 80, 130, 180},
			report.ItemCounts{Total: 2, Delivered: 1, Unknown: 1}, had0 +
				"; 1 was sent again, since it did not have it"},
		{"there at first", 1, 0, []int{10},
			report.ItemCounts{Total: 2, Delivered: 2}, had1},
		{"there after that", 2, 0, []int{10, 80},
			report.ItemCounts{Total: 2, Delivered: 2}, had1 +
				"; 1 was sent again, since it did not have it"},
		{"stopped before it is sent again", 0, 75 * time.Second, []int{10},
			report.ItemCounts{Total: 2, Delivered: 1, Deferred: 1}, ""},
		{"stopped after that", 0, 85 * time.Second, []int{10, 80},
			report.ItemCounts{Total: 2, Delivered: 1, Unknown: 1}, had0 +
				"; 1 was sent again, since it did not have it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			kept := map[string]bool{}
			var sent []int
			var begin time.Time
			onFakeTime(t, 2, func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.Method == http.MethodPost && r.URL.Path == "/00001":
					sent = append(sent, int(time.Since(begin).Seconds()))
					kept[r.URL.Path] = len(sent) == c.keeps
					w.WriteHeader(http.StatusInternalServerError)
				case r.Method == http.MethodPost:
					kept[r.URL.Path] = true
					accept(w, r, 0)
				case kept[r.URL.Path]:
					_, _ = io.WriteString(w, "x")
				default:
					w.WriteHeader(http.StatusNotFound)
				}
			}, func(w *world) {
				begin = w.begin
				w.Limits.InFlight, w.Limits.Rate, w.Verify = 1, 0.1, true
				w.method(http.MethodPost)
				w.journal(filepath.Join(w.TempDir(), "j.db"))
				soft, stop := context.WithCancel(w.Context())
				if c.stop > 0 {
					time.AfterFunc(c.stop, stop)
				}
				s := w.runUntil(w.Context(), soft)
				stop()
				w.items(s, c.items)
				if !slices.Equal(sent, c.sent) {
					t.Errorf("sent at %v, want %v", sent, c.sent)
				}
				note := ""
				if i := slices.IndexFunc(s.Notes,
					func(note string) bool {
						return strings.HasPrefix(note,
							"--verify:")
					}); i >= 0 {
					note = s.Notes[i]
				}
				if note != c.want {
					t.Errorf("%q, want %q", note, c.want)
				}
			})
		})
	}
}

// What earlier runs have delivered shows whether a server keeps what it is posted.
func TestVerifyByEarlierDeliveries(t *testing.T) {
	stored := make(map[string]string)
	var posts int
	onFakeTime(t, 4, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case r.Header.Get("Authorization") != "Bearer t":
			w.WriteHeader(http.StatusUnauthorized)
		case r.Method == "POST":
			if posts++; posts == 4 {
				w.WriteHeader(http.StatusInternalServerError) // and it keeps nothing
				return
			}
			stored[r.URL.Path] = string(body)
			w.WriteHeader(http.StatusCreated)
		case stored[r.URL.Path] == "":
			w.WriteHeader(http.StatusNotFound)
		default:
			_, _ = io.WriteString(w, stored[r.URL.Path])
		}
	}, func(w *world) {
		w.Limits.InFlight = 1
		w.Header = http.Header{"Authorization": {"Bearer t"}}
		w.method("POST")
		name := filepath.Join(w.TempDir(), "j.db")
		w.journal(name)
		w.ended(w.run(), exit.Items, 3, 0, 1, 0, 0)
		w.Verify = true
		w.journal(name)
		s := w.run()
		if s.Items.Delivered != 1 || s.Items.Skipped != 3 || posts != 5 {
			t.Errorf("%d posts, %+v\n%s", posts, s.Items, errorsOf(s))
		}
		if want := "--verify: of the files in doubt the server had 0; 1 was sent again, since " +
			"it did not have it"; !slices.Contains(s.Notes, want) {
			t.Errorf("notes %q, want %q", s.Notes, want)
		}
	})
}
