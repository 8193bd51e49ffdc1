package gate

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/throttle"
)

// A Transport that is told nothing finds the pace that a Gate takes, is hardly ever refused, and
// gets all requests through.
func TestAndTransport(t *testing.T) {
	const (
		requests   = 200
		mostWasted = 15
		mostTime   = 3 // times what the limits take
	)
	for _, test := range []struct {
		limits  Limits
		latency time.Duration
		least   time.Duration
	}{
		{Limits{Rate: 10}, 100 * ms, 20 * time.Second},
		{Limits{Rate: 10}, 3 * time.Second, 26 * time.Second}, // the first answer is waited for
		{Limits{Rate: 10, Burst: 10}, 100 * ms, 19 * time.Second},
		{Limits{Rate: 1}, 100 * ms, 199 * time.Second},
		{Limits{InFlight: 3}, 300 * ms, 20 * time.Second},
		{Limits{Rate: 10, InFlight: 3}, 300 * ms, 20 * time.Second},
	} {
		name := fmt.Sprintf("%v a second, burst %d, %d in flight, latency %v",
			test.limits.Rate, test.limits.Burst, test.limits.InFlight, test.latency)
		synctest.Test(t, func(t *testing.T) {
			g := &Gate{Limits: test.limits}
			s := newSite(t, g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				time.Sleep(test.latency)
				ok(w, r)
			})))
			client := &http.Client{Transport: &throttle.Transport{Base: s.base}}
			var taken atomic.Int64
			var group sync.WaitGroup
			for range 64 {
				group.Go(func() {
					for taken.Add(1) <= requests {
						for status := 0; status != http.StatusOK; {
							resp, err := client.Get("http://a/")
							if err != nil {
								t.Error(err)
								return
							}
							resp.Body.Close()
							status = resp.StatusCode
						}
					}
				})
			}
			group.Wait()
			took, stats := s.now(), g.Stats()
			t.Logf("%s: %v, refused %d for the rate, %d in flight", name, took, stats.RefusedByRate,
				stats.RefusedByInFlight)
			if wasted := stats.RefusedByRate +
				stats.RefusedByInFlight; stats.Admitted != requests || wasted > mostWasted ||
				took > mostTime*test.least {
				t.Errorf("%s: %d admitted, %d refused, %v", name, stats.Admitted, wasted, took)
			}
		})
	}
}
