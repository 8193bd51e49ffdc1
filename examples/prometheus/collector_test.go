package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/throttle"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestCollector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		requests := 0
		transport := &throttle.Transport{
			Limits: throttle.Limits{Rate: 2, InFlight: 8, Fixed: true},
			Base: roundTripper(func(*http.Request) (*http.Response, error) {
				answer := httptest.NewRecorder()
				if requests++; requests == 3 {
					answer.Header().Set("Retry-After", "60")
					answer.WriteHeader(http.StatusTooManyRequests)
				}
				return answer.Result(), nil
			}),
		}
		client := &http.Client{Transport: transport}
		for range 3 { // at 0, 0.5 and 1 s
			resp, err := client.Get("http://api.example.com/")
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer synctest.Wait()
		defer cancel()
		go func() { // waits for the pause to end
			req, _ := http.NewRequestWithContext(ctx, "GET", "http://api.example.com/", nil)
			if resp, err := client.Do(req); err == nil {
				resp.Body.Close()
			}
		}()
		time.Sleep(15 * time.Second)

		problems, err := testutil.CollectAndLint(collector{transport})
		if err != nil || problems != nil {
			t.Errorf("%v, %v", problems, err)
		}
		if err := testutil.CollectAndCompare(collector{transport}, strings.NewReader(`
# HELP upstream_failed_total Requests that the server did not answer well.
# TYPE upstream_failed_total counter
upstream_failed_total{upstream="http://api.example.com"} 0
# HELP upstream_in_flight Requests in flight.
# TYPE upstream_in_flight gauge
upstream_in_flight{upstream="http://api.example.com"} 0
# HELP upstream_limit Requests in flight allowed, given or found; if absent, any.
# TYPE upstream_limit gauge
upstream_limit{upstream="http://api.example.com"} 8
# HELP upstream_paused_seconds Time until the pause that the server asked for ends.
# TYPE upstream_paused_seconds gauge
upstream_paused_seconds{upstream="http://api.example.com"} 45
# HELP upstream_rate Requests a second allowed, given or found; if absent, any.
# TYPE upstream_rate gauge
upstream_rate{upstream="http://api.example.com"} 2
# HELP upstream_refused_total Requests that the server refused, by what it said.
# TYPE upstream_refused_total counter
upstream_refused_total{reason="overloaded",upstream="http://api.example.com"} 0
upstream_refused_total{reason="throttled",upstream="http://api.example.com"} 1
upstream_refused_total{reason="timed out",upstream="http://api.example.com"} 0
# HELP upstream_requests_total Requests sent, with those that net/http repeats by itself.
# TYPE upstream_requests_total counter
upstream_requests_total{upstream="http://api.example.com"} 3
# HELP upstream_waited_seconds_total How long each limit held requests back.
# TYPE upstream_waited_seconds_total counter
upstream_waited_seconds_total{limit="bandwidth",upstream="http://api.example.com"} 0
upstream_waited_seconds_total{limit="concurrency",upstream="http://api.example.com"} 0
upstream_waited_seconds_total{limit="cool-down",upstream="http://api.example.com"} 15
upstream_waited_seconds_total{limit="down",upstream="http://api.example.com"} 0
upstream_waited_seconds_total{limit="quota",upstream="http://api.example.com"} 0
upstream_waited_seconds_total{limit="rate",upstream="http://api.example.com"} 1
# HELP upstream_waiting Requests that wait for their turn.
# TYPE upstream_waiting gauge
upstream_waiting{upstream="http://api.example.com"} 1
`)); err != nil {
			t.Error(err)
		}
	})
}

// What has no limit has no number for it.
func TestNoLimit(t *testing.T) {
	transport := &throttle.Transport{Limits: throttle.Limits{Fixed: true}}
	transport.Upstream("http://api.example.com")
	for _, name := range []string{"upstream_rate", "upstream_limit"} {
		if n := testutil.CollectAndCount(collector{transport}, name); n != 0 {
			t.Errorf("%s is there", name)
		}
	}
	if n := testutil.CollectAndCount(collector{transport}, "upstream_requests_total"); n != 1 {
		t.Errorf("%d upstreams, want 1", n)
	}
}
