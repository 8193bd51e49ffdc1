package main

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A tenant whom the server asks for a pause, and one with a small quota, hold up no other, and no
// API key is in an event.
func TestTenantsAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		requests := map[string]int{}
		var mu sync.Mutex
		transport := limitEach([]tenant{
			{name: "paused", key: "k-1", limits: throttle.Limits{Rate: 10}},
			{name: "slow", key: "k-2", limits: throttle.Limits{Rate: 2}},
			{name: "fast", key: "k-3", limits: throttle.Limits{Rate: 10}},
		})
		transport.Base = roundTripper(func(r *http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			answer := httptest.NewRecorder()
			key := r.Header.Get("X-Api-Key")
			if requests[key]++; key == "k-1" && requests[key] == 2 {
				answer.Header().Set("Retry-After", "3600")
				answer.WriteHeader(http.StatusTooManyRequests)
			}
			return answer.Result(), nil
		})
		transport.Observe = func(e throttle.Event) {
			if e.Key != "paused" && e.Key != "slow" && e.Key != "fast" {
				t.Errorf("an event of %q", e.Key)
			}
		}
		client := &retry.Client{HTTP: &http.Client{Transport: transport}}

		begin := time.Now()
		took := map[string]time.Duration{}
		var group sync.WaitGroup
		for name, key := range map[string]string{"paused": "k-1", "slow": "k-2", "fast": "k-3"} {
			group.Go(func() {
				t1 := tenant{name: name, key: key, records: 41}
				if err := send(t.Context(), client, "http://api.example.com", t1); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				took[name] = time.Since(begin)
			})
		}
		group.Wait()
		if took["slow"] != 20*time.Second || took["fast"] != 4*time.Second {
			t.Errorf("slow took %v and fast %v, want 20 s and 4 s", took["slow"], took["fast"])
		}
		if took["paused"] < time.Hour {
			t.Errorf("the paused one took %v, want an hour at least", took["paused"])
		}
	})
}
