package send

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/report"
)

// a file that changed between the scan and its turn is sent twice.
func TestChangedBeforeItsTurn(t *testing.T) {
	s := new(shelf)
	name := filepath.Join(t.TempDir(), "j.db")
	onFakeTime(t, 1, s.ServeHTTP, func(w *world) {
		w.method("POST")
		w.Idempotency = keys
		first := w.firstFile()
		if err := os.WriteFile(first, []byte("longer"), 0o600); err != nil {
			w.Fatal(err)
		}
		if err := os.Chtimes(first, time.Time{}, time.Now().Add(time.Hour)); err != nil {
			w.Fatal(err)
		}
		w.journal(name)
		w.items(w.run(), report.ItemCounts{Total: 1, Delivered: 1})
		w.method("POST") // scans again
		w.journal(name)
		sum := w.run()
		w.items(sum, report.ItemCounts{Total: 1, Skipped: 1})
		if s.count() != 1 {
			w.Errorf("%d requests, keys %q", s.count(), s.keys)
		}
	})
}

// new content must not go under the key of the old.
func TestOldKeyNewContent(t *testing.T) {
	s := &shelf{do: func(n int, w http.ResponseWriter, _ *http.Request) bool {
		if n == 1 {
			w.WriteHeader(http.StatusInternalServerError)
		}
		return n == 1
	}}
	name := filepath.Join(t.TempDir(), "j.db")
	onFakeTime(t, 1, s.ServeHTTP, func(w *world) {
		w.method("POST")
		w.Idempotency, w.Attempts = keys, 1
		w.journal(name)
		w.items(w.run(), report.ItemCounts{Total: 1, Failed: 1})
		w.method("POST")
		first := w.firstFile()
		if err := os.WriteFile(first, []byte("longer"), 0o600); err != nil {
			w.Fatal(err)
		}
		if err := os.Chtimes(first, time.Time{}, time.Now().Add(time.Hour)); err != nil {
			w.Fatal(err)
		}
		w.journal(name)
		w.items(w.run(), report.ItemCounts{Total: 1, Delivered: 1})
	})
	if k := s.keys["/00000"]; len(k) != 2 || k[0] == k[1] {
		t.Errorf("keys of two contents: %q", k)
	}
}
