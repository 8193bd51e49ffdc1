// Prometheus shows what the limits of a Transport do as metrics: requests, refusals, what is
// in flight and what waits, and the rate and the limit that were given or found. It is a
// module of its own, so that Prometheus is nobody's dependency.
//
//	cd examples/prometheus && go run .
package main

import (
	"bufio"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	"github.com/penstock/penstock/throttle"
	"github.com/penstock/penstock/throttle/gate"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func main() {
	// A program of your own needs these lines.
	transport := &throttle.Transport{}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector{transport})
	metrics := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})

	limited := &gate.Gate{Limits: gate.Limits{Rate: 50, Burst: 5}}
	empty := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	server := httptest.NewServer(limited.Handler(empty))
	defer server.Close()
	client := &http.Client{Transport: transport}
	var group sync.WaitGroup
	for range 100 {
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

	answer := httptest.NewRecorder()
	metrics.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	n := 0
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if !strings.HasPrefix(lines.Text(), "#") {
			fmt.Println(lines.Text())
			n++
		}
	}
	fmt.Printf("100 requests were sent, and /metrics has %d lines about them\n", n)
}
