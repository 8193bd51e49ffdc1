package send

import (
	"net/http"
	"testing"

	"github.com/penstock/penstock/internal/report"
)

// Gateways have statuses of their own for an origin that does not answer in time: the file
// may have arrived.
func TestGatewayStatus(t *testing.T) {
	for _, status := range []int{520, 524, 598} {
		s := &shelf{do: func(_ int, w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(status)
			return true
		}}
		onFakeTime(t, 1, s.ServeHTTP, func(w *world) {
			w.method("POST")
			w.items(w.run(), report.ItemCounts{Total: 1, Unknown: 1})
		})
	}
}
