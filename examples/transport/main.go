// Transport gives an existing http.Client a steady pace by changing one field,
// and shows what the limits do.
//
//	go run ./examples/transport
package main

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"github.com/penstock/penstock/throttle"
)

func main() {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()

	client := server.Client() // whatever client the program has
	transport := &throttle.Transport{
		Base:   client.Transport,
		Limits: throttle.Limits{Rate: 20, InFlight: 4},
		Observe: func(e throttle.Event) {
			if e.Kind == throttle.EventPaused {
				log.Printf("%s: paused until %v (%s)", e.Key, e.Until, e.Source)
			}
		},
	}
	client.Transport = transport

	begin := time.Now()
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			resp, err := client.Get(server.URL)
			if err != nil {
				log.Print(err)
				return
			}
			resp.Body.Close()
		})
	}
	group.Wait()

	stats := transport.Upstream(server.URL).Stats()
	fmt.Printf("%d requests in %.2f s, at most %d in flight; held back by the rate for %.2f s\n",
		stats.Sent, time.Since(begin).Seconds(), stats.MaxInFlight, stats.Waited.Rate.Seconds())
}
