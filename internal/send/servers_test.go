package send

import (
	"net/http"
	"path/filepath"
	"testing"

	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/source"
)

// The items that are put aside are bounded, also if the server had accepted something just when their number was reached.
func TestItemsAsideAreBounded(t *testing.T) {
	onFakeTime(t, 1, nil, func(w *world) {
		r := newRun(w.Options)
		defer r.pool.Drain(w.Context())
		r.ending.begin = func() {}
		it := source.Item{Path: filepath.Join("d", "f"), URL: "http://127.0.0.1/f"}
		r.order.refused = make([]source.Item, maxAside)
		r.servers.Of("http://other.example") // of one server alone the newest item would be tried
		s := r.servers.Of(nethttp.OriginOf(it.URL))
		for range 20 {
			s.Refuse("d", http.StatusForbidden)
		}
		r.doubting.Store(true)
		if _, doubted := r.doubted(it); !doubted {
			w.Fatal("the server is not in doubt")
		}
		if r.putAside(w.Context(), it) || len(r.order.refused) != maxAside {
			w.Errorf("%d items are aside", len(r.order.refused))
		}
		if _, gone := s.Gone(); gone == nil {
			w.Error("the server is tried further")
		}
	})
}
