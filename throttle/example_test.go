package throttle_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/penstock/penstock/throttle"
	"golang.org/x/time/rate"
)

// Ten workers share one pace: a request every 5 ms, whichever worker makes it.
func ExampleBucket() {
	bucket := throttle.NewBucket(200, 1)
	begin := time.Now()
	var workers sync.WaitGroup
	for range 10 {
		workers.Go(func() {
			if err := bucket.Wait(context.Background()); err != nil {
				fmt.Println(err)
				return
			}
			// Send a request.
		})
	}
	workers.Wait()
	fmt.Println("the tenth after 45 ms or more:", time.Since(begin) >= 45*time.Millisecond)
	// Output: the tenth after 45 ms or more: true
}

// A request that costs ten tokens waits for all of them, though the bucket never
// holds more than one.
func ExampleBucket_WaitN() {
	bucket := throttle.NewBucket(1000, 1)
	begin := time.Now()
	if err := bucket.WaitN(context.Background(), 10); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("one was there, nine took 9 ms or more:", time.Since(begin) >= 9*time.Millisecond)
	// Output: one was there, nine took 9 ms or more: true
}

// A new rate acts on the waiters that are there.
func ExampleBucket_SetRate() {
	bucket := throttle.NewBucket(rate.Every(time.Hour), 1)
	bucket.Allow() // the next one is due in an hour

	var waiter sync.WaitGroup
	waiter.Go(func() {
		fmt.Println(bucket.Wait(context.Background()))
	})
	bucket.SetRate(1000)
	waiter.Wait()
	// Output: <nil>
}

// A pause holds everybody. It ends by itself, or with Resume.
func ExampleBucket_Pause() {
	bucket := throttle.NewBucket(rate.Inf, 1)
	bucket.Pause(time.Now().Add(time.Hour))
	fmt.Println("may I send?", bucket.Allow())
	bucket.Resume()
	fmt.Println("may I now?", bucket.Allow())
	// Output:
	// may I send? false
	// may I now? true
}

// All readers of a Bandwidth together get a mebibyte a second.
func ExampleBandwidth_Reader() {
	bandwidth := throttle.NewBandwidth(1 << 20)
	source := strings.NewReader("a few bytes of a file")
	if _, err := io.Copy(os.Stdout, bandwidth.Reader(context.Background(), source)); err != nil {
		fmt.Println(err)
	}
	// Output: a few bytes of a file
}

// For a protocol that is not HTTP: ask before each request, and tell how it went.
func ExampleUpstream() {
	upstream := throttle.NewUpstream(throttle.Limits{Rate: 1000, InFlight: 4})
	query := func() error { return nil }

	permit, err := upstream.Acquire(context.Background(), 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	feedback := throttle.Feedback{Signal: throttle.SignalSuccess}
	if err := query(); err != nil {
		// Nobody asks again for ten seconds.
		feedback = throttle.Feedback{Signal: throttle.SignalOverloaded, RetryAt: time.Now().Add(10 * time.Second)}
	}
	permit.Done(feedback)

	stats := upstream.Stats()
	fmt.Println(stats.Sent, "sent,", stats.Succeeded, "succeeded,", stats.InFlight, "in flight")
	// Output: 1 sent, 1 succeeded, 0 in flight
}

// greeter is a server to send requests to.
func greeter() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello, %s", strings.TrimPrefix(r.URL.Path, "/"))
	}))
}

// One field of an http.Client paces all that goes through it.
func ExampleTransport() {
	server := greeter()
	defer server.Close()

	client := &http.Client{Transport: &throttle.Transport{
		Limits: throttle.Limits{Rate: 100, InFlight: 8},
	}}
	for _, name := range []string{"ann", "bob"} {
		resp, err := client.Get(server.URL + "/" + name)
		if err != nil {
			fmt.Println(err)
			return
		}
		io.Copy(os.Stdout, resp.Body)
		resp.Body.Close()
		fmt.Println()
	}
	client.CloseIdleConnections()
	// Output:
	// hello, ann
	// hello, bob
}

// Stop ends a program cleanly: a call that waits gets an error, and nothing of its request was sent.
func ExampleTransport_Stop() {
	server := greeter()
	defer server.Close()

	transport := &throttle.Transport{Limits: throttle.Limits{Rate: 100}}
	client := &http.Client{Transport: transport}
	transport.Stop(errors.New("the program ends"))

	_, err := client.Get(server.URL)
	var stopped *throttle.StopError
	if errors.As(err, &stopped) {
		fmt.Println(stopped)
	}
	// Output: throttle: stopped, nothing was sent: the program ends
}

// The limits of a server can be changed, and its statistics read, while it is in use.
func ExampleTransport_Upstream() {
	server := greeter()
	defer server.Close()

	transport := &throttle.Transport{Limits: throttle.Limits{Rate: 100}}
	client := &http.Client{Transport: transport}
	defer client.CloseIdleConnections()
	resp, err := client.Get(server.URL + "/ann")
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()

	upstream := transport.Upstream(server.URL) // scheme and host
	if err := upstream.SetLimits(throttle.Limits{Rate: 50, InFlight: 4}); err != nil {
		fmt.Println(err)
	}
	stats := upstream.Stats()
	fmt.Printf("%d sent, %d succeeded, now at most %v a second\n", stats.Sent, stats.Succeeded, stats.Limits.Rate)
	// Output: 1 sent, 1 succeeded, now at most 50 a second
}

// Observe hears what happens, here that a server wants to be left alone.
func ExampleTransport_observe() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "120")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer server.Close()

	client := &http.Client{Transport: &throttle.Transport{
		Observe: func(e throttle.Event) {
			switch e.Kind {
			case throttle.EventPaused:
				fmt.Println("paused for", time.Until(e.Until).Round(time.Second), "by", e.Source)
			case throttle.EventEnded:
				fmt.Println(e.Request.Method, e.Status, e.Signal)
			}
		},
	}}
	defer client.CloseIdleConnections()
	resp, err := client.Get(server.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()
	// Output:
	// paused for 2m0s by retry-after
	// GET 429 throttled
}
