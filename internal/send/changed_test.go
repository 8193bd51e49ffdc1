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
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/journal"
)

// A file was in flight when its run was killed, and has changed since, or had been
// delivered with another content before: what is in doubt is not what is sent now.
func TestChangedWhileInDoubt(t *testing.T) {
	const oldKey = "0b7a5e1e-0000-8000-8000-000000000000"
	for _, c := range []struct {
		name        string
		method      string
		noOverwrite bool
		before      time.Duration // how much older the file was that was in flight
		delivered   bool          // another content of it, earlier
	}{
		{"POST with a key", http.MethodPost, false, time.Hour, false},
		{"PUT --no-overwrite", http.MethodPut, true, time.Hour, false},
		{"PUT --no-overwrite, delivered before", http.MethodPut, true, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			onFakeTime(t, 1, func(rw http.ResponseWriter, r *http.Request) {
				if got := r.Header.Get("Idempotency-Key"); got == `"`+oldKey+`"` {
					t.Error("the new content has the key of the old one")
				}
				if c.noOverwrite { // the server has the old content
					rw.WriteHeader(http.StatusPreconditionFailed)
					return
				}
				accept(rw, r, 0)
			}, func(w *world) {
				w.method(c.method)
				w.NoOverwrite = c.noOverwrite
				if c.method == http.MethodPost {
					w.Idempotency = Idempotency{Header: "Idempotency-Key", Lifetime: 24 * time.Hour}
				}
				o := journal.Options{Path: filepath.Join(w.TempDir(), "journal.db"), Started: time.Now()}
				j, err := journal.Open(w.Context(), o)
				if err != nil {
					w.Fatal(err)
				}
				for it, err := range w.Source.Items() {
					if err != nil {
						w.Fatal(err)
					}
					row := journal.Item{
						ID: identityOf(it).id(), Method: it.Method, Path: it.Path, Rel: it.Rel, URL: it.URL, First: time.Now(),
						Fingerprint: journal.Fingerprint{Size: it.Size + 1, ModTime: it.ModTime.Add(-2 * time.Hour)},
					}
					if c.delivered {
						row.State = item.Delivered
						j.Put(row, nil)
					}
					row.Fingerprint, row.Older = fingerprintOf(it), c.delivered
					row.ModTime = it.ModTime.Add(-c.before)
					if row.Key = ""; c.method == http.MethodPost {
						row.Key = oldKey
					}
					if err := j.Begin(w.Context(), row); err != nil {
						w.Fatal(err)
					}
				}
				if err := j.Close(-1); err != nil {
					w.Fatal(err)
				}
				if w.Journal, err = journal.Open(w.Context(), o); err != nil {
					w.Fatal(err)
				}
				s := w.run()
				if c.noOverwrite && s.Items.Delivered > 0 {
					w.Errorf("it is said to be %s, and the server has an older content: %+v", item.Delivered, s.Items)
				}
			})
		})
	}
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
