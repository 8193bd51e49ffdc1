// Gate limits each client of a server to 20 requests a second, and shows that a
// client with a Transport learns the limit from the answers instead of being
// refused.
//
//	go run ./examples/gate
package main

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"github.com/penstock/penstock/throttle"
	"github.com/penstock/penstock/throttle/gate"
)

func main() {
	g := &gate.Gate{
		Limits: gate.Limits{Rate: 20, InFlight: 8},
		Skip:   func(r *http.Request) bool { return r.URL.Path == "/healthz" },
	}
	upload := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	server := httptest.NewServer(g.Handler(upload))
	defer server.Close()

	send := func(client *http.Client) {
		before, begin := g.Stats(), time.Now()
		var group sync.WaitGroup
		for range 60 {
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
		after := g.Stats()
		fmt.Printf("%d served, %d refused over the rate, %d in flight, in %.2f s\n",
			after.Admitted-before.Admitted, after.RefusedByRate-before.RefusedByRate,
			after.RefusedByInFlight-before.RefusedByInFlight, time.Since(begin).Seconds())
	}
	fmt.Print("a client that does as it likes: ")
	send(server.Client())

	time.Sleep(time.Second) // so that nothing is owed
	fmt.Print("one that listens:               ")
	send(&http.Client{Transport: &throttle.Transport{Base: server.Client().Transport}})
}
