package send

import (
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/report"
)

// After a refusal nothing is in doubt, whatever made the journal note the request. Otherwise a 412 after a kill
// would make the file unknown, and a key would be taken for older than it is.
func TestRefusedIsNotInFlight(t *testing.T) {
	for _, set := range []func(*world){
		func(w *world) { w.NoOverwrite = true },
		func(w *world) { w.method("POST"); w.Idempotency = keys },
	} {
		name := filepath.Join(t.TempDir(), "j.db")
		var waiting journal.Item
		s := &shelf{do: func(n int, w http.ResponseWriter, _ *http.Request) bool {
			if n == 1 {
				w.Header().Set("Retry-After", "60")
				w.WriteHeader(http.StatusServiceUnavailable)
				time.AfterFunc(30*time.Second, func() {
					j, err := journal.OpenReader(name)
					if err != nil {
						t.Error(err)
						return
					}
					defer j.Close()
					for waiting, err = range j.Items() {
						if err != nil {
							t.Error(err)
						}
					}
				})
			}
			return n == 1
		}}
		onFakeTime(t, 1, s.ServeHTTP, func(w *world) {
			set(w)
			w.journal(name)
			w.items(w.run(), report.ItemCounts{Total: 1, Delivered: 1})
		})
		if waiting.State != item.Deferred || waiting.Doubt || !waiting.First.IsZero() {
			t.Errorf("while it waits the journal has %v, doubt %v, first %v", waiting.State, waiting.Doubt, waiting.First)
		}
	}
}
