// Transport gives an existing http.Client limits, and a server that asks for a pause its
// pause, by changing one field. It logs what changes the pace, and shows what the limits did.
//
//	go run ./examples/transport
package main

import (
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/throttle"
)

func main() {
	var requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if requests.Add(1) == 30 { // a busy moment
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		}
	}))
	defer server.Close()

	client := server.Client() // whatever client the program has
	transport := &throttle.Transport{
		Base:   client.Transport,
		Limits: throttle.Limits{Rate: 40, InFlight: 8},
		Observe: func(e throttle.Event) {
			if e.Kind == throttle.EventPaused || e.Kind == throttle.EventChanged {
				slog.Info("pace", "event", e)
			}
		},
	}
	client.Transport = transport

	begin := time.Now()
	var group sync.WaitGroup
	var refused atomic.Int64
	for range 100 {
		group.Go(func() {
			resp, err := client.Get(server.URL)
			if err != nil {
				log.Print(err)
				return
			}
			defer resp.Body.Close() // gives its place to the next request
			_, _ = io.Copy(io.Discard, resp.Body)
			if resp.StatusCode != http.StatusOK {
				refused.Add(1)
			}
		})
	}
	group.Wait()
	took := time.Since(begin)

	for key, upstream := range transport.Upstreams() {
		s := upstream.Stats()
		fmt.Printf("%s: %d requests in %.2f s, %d refused, at most %d in flight\n",
			key, s.Sent, took.Seconds(), refused.Load(), s.MaxInFlight)
		fmt.Printf("they waited for the rate for %.2f s, and for the server's pause for %.2f s\n",
			s.Waited.Rate.Seconds(), s.Waited.CoolDown.Seconds())
	}
}
