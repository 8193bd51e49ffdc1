package gate_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"sync"

	"github.com/penstock/penstock/throttle/gate"
)

// answer is what a handler says to a request.
func answer(h http.Handler, path, user string) *http.Response {
	r := httptest.NewRequest("GET", path, nil)
	r.SetBasicAuth(user, "")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// One request in ten seconds for each client.
func ExampleGate() {
	g := &gate.Gate{Limits: gate.Limits{Rate: 0.1}}
	upload := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

	server := g.Handler(upload)
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

// A limit for each user, whom a handler around the gate has authenticated, and one for all of them
// together, which is a gate with one key. Health checks pass.
func ExampleGate_users() {
	each := &gate.Gate{
		Name:   "user",
		Limits: gate.Limits{Rate: 1},
		Key: func(r *http.Request) string {
			user, _, _ := r.BasicAuth()
			return user
		},
		Skip: func(r *http.Request) bool { return r.URL.Path == "/healthz" },
	}
	all := &gate.Gate{
		Name:   "all",
		Limits: gate.Limits{Rate: 100, Burst: 2},
		Key:    func(*http.Request) string { return "" },
		Skip:   each.Skip,
		Status: http.StatusServiceUnavailable, // nobody in particular is too fast
	}
	serve := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

	// A request that the first refuses costs the second nothing.
	server := each.Handler(all.Handler(serve))
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

// Limits by plan. A search costs as much as five other requests.
func ExampleGate_plans() {
	plans := map[string]gate.Limits{
		"ann": {Rate: 10, Burst: 20},
		"bob": {Rate: 1, Burst: 5},
	}
	g := &gate.Gate{
		Key: func(r *http.Request) string {
			user, _, _ := r.BasicAuth()
			return user
		},
		LimitsFor: func(user string) gate.Limits { return plans[user] },
		Weight: func(r *http.Request) int {
			if r.URL.Path == "/search" {
				return 5
			}
			return 1
		},
	}
	server := g.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for _, user := range []string{"ann", "bob"} {
		fmt.Println(user, answer(server, "/search", user).StatusCode,
			answer(server, "/search", user).StatusCode)
	}
	// Output:
	// ann 200 200
	// bob 200 429
}

// Refusals are problem documents (RFC 9457), of the type that the draft of RateLimit defines for
// them, and are logged with the client's key.
func ExampleGate_refuse() {
	g := &gate.Gate{
		Limits: gate.Limits{Rate: 0.1},
		Refuse: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			fmt.Fprintf(w, `{"type":%q,"title":"quota exceeded"}`,
				"https://iana.org/assignments/http-problem-types#quota-exceeded")
		},
		Observe: func(e gate.Event) {
			if e.Kind != gate.EventAdmitted {
				fmt.Println(e.Kind, e.Key, e.RetryAfter)
			}
		},
	}
	server := g.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	answer(server, "/upload", "ann")
	resp := answer(server, "/upload", "ann")
	fmt.Println(resp.Status, resp.Header.Get("Retry-After"))
	_, _ = io.Copy(os.Stdout, resp.Body)
	// Output:
	// refused by rate 192.0.2.1 10s
	// 429 Too Many Requests 10
	// {"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"quota exceeded"}
}

// Providers cannot starve consumers: of the five threads of a service they get four, however many
// they are.
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

	providers := &gate.Gate{
		Limits: gate.Limits{InFlight: 4},
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
	key := gate.ForwardedKey(netip.MustParsePrefix("10.0.0.1/32"))
	r := &http.Request{
		RemoteAddr: "10.0.0.1:40312",
		// The client wrote the first.
		Header: http.Header{"X-Forwarded-For": {"203.0.113.7, 198.51.100.4"}},
	}
	fmt.Println(key(r))
	// Output: 198.51.100.4
}
