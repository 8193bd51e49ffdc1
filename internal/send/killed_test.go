package send

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/journal"
)

// a run that was killed says nothing of when its last attempt ended.
func TestKilledSettles(t *testing.T) {
	name := filepath.Join(t.TempDir(), "j.db")
	onFakeTime(t, 1, new(shelf).ServeHTTP, func(w *world) {
		w.method("POST")
		w.Verify = true
		w.journal(name)
		r := newRun(w.Options)
		for it := range w.Source.Items() {
			j, _ := r.claim(it)
			j.first = time.Now()
			if err := r.Journal.Begin(context.Background(), r.row(j, journal.InFlight)); err != nil {
				w.Fatal(err)
			}
		}
		time.Sleep(time.Hour) // it is a large file
		// Killed: its file as it is then.
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		wal, err := os.ReadFile(name + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		name2 := name + "2.db"
		os.WriteFile(name2, b, 0o600)
		os.WriteFile(name2+"-wal", wal, 0o600)
		r.Journal.Close(0)
		_ = r.pool.Drain(context.Background())

		w.journal(name2)
		r = newRun(w.Options)
		for it := range w.Source.Items() {
			j, wanted := r.claim(it)
			if wanted {
				t.Errorf("asked at once: its attempt ended %v ago, so it thinks", time.Since(j.ended))
			}
		}
		r.Journal.Close(0)
		_ = r.pool.Drain(context.Background())
	})
}
