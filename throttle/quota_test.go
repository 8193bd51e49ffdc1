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
	accepted, refused []time.Time
}

func (s *quotaServer) RoundTrip(*http.Request) (*http.Response, error) {
	time.Sleep(s.latency / 2)
	s.mu.Lock()
	now := time.Now()
	resp := s.take(now)
	if resp.StatusCode == http.StatusOK {
		s.accepted = append(s.accepted, now)
	} else {
		s.refused = append(s.refused, now)
	}
	s.mu.Unlock()
	time.Sleep(s.latency / 2)
	return resp, nil
}

// load keeps 64 callers busy for some time.
func (s *quotaServer) load(t *testing.T, d time.Duration) {
	c := &http.Client{Transport: &Transport{Base: s}}
	begin := time.Now()
	var g sync.WaitGroup
	for range 64 {
		g.Go(func() {
			for time.Since(begin) < d {
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
			if got := len(s.accepted); got < 30*perSecond*95/100 || len(s.refused) > 0 {
				t.Errorf("latency %v: %d accepted of %d, %d refused", latency, got, 30*perSecond, len(s.refused))
			}
		})
	}
}
