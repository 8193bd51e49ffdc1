package send

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/exit"
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

// While a file that grows is sent again and again, that is what is said to be the reason.
func TestGrowingFileIsNamed(t *testing.T) {
	var name string
	n := 0
	onFakeTime(t, 1, func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		time.Sleep(time.Millisecond) // by then the client has closed the body: no request is broken off while this one is handled
		if n++; n <= 3 {
			if err := os.Truncate(name, large+int64(n)); err != nil {
				t.Error(err)
			}
		}
	}, func(w *world) {
		name = w.firstFile()
		if err := os.Truncate(name, large); err != nil {
			t.Fatal(err)
		}
		w.method(http.MethodPut) // scans again
		s := w.run()
		w.ended(s, exit.Delivered, 1, 0, 0, 0, 0)
		if words := "1 file to be tried again; 00000 is sent again from its beginning (the file changed while it was sent)"; !slices.Contains(w.watch.holding(), words) {
			t.Errorf("it says %q", w.watch.holding())
		}
	})
}
