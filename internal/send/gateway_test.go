package send

import (
	"net/http"
	"testing"

	"github.com/penstock/penstock/internal/report"
)

// Gateways have statuses of their own for an origin that does not answer in time: the file
// may have arrived, also if they ask to wait.
func TestGatewayStatus(t *testing.T) {
	for _, status := range []int{520, 524, 598} {
		for _, wait := range []string{"", "2"} {
			s := &shelf{do: func(_ int, w http.ResponseWriter, _ *http.Request) bool {
				if wait != "" {
					w.Header().Set("Retry-After", wait)
				}
				w.WriteHeader(status)
				return true
			}}
			onFakeTime(t, 1, s.ServeHTTP, func(w *world) {
				w.method("POST")
				w.items(w.run(), report.ItemCounts{Total: 1, Unknown: 1})
			})
		}
	}
}

// Servers also ask to wait with statuses other than 429 and 503.
func TestRefusalsThatAskToWait(t *testing.T) {
	for _, status := range []int{402, 403, 409, 413, 420, 423, 425, 430, 507, 509} {
		s := &shelf{do: func(n int, w http.ResponseWriter, _ *http.Request) bool {
			if n > 2 {
				return false
			}
			w.Header().Set("Retry-After", "2")
			w.WriteHeader(status)
			return true
		}}
		onFakeTime(t, 20, s.ServeHTTP, func(w *world) {
			w.method("POST")
			w.items(w.run(), report.ItemCounts{Total: 20, Delivered: 20})
		})
	}
}
