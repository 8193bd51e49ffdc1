package send

import (
	"context"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/report"
)

// --again says nothing of what came into doubt after it.
func TestAgainInDoubt(t *testing.T) {
	s := new(shelf)
	name := filepath.Join(t.TempDir(), "j.db")
	onFakeTime(t, 1, s.ServeHTTP, func(w *world) {
		w.method("POST")
		w.journal(name)
		w.items(w.run(), report.ItemCounts{Total: 1, Delivered: 1})
		time.Sleep(time.Hour)
		w.Again = time.Now()
		s.do = func(n int, w http.ResponseWriter, _ *http.Request) bool {
			if n == 2 {
				w.WriteHeader(http.StatusInternalServerError)
			}
			return n == 2
		}
		w.journal(name)
		w.items(w.run(), report.ItemCounts{Total: 1, Unknown: 1})
		time.Sleep(time.Hour)
		w.journal(name) // the same command goes on
		w.items(w.run(), report.ItemCounts{Total: 1, Unknown: 1})
		if s.count() != 2 {
			w.Errorf("%d requests", s.count())
		}
	})
}

// also what was deferred keeps its key.
func TestDeferredKeepsKey(t *testing.T) {
	s := &shelf{}
	name := filepath.Join(t.TempDir(), "j.db")
	onFakeTime(t, 1, s.ServeHTTP, func(w *world) {
		w.method("POST")
		w.Idempotency = keys
		s.do = func(n int, w http.ResponseWriter, _ *http.Request) bool {
			switch n {
			case 1:
				w.WriteHeader(http.StatusUnprocessableEntity)
			case 2:
				w.Header().Set("Retry-After", "3600")
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			return n <= 2
		}
		w.journal(name)
		w.items(w.run(), report.ItemCounts{Total: 1, Failed: 1})
		w.MaxWait = time.Minute
		w.journal(name)
		w.items(w.run(), report.ItemCounts{Total: 1, Deferred: 1})
		time.Sleep(time.Hour)
		w.journal(name)
		w.items(w.run(), report.ItemCounts{Total: 1, Delivered: 1})
	})
	if k := s.keys["/00000"]; len(k) != 3 || k[2] == k[0] {
		t.Errorf("the server may replay its refusal of the first: %q", k)
	}
}

// A file that --resend-unknown has sent again may be there from the attempt before.
func TestNoOverwriteByOrder(t *testing.T) {
	s := &shelf{do: func(n int, w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusPreconditionFailed)
		return true
	}}
	name := filepath.Join(t.TempDir(), "j.db")
	onFakeTime(t, 1, s.ServeHTTP, func(w *world) {
		w.method("PUT")
		w.NoOverwrite, w.ResendUnknown = true, true
		w.journal(name)
		r := newRun(w.Options)
		for it := range w.Source.Items() {
			j, _ := r.claim(it)
			j.first = time.Now()
			r.Journal.Put(r.row(j, item.InFlight), nil)
		}
		r.Journal.Close(0)
		_ = r.pool.Drain(context.Background())
		w.journal(name)
		w.items(w.run(), report.ItemCounts{Total: 1, Unknown: 1})
	})
}
