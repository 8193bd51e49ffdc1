package send

import (
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/memnet"
	"github.com/penstock/penstock/internal/report"
)

// A key in use means that a request with it is worked on: the same key is sent again, by the next run
// too.
func TestKeyInUse(t *testing.T) {
	name, done := filepath.Join(t.TempDir(), "j.db"), false
	var mu sync.Mutex
	var got []string // the keys of the second file
	onFakeTime(t, 2, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/00000" {
			atOnce(w, r)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		switch got = append(got, r.Header.Get("Idempotency-Key")); {
		case len(got) == 1: // taken in, and the connection is lost while it is worked on
			hijacked(w, "", (*memnet.Conn).Close)
		case !done:
			w.WriteHeader(http.StatusConflict)
		default:
			atOnce(w, r)
		}
	}, func(w *world) {
		w.method("POST")
		w.Workers = 1
		w.Idempotency, w.Attempts = keys, 3
		w.journal(name)
		w.items(w.run(), report.ItemCounts{Total: 2, Delivered: 1, Unknown: 1})
		done = true
		time.Sleep(time.Minute)
		w.Only = []item.Fate{item.Unknown}
		w.journal(name)
		w.items(w.run(), report.ItemCounts{Total: 2, Delivered: 1, Skipped: 1})
	})
	for _, key := range got {
		if key == "" || key != got[0] {
			t.Errorf("keys: %q", got)
		}
	}
}
