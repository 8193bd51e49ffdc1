package send

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/source"
)

// However many servers a manifest names, one that gets no more of the run gets no more of it.
func TestGoneServersAreRemembered(t *testing.T) {
	onFakeTime(t, 1, nil, func(w *world) {
		r := newRun(w.Options)
		defer r.pool.Drain(w.Context())
		r.mu.Lock()
		defer r.mu.Unlock()
		key := func(i int) string { return fmt.Sprintf("http://h%d.example", i) }
		for i := range maxServers {
			if s := r.serverLocked(key(i)); i%2 == 0 {
				s.gone = errors.New("refuses everything")
			}
		}
		for i := range maxServers / 4 {
			r.serverLocked(key(maxServers + i))
		}
		if len(r.servers) != maxServers {
			w.Errorf("%d servers are remembered", len(r.servers))
		}
		for i := 0; i < maxServers; i += 2 {
			if r.serverLocked(key(i)).gone == nil {
				w.Fatalf("%s gets files again", key(i))
			}
		}
	})
}

// The items that are put aside are bounded, also if the server had accepted something just when their number was reached.
func TestItemsAsideAreBounded(t *testing.T) {
	onFakeTime(t, 1, nil, func(w *world) {
		r := newRun(w.Options)
		defer r.pool.Drain(w.Context())
		r.ending.begin = func() {}
		it := source.Item{Path: filepath.Join("d", "f"), URL: "http://127.0.0.1/f"}
		r.order.refused = make([]source.Item, maxAside)
		r.mu.Lock()
		r.serverLocked("http://other.example") // of one server alone the newest item would be tried
		s := r.serverLocked(nethttp.OriginOf(it.URL))
		s.alike = alike{row: manyAlike, status: http.StatusForbidden, dir: "d"}
		r.mu.Unlock()
		r.doubting.Store(true)
		if _, doubted := r.doubted(it); !doubted {
			w.Fatal("the server is not in doubt")
		}
		if r.putAside(w.Context(), it) || len(r.order.refused) != maxAside {
			w.Errorf("%d items are aside", len(r.order.refused))
		}
		if s.gone == nil {
			w.Error("the server is tried further")
		}
	})
}
