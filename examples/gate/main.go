// Gate limits each client of a server by its plan, and shows that a client with a Transport
// learns the limit from the answers instead of being refused.
//
//	go run ./examples/gate
package main

import (
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"github.com/penstock/penstock/throttle"
	"github.com/penstock/penstock/throttle/gate"
)

// users are the API keys and whose they are.
var users = map[string]string{"key-1": "acme"}

func main() {
	g := newGate()
	upload := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	})
	server := httptest.NewServer(g.Handler(upload))
	defer server.Close()

	fmt.Print("a client that does as it likes: ")
	send(g, server.URL, server.Client(), "")
	time.Sleep(time.Second) // so that nothing is owed
	fmt.Print("one that listens:               ")
	listens := &http.Client{Transport: &throttle.Transport{Base: server.Client().Transport}}
	send(g, server.URL, listens, "")
	fmt.Print("one with an API key:            ")
	listens = &http.Client{Transport: &throttle.Transport{Base: server.Client().Transport}}
	send(g, server.URL, listens, "key-1")
}

func newGate() *gate.Gate {
	return &gate.Gate{
		Key: func(r *http.Request) string {
			if user, ok := users[r.Header.Get("X-Api-Key")]; ok {
				return user // not the API key: keys are in events
			}
			return gate.RemoteKey(r)
		},
		LimitsFor: func(key string) gate.Limits {
			if key == "acme" {
				return gate.Limits{Rate: 60, Burst: 6, InFlight: 32}
			}
			return gate.Limits{Rate: 20, Burst: 2, InFlight: 8}
		},
		Weight: func(r *http.Request) int { return 1 + int(r.ContentLength>>20) }, // 1 more a MiB
		Skip:   func(r *http.Request) bool { return r.URL.Path == "/healthz" },
		Refuse: func(w http.ResponseWriter, _ *http.Request) { // Retry-After is set
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = io.WriteString(w, `{"title":"more requests than your plan allows","status":429}`)
		},
		Observe: func(e gate.Event) {
			if e.Kind != gate.EventAdmitted {
				slog.Debug("refused", "event", e)
			}
		},
	}
}

// send makes 60 requests at once, and says what became of them.
func send(g *gate.Gate, url string, client *http.Client, key string) {
	before, begin := g.Stats(), time.Now()
	var group sync.WaitGroup
	for range 60 {
		group.Go(func() {
			req, err := http.NewRequest(http.MethodPut, url, nil)
			if err != nil {
				log.Print(err)
				return
			}
			req.Header.Set("X-Api-Key", key)
			resp, err := client.Do(req)
			if err != nil {
				log.Print(err)
				return
			}
			resp.Body.Close()
		})
	}
	group.Wait()
	after := g.Stats()
	fmt.Printf("%d served in %.2f s; %d refused over the rate, %d for too many in flight\n",
		after.Admitted-before.Admitted, time.Since(begin).Seconds(),
		after.RefusedByRate-before.RefusedByRate, after.RefusedByInFlight-before.RefusedByInFlight)
}
