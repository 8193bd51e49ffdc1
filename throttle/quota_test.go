package throttle

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A quotaServer answers requests, each with half of the latency before and after it has looked at its quota.
type quotaServer struct {
	latency time.Duration
	take    func(now time.Time) *http.Response

	mu                sync.Mutex
	end               time.Time // when it ceases to count
	accepted, refused int
}

func (s *quotaServer) RoundTrip(*http.Request) (*http.Response, error) {
	time.Sleep(s.latency / 2)
	s.mu.Lock()
	now := time.Now()
	resp := s.take(now)
	switch {
	case now.After(s.end):
	case resp.StatusCode == http.StatusOK:
		s.accepted++
	default:
		s.refused++
	}
	s.mu.Unlock()
	time.Sleep(s.latency / 2)
	return resp, nil
}

// load keeps 64 callers busy for some time.
func (s *quotaServer) load(t *testing.T, d time.Duration) {
	c := &http.Client{Transport: &Transport{Base: s}}
	s.end = time.Now().Add(d)
	var g sync.WaitGroup
	for range 64 {
		g.Go(func() {
			for time.Now().Before(s.end) {
				get(t, c, "http://a/")
			}
		})
	}
	g.Wait()
}

// epoch is a time that servers tell in seconds and clients take for no delay. Fake time begins before it.
var epoch = time.Unix(1.8e9, 0)

// Windows of a second that are told by the epoch second of their end are used up, and nobody is refused.
func TestQuotaOfEpochSeconds(t *testing.T) {
	const perSecond = 50
	for _, latency := range []time.Duration{5 * ms, 20 * ms, 100 * ms} {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(time.Until(epoch) + 300*ms)
			window, used := int64(0), 0
			s := &quotaServer{latency: latency, take: func(now time.Time) *http.Response {
				if now.Unix() != window {
					window, used = now.Unix(), 0
				}
				status := http.StatusOK
				if used++; used > perSecond {
					status = http.StatusTooManyRequests
				}
				return answerWith(status, "Date", now.UTC().Format(http.TimeFormat), "X-RateLimit-Limit", fmt.Sprint(perSecond),
					"X-RateLimit-Remaining", fmt.Sprint(max(perSecond-used, 0)), "X-RateLimit-Reset", fmt.Sprint(window+1))
			}}
			s.load(t, 30*time.Second)
			if got := s.accepted; got < 30*perSecond*95/100 || s.refused > 0 {
				t.Errorf("latency %v: %d accepted of %d, %d refused", latency, got, 30*perSecond, s.refused)
			}
		})
	}
}

// bucketOf answers as a token bucket does that was full at first, with what headers makes of the tokens left.
func bucketOf(rate, burst float64, headers func(now time.Time, left float64) []string) func(time.Time) *http.Response {
	left, last := burst, time.Time{}
	return func(now time.Time) *http.Response {
		if !last.IsZero() {
			left = min(burst, left+rate*now.Sub(last).Seconds())
		}
		last = now
		status := http.StatusTooManyRequests
		if left > 1-1e-9 { // tokens come in floating point
			left--
			status = http.StatusOK
		}
		return answerWith(status, headers(now, left)...)
	}
}

// A rate that the server states is used from the first answer on, and nothing is refused, with a bucket of one, too.
func TestStatedRate(t *testing.T) {
	for _, test := range []struct {
		rate float64
		told []string
	}{
		{5, []string{"x-amzn-RateLimit-Limit", "5.0"}},
		{2.5, []string{"x-amzn-RateLimit-Limit", "2.5"}},
		{0.5, []string{"x-amzn-RateLimit-Limit", "0.5"}},
		{10, []string{"X-HubSpot-RateLimit-Max", "100", "X-HubSpot-RateLimit-Interval-Milliseconds", "10000",
			"X-HubSpot-RateLimit-Remaining", "98", "X-HubSpot-RateLimit-Daily", "250000", "X-HubSpot-RateLimit-Daily-Remaining", "240000"}},
		{5, []string{"X-RateLimit-Limit-Second", "5", "X-RateLimit-Remaining-Second", "4", "X-RateLimit-Limit-Day", "5000", "X-RateLimit-Remaining-Day", "4999"}},
		{2, []string{"X-RateLimit-Limit-Minute", "120", "RateLimit-Limit", "50", "RateLimit-Remaining", "49", "RateLimit-Reset", "1"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &quotaServer{latency: 50 * ms, take: bucketOf(test.rate, 1, func(time.Time, float64) []string { return test.told })}
			s.load(t, 30*time.Second)
			// The first, and then one whenever the rate allows it. The last half of a latency is too short for one more.
			if got, want := s.accepted, int(30*test.rate); got != want || s.refused > 0 {
				t.Errorf("%v: %d accepted, %d refused; want %d and none", test.told, got, s.refused, want)
			}
		})
	}
}

// Tokens, points and the like are not requests. A bucket of which only the level is told holds nobody on a success, even if it is full.
func TestOtherQuotasHoldNobody(t *testing.T) {
	for _, told := range [][]string{
		{"x-ratelimit-limit-tokens", "1000", "x-ratelimit-remaining-tokens", "0", "x-ratelimit-reset-tokens", "6m0s"},
		{"anthropic-ratelimit-input-tokens-remaining", "0", "anthropic-ratelimit-input-tokens-reset", "2100-01-01T00:00:00Z"},
		{"X-RateLimit-Remaining-Points", "0", "X-RateLimit-Reset-Points", "60"},
		{"X-Shopify-Shop-Api-Call-Limit", "40/40"},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &quotaServer{latency: 100 * ms, take: func(time.Time) *http.Response { return answerWith(http.StatusOK, told...) }}
			c, begin := &http.Client{Transport: &Transport{Base: s}}, time.Now()
			for range 10 {
				get(t, c, "http://a/")
			}
			if took := time.Since(begin); took != time.Second {
				t.Errorf("%v: ten requests took %v, want 1s", told, took)
			}
		})
	}
}

// Reset is when the whole bucket is full again, in these dialects. No request is refused, and the bucket's rate is used.
func TestQuotaOfABucket(t *testing.T) {
	const rate, size = 10, 60
	for name, headers := range map[string]func(now time.Time, left float64) []string{
		"OpenAI": func(_ time.Time, left float64) []string {
			full := time.Duration((size - left) / rate * 1e9)
			return []string{"x-ratelimit-limit-requests", fmt.Sprint(size), "x-ratelimit-remaining-requests", fmt.Sprint(int(left)), "x-ratelimit-reset-requests", full.String(),
				"x-ratelimit-limit-tokens", "9", "x-ratelimit-remaining-tokens", "0", "x-ratelimit-reset-tokens", "1h"}
		},
		"Anthropic": func(now time.Time, left float64) []string {
			full := now.Add(time.Duration((size - left) / rate * 1e9))
			return []string{"Date", now.UTC().Format(http.TimeFormat), "anthropic-ratelimit-requests-limit", fmt.Sprint(size),
				"anthropic-ratelimit-requests-remaining", fmt.Sprint(int(left)), "anthropic-ratelimit-requests-reset", full.UTC().Format(time.RFC3339)}
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &quotaServer{latency: 50 * ms, take: bucketOf(rate, size, headers)}
			s.load(t, 60*time.Second)
			if got := s.accepted; got < 60*rate*95/100 || s.refused > 0 {
				t.Errorf("%s: %d accepted of %d, %d refused", name, got, 60*rate, s.refused)
			}
		})
	}
}

// A refusal with a wait pauses everybody. One that speaks of a single request pauses nobody.
func TestRefusalWithWait(t *testing.T) {
	for status, pause := range map[int]time.Duration{
		402: 2 * time.Second, 403: 2 * time.Second, 420: 2 * time.Second, 423: 2 * time.Second, 425: 2 * time.Second, 430: 2 * time.Second,
		500: 2 * time.Second, 502: 2 * time.Second, 503: 2 * time.Second, 504: 2 * time.Second, 507: 2 * time.Second, 509: 2 * time.Second,
		520: 2 * time.Second, 529: 2 * time.Second,
		301: 0, 400: 0, 401: 0, 404: 0, 405: 0, 408: 0, 409: 0, 410: 0, 413: 0, 415: 0, 422: 0, 501: 0, 505: 0,
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &quotaServer{take: func(time.Time) *http.Response { return answerWith(status, "Retry-After", "2") }}
			c, begin := &http.Client{Transport: &Transport{Base: s}}, time.Now()
			get(t, c, "http://a/")
			get(t, c, "http://a/")
			if took := time.Since(begin); took != pause {
				t.Errorf("%d: the second request was sent after %v, want %v", status, took, pause)
			}
		})
	}
}
