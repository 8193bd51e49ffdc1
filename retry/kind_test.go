package retry

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// An account, or a method, whose quota is used up waits for it, whatever others are accepted
// meanwhile.
func TestQuotaOfOneKindIsNotBlamed(t *testing.T) {
	apiKey := func(r *http.Request) bool { return r.Header.Get("X-Api-Key") == "A" }
	put := func(r *http.Request) bool { return r.Method == "PUT" }
	for _, c := range []struct {
		name   string
		over   func(*http.Request) bool
		status int
		after  string
		key    func(*http.Request) string
		others func(*http.Request) // what tells the others from this one
	}{
		{"two API keys, Retry-After", apiKey, 429, "Retry-After: 10", nil,
			func(r *http.Request) { r.Header.Set("X-Api-Key", "B") }},
		{"two API keys, no Retry-After", apiKey, 429, "", nil,
			func(r *http.Request) { r.Header.Set("X-Api-Key", "B") }},
		{"two API keys, 503", apiKey, 503, "", nil,
			func(r *http.Request) { r.Header.Set("X-Api-Key", "B") }},
		{"PUT and GET, Retry-After", put, 429, "Retry-After: 30", nil,
			func(r *http.Request) { r.Method = "GET" }},
		{"PUT and GET, no Retry-After", put, 429, "", nil,
			func(r *http.Request) { r.Method = "GET" }},
		{"the user's kinds", func(r *http.Request) bool { return r.URL.Path == "/up/f.bin" }, 429,
			"Retry-After: 10",
			func(r *http.Request) string { return r.URL.Path },
			func(r *http.Request) { r.URL.Path = "/down" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const quota = 5 * time.Minute
				start := time.Now()
				client := &Client{Key: c.key,
					HTTP: &http.Client{Transport: tripFunc(func(r *http.Request) (*http.Response,
						error) {
						time.Sleep(10 * time.Millisecond)
						if c.over(r) && time.Since(start) < quota {
							return answer(c.status, c.after), nil
						}
						return answer(201, ""), nil
					})}}
				done := make(chan struct{})
				var others sync.WaitGroup
				others.Go(func() {
					for {
						select {
						case <-done:
							return
						case <-time.After(100 * time.Millisecond):
							other := request(t, "PUT", "x")
							other.Header.Set("X-Api-Key", "A")
							c.others(other)
							check(t, "outcome of another", end(t, client, other).Outcome, Delivered)
						}
					}
				})
				mine := request(t, "PUT", "x")
				mine.Header.Set("X-Api-Key", "A")
				r := end(t, client, mine)
				close(done)
				others.Wait()
				check(t, "outcome", r.Outcome, Delivered)
				if took := time.Since(start); took < quota || took > quota+2*time.Minute {
					t.Errorf("delivered after %v", took)
				}
			})
		})
	}
}

// The same requests on one account: then it is the request. A Retry-After makes no difference.
func TestOneOfAKindIsBlamed(t *testing.T) {
	for _, after := range []string{"", "Retry-After: 10"} {
		for _, status := range []int{429, 503} {
			synctest.Test(t, func(t *testing.T) {
				client := &Client{HTTP: &http.Client{Transport: tripFunc(func(r *http.Request) (*http.Response, error) {
					time.Sleep(10 * time.Millisecond)
					if strings.HasPrefix(r.URL.Path, "/up/") {
						return answer(status, after), nil
					}
					return answer(201, ""), nil
				})}}
				done := make(chan struct{})
				var others sync.WaitGroup
				others.Go(func() {
					for {
						select {
						case <-done:
							return
						case <-time.After(100 * time.Millisecond):
							other := request(t, "PUT", "x")
							other.URL.Path = "/good"
							end(t, client, other)
						}
					}
				})
				r := end(t, client, request(t, "PUT", "x"))
				close(done)
				others.Wait()
				check(t, "outcome", r.Outcome, Failed)
				check(t, "status", r.Status, status)
				// The first refusal proves nothing, nor does one after a wait so short that nothing
				// else was accepted meanwhile. Waits are random: nine to eleven tries are usual.
				if r.Attempts > 16 {
					t.Errorf("%d tries", r.Attempts)
				}
			})
		}
	}
}

// Some that are always refused hide neither behind one another nor behind the end of the others.
func TestManyOfAKindAreBlamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := &Client{HTTP: &http.Client{Transport: tripFunc(func(r *http.Request) (*http.Response, error) {
			time.Sleep(10 * time.Millisecond)
			if strings.HasPrefix(r.URL.Path, "/bad") {
				return answer(503, ""), nil
			}
			return answer(201, ""), nil
		})}}
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				req := request(t, "PUT", "x")
				req.URL.Path = fmt.Sprint("/bad/", i)
				check(t, "outcome", end(t, client, req).Outcome, Failed)
			})
		}
		for i := range 200 { // in two seconds, others are over after that
			req := request(t, "PUT", "x")
			req.URL.Path = fmt.Sprint("/good/", i)
			check(t, "outcome", end(t, client, req).Outcome, Delivered)
		}
		all.Wait()
	})
}

// What was in flight when an outage began was accepted after the first refusals. That is no
// evidence against those that were refused, however few are left.
func TestOutageIsNotBlamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		client := &Client{HTTP: &http.Client{Transport: tripFunc(func(r *http.Request) (*http.Response, error) {
			if since := time.Since(start); since >= time.Second && since < 70*time.Second {
				return answer(503, ""), nil
			}
			time.Sleep(500 * time.Millisecond)
			return answer(201, ""), nil
		})}}
		var all sync.WaitGroup
		for i := range 103 { // the last three are refused, while fifty are in flight
			all.Go(func() {
				check(t, "outcome", end(t, client, request(t, "PUT", "x")).Outcome,
					Delivered)
			})
			if i >= 100 {
				continue
			}
			time.Sleep(10 * time.Millisecond)
		}
		all.Wait()
	})
}

// Nor is a refusal of another sort, just before, evidence that a request is refused by itself.
func TestOutageAfterAThrottleIsNotBlamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, n := time.Now(), 0
		client := &Client{HTTP: &http.Client{Transport: tripFunc(func(r *http.Request) (*http.Response, error) {
			switch {
			case r.URL.Path == "/good":
				return answer(201, ""), nil
			case time.Since(start) > 10*time.Minute:
				return answer(201, ""), nil
			}
			if n++; n > 1 {
				return answer(503, ""), nil
			}
			return answer(429, "Retry-After: 10"), nil
		})}}
		var one sync.WaitGroup
		one.Go(func() {
			check(t, "outcome", end(t, client, request(t, "PUT", "x")).Outcome,
				Delivered)
		})
		for range 100 { // the last before the outage
			time.Sleep(50 * time.Millisecond)
			good := request(t, "PUT", "x")
			good.URL.Path = "/good"
			check(t, "outcome", end(t, client, good).Outcome, Delivered)
		}
		one.Wait()
	})
}

// A request that was not sent is not to blame for that, whatever becomes of others.
func TestConnectionRefusedIsNotBlamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad, good := play(try{err: errRefused, stage: dialling}), play(try{status: 201})
		client := &Client{Policy: Policy{Base: time.Second, Factor: 1, GiveUpAfter: time.Hour}}
		client.HTTP = &http.Client{Transport: tripFunc(func(r *http.Request) (*http.Response,
			error) {
			if r.URL.Path == "/good" {
				return good.RoundTrip(r)
			}
			other := request(t, "PUT", "x")
			other.URL.Path = "/good"
			end(t, client, other)
			return bad.RoundTrip(r)
		})}
		check(t, "outcome", end(t, client, request(t, "PUT", "x")).Outcome, Deferred)
	})
}

// A refusal for another reason is not the first of two failures.
func TestFailureAfterARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := over(play(try{status: 429}, try{status: 500}, try{status: 201}),
			Policy{Attempts: 2})
		r := end(t, client, request(t, "PUT", "x"))
		check(t, "outcome", r.Outcome, Delivered)
		check(t, "tries", r.Attempts, 3)
	})
}
