package send

import (
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/memnet"
)

// a key in use means that somebody is at work with it.
func TestKeyInUse(t *testing.T) {
	s := &shelf{}
	name := filepath.Join(t.TempDir(), "j.db")
	done := false
	s.do = func(n int, w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/00000" {
			return false
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		k := s.keys["/00001"]
		switch {
		case len(k) == 1: // taken in, and the connection is lost while it is worked on
			hijacked(w, "", (*memnet.Conn).Close)
		case k[len(k)-1] == k[0] && !done:
			w.WriteHeader(http.StatusConflict)
		default:
			return false
		}
		return true
	}
	onFakeTime(t, 2, s.ServeHTTP, func(w *world) {
		w.method("POST")
		w.Workers = 1
		w.Idempotency, w.Attempts = keys, 3
		w.journal(name)
		sum := w.run()
		t.Logf("%+v %s %v", sum.Items, errorsOf(sum), s.calls)
		done = true
		time.Sleep(time.Minute)
		w.journal(name)
		sum = w.run()
		t.Logf("%+v %s %v", sum.Items, errorsOf(sum), s.calls)
	})
	for _, k := range s.keys["/00001"] {
		if k != s.keys["/00001"][0] {
			t.Errorf("keys: %q", s.keys["/00001"])
		}
	}
}
