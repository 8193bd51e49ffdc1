package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Requests leave every 50 ms. So without a remedy the eleventh has the last signature that the
// server takes; with one all are taken, and that takes hardly longer.
func TestWays(t *testing.T) {
	want := map[string]int{"above a Transport": 11, "below it": 20, "above, with MaxQueue": 20,
		"above, after a permit": 20}
	synctest.Test(t, func(t *testing.T) {
		server := roundTripper(func(r *http.Request) (*http.Response, error) {
			answer := httptest.NewRecorder()
			check(answer, r)
			return answer.Result(), nil
		})
		for _, way := range ways(server, "http://api.example.com/") {
			begin := time.Now()
			if got := attempt(20, way.send); got != want[way.name] {
				t.Errorf("signed %s: %d accepted, want %d", way.name, got, want[way.name])
			}
			if took := time.Since(begin); took > 1200*time.Millisecond {
				t.Errorf("signed %s: it took %v, want 950ms to 1.2s", way.name, took)
			}
		}
	})
}
