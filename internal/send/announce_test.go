package send

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/journal"
)

// a pass at the end is announced as the first one was.
func TestLaterPassAnnounced(t *testing.T) {
	name := filepath.Join(t.TempDir(), "j.db")
	var states []string
	var bad string
	calls := map[string]int{}
	s := &shelf{}
	s.do = func(n int, w http.ResponseWriter, r *http.Request) bool {
		s.mu.Lock()
		calls[r.URL.Path]++
		c := calls[r.URL.Path]
		if bad == "" {
			bad = r.URL.Path
		}
		isBad := r.URL.Path == bad
		s.mu.Unlock()
		if !isBad {
			return false
		}
		switch c {
		case 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 2:
			w.WriteHeader(http.StatusInsufficientStorage)
		default:
			j, err := journal.OpenReader(name)
			if err != nil {
				t.Error(err)
				return false
			}
			defer j.Close()
			for it := range j.Items() {
				if strings.HasSuffix(it.URL, bad) {
					states = append(states, it.State.String())
				}
			}
			return false
		}
		return true
	}
	onFakeTime(t, 2, s.ServeHTTP, func(w *world) {
		w.method("POST")
		w.Workers = 1
		w.journal(name)
		sum := w.run()
		t.Logf("%+v %v %v %v", sum.Items, calls, states, errorsOf(sum))
	})
	if len(states) != 1 || states[0] != "in_flight" {
		t.Errorf("while it is sent again the journal has %q", states)
	}
}
