// Proxy stands in front of a server with a limit, for programs that send as fast as they can and
// have no backoff: an httputil.ReverseProxy finds the server's pace, waits, and repeats what is
// safe. In the programs nothing but the address changes.
//
//	go run ./examples/proxy
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
)

// newProxy returns a proxy for one server. Bodies of up to 1 MiB are kept, to be sent again; longer
// ones have one attempt.
func newProxy(target *url.URL) *httputil.ReverseProxy {
	client := &retry.Client{
		HTTP:   &http.Client{Transport: new(throttle.Transport)},
		Buffer: 1 << 20,
	}
	return &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: client.StandardClient().Transport, // which leaves redirects to the program
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			status := http.StatusBadGateway
			if retry.OutcomeOf(nil, err).Outcome == retry.Deferred { // later it may succeed
				status = http.StatusServiceUnavailable
			}
			log.Print(err)
			w.WriteHeader(status)
		},
	}
}

func main() {
	limit := rate.NewLimiter(50, 5)
	var refused atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if !limit.Allow() {
			refused.Add(1)
			w.WriteHeader(http.StatusTooManyRequests)
		}
	}))
	defer server.Close()
	target, err := url.Parse(server.URL)
	if err != nil {
		log.Fatal(err)
	}

	try := func(name string, handler http.Handler) (lost int64) {
		proxy := httptest.NewServer(handler)
		defer proxy.Close()
		_ = limit.WaitN(context.Background(), 5) // begin with an empty bucket
		refused.Store(0)
		lost = send(proxy.URL, 20, 10)
		fmt.Printf("%s: the server refused %d requests, and %d of 200 files were lost\n", name,
			refused.Load(), lost)
		return lost
	}
	try("a plain proxy", httputil.NewSingleHostReverseProxy(target))
	if try("with penstock", newProxy(target)) > 0 {
		os.Exit(1)
	}
}

// send puts files from so many workers at once, with no thought for the server, and returns how
// many were not accepted.
func send(to string, workers, files int) int64 {
	var lost atomic.Int64
	var group sync.WaitGroup
	for worker := range workers {
		group.Go(func() {
			for file := range files {
				req, err := http.NewRequest(http.MethodPut, fmt.Sprintf("%s/%d-%d", to, worker, file),
					strings.NewReader("content"))
				if err != nil {
					log.Fatal(err)
				}
				resp, err := http.DefaultClient.Do(req)
				if err != nil || resp.StatusCode != http.StatusOK {
					lost.Add(1)
				}
				if err == nil {
					resp.Body.Close()
				}
			}
		})
	}
	group.Wait()
	return lost.Load()
}
