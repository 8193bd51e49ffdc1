package send

import (
	"net/http"
	"testing"

	"github.com/penstock/penstock/internal/report"
)

func TestOtherMethods(t *testing.T) {
	s := &shelf{do: func(n int, w http.ResponseWriter, _ *http.Request) bool {
		if n == 1 {
			w.WriteHeader(http.StatusInternalServerError)
		}
		return n == 1
	}}
	onFakeTime(t, 1, s.ServeHTTP, func(w *world) {
		w.method("APPEND")
		w.items(w.run(), report.ItemCounts{Total: 1, Unknown: 1})
	})
}
