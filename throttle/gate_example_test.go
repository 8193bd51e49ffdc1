package throttle_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"

	"github.com/penstock/penstock/throttle"
)

// answer is what a handler says to a request.
func answer(h http.Handler, path, user string) *http.Response {
	r := httptest.NewRequest("GET", path, nil)
	r.SetBasicAuth(user, "")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// A request each ten seconds for each client.
func ExampleGate() {
	gate := &throttle.Gate{Limits: throttle.Limits{Rate: 0.1}}
	upload := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

	server := gate.Handler(upload)
	for range 2 {
		resp := answer(server, "/upload", "ann")
		fmt.Println(resp.StatusCode, resp.Header.Get("RateLimit"))
		if after := resp.Header.Get("Retry-After"); after != "" {
			fmt.Println("come back in", after, "seconds")
		}
	}
	// Output:
	// 200 "default";r=100;t=1000
	// 429 "default";r=0;t=10
	// come back in 10 seconds
}

// A limit for each user, whom a handler around the gate has authenticated, and one
// for all of them together, which is a gate with one key. Health checks pass.
func ExampleGate_users() {
	each := &throttle.Gate{
		Name:   "user",
		Limits: throttle.Limits{Rate: 1},
		Key: func(r *http.Request) string {
			user, _, _ := r.BasicAuth()
			return user
		},
		Skip: func(r *http.Request) bool { return r.URL.Path == "/healthz" },
	}
	all := &throttle.Gate{
		Name:   "all",
		Limits: throttle.Limits{Rate: 100, Burst: 2},
		Key:    func(*http.Request) string { return "" },
		Skip:   each.Skip,
		Status: http.StatusServiceUnavailable, // nobody in particular is too fast
	}
	serve := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

	server := each.Handler(all.Handler(serve)) // a request that the first refuses costs the second nothing
	for _, user := range []string{"ann", "ann", "bob"} {
		fmt.Println(user, answer(server, "/", user).StatusCode)
	}
	fmt.Println("health", answer(server, "/healthz", "").StatusCode)
	fmt.Println("admitted in all:", all.Stats().Admitted)
	// Output:
	// ann 200
	// ann 429
	// bob 200
	// health 200
	// admitted in all: 2
}

// Providers cannot starve consumers: of the five threads of a service they get
// four, however many they are.
func ExampleGate_classes() {
	threads := make(chan struct{}, 5)
	enough := make(chan struct{})
	var uploading sync.WaitGroup // those that have a thread
	uploading.Add(4)
	upload := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		threads <- struct{}{}
		defer func() { <-threads }()
		uploading.Done()
		<-enough // a long upload
	})
	read := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		threads <- struct{}{}
		defer func() { <-threads }()
	})

	providers := &throttle.Gate{
		Limits: throttle.Limits{InFlight: 4},
		Key:    func(*http.Request) string { return "" },
		Status: http.StatusServiceUnavailable,
	}
	service := http.NewServeMux()
	service.Handle("/upload", providers.Handler(upload))
	service.Handle("/read", read)

	var group sync.WaitGroup
	for range 4 {
		group.Go(func() { answer(service, "/upload", "ann") })
	}
	uploading.Wait()
	fmt.Println("a provider more:", answer(service, "/upload", "bob").StatusCode)
	fmt.Println("a consumer:", answer(service, "/read", "cy").StatusCode)
	close(enough)
	group.Wait()
	fmt.Println("in flight in the end:", providers.Stats().InFlight)
	// Output:
	// a provider more: 503
	// a consumer: 200
	// in flight in the end: 0
}

// Behind a proxy at 10.0.0.1 clients are told apart by what that says.
func ExampleForwardedKey() {
	key := throttle.ForwardedKey(netip.MustParsePrefix("10.0.0.1/32"))
	r := &http.Request{
		RemoteAddr: "10.0.0.1:40312",
		Header:     http.Header{"X-Forwarded-For": {"203.0.113.7, 198.51.100.4"}}, // the client wrote the first
	}
	fmt.Println(key(r))
	// Output: 198.51.100.4
}
