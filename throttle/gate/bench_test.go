package gate_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/penstock/penstock/throttle/gate"
)

// header is a ResponseWriter that costs nothing.
type header http.Header

func (h header) Header() http.Header         { return http.Header(h) }
func (h header) Write(b []byte) (int, error) { return len(b), nil }
func (h header) WriteHeader(int)             {}

// BenchmarkGate measures what a gate adds to a request.
func BenchmarkGate(b *testing.B) {
	serve := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	for _, bench := range []struct {
		name   string
		limits gate.Limits
		keys   int
	}{
		{"none", gate.Limits{}, 1},
		{"admitted", gate.Limits{Rate: 1e9, InFlight: 1 << 20}, 1},
		{"admitted/10000keys", gate.Limits{Rate: 1e9, InFlight: 1 << 20}, 10_000},
		{"refused", gate.Limits{Rate: 1e-9}, 1},
	} {
		b.Run(bench.name, func(b *testing.B) {
			g := &gate.Gate{Limits: bench.limits}
			handler := g.Handler(serve)
			requests := make([]*http.Request, bench.keys)
			for i := range requests {
				requests[i] = httptest.NewRequest("GET", "/", nil)
				requests[i].RemoteAddr = "10." + strconv.Itoa(i>>16) + "." +
					strconv.Itoa(i>>8&255) + "." + strconv.Itoa(i&255) + ":1234"
				handler.ServeHTTP(header{}, requests[i])
			}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				w := header{}
				for i := 0; pb.Next(); i++ {
					clear(w)
					handler.ServeHTTP(w, requests[i%len(requests)])
				}
			})
		})
	}
}
