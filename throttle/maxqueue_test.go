package throttle

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A request whose turn does not come in time fails then, unsent, and says when to come back.
func TestMaxQueue(t *testing.T) {
	for _, c := range []struct {
		name     string
		limits   Limits
		paused   time.Duration // from the start
		deadline time.Duration // of the request; if zero, none
		fails    time.Duration // if zero, it is sent
		retryAt  time.Duration
		says     string
	}{
		{name: "in time", limits: Limits{Rate: 1}},
		{name: "the rate", limits: Limits{Rate: 0.1}, fails: 2 * time.Second, retryAt: 2 * time.Second,
			says: "its turn did not come within 2s; send less, or raise MaxQueue"},
		{name: "a cool-down", paused: time.Minute, fails: 2 * time.Second, retryAt: time.Minute,
			says: "within 2s in a cool-down until "},
		{name: "the caller's deadline comes first", limits: Limits{Rate: 0.1}, deadline: time.Second,
			fails: time.Second, retryAt: time.Second, says: "deadline exceeded"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sent := 0
				tr := &Transport{Limits: c.limits, MaxQueue: 2 * time.Second,
					Base: roundTripper(func(*http.Request) (*http.Response, error) {
						sent++
						return answerWith(200), nil
					})}
				begin := time.Now()
				u := tr.Upstream("http://a")
				if _, ok := u.TryAcquire(1); !ok {
					t.Fatal("no permit")
				}
				if c.paused > 0 {
					u.Pause(begin.Add(c.paused), "retry-after")
				}
				ctx := t.Context()
				if c.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.deadline)
					defer cancel()
				}
				req := httptest.NewRequest("PUT", "http://a/", strings.NewReader("x")).WithContext(ctx)
				resp, err := tr.RoundTrip(req)
				if c.fails == 0 {
					if err != nil || sent != 1 {
						t.Fatalf("%v, sent %d times", err, sent)
					}
					resp.Body.Close()
					return
				}
				if err == nil || sent != 0 || time.Since(begin) != c.fails {
					t.Fatalf("%v after %v, sent %d times", err, time.Since(begin), sent)
				}
				var later interface{ RetryAt() time.Time }
				if !errors.As(err, &later) || later.RetryAt().Sub(begin).Round(0) != c.retryAt {
					t.Errorf("%v: wrong RetryAt", err)
				}
				n, ok := err.(interface{ Timeout() bool })
				if !ok || !n.Timeout() || !strings.Contains(err.Error(), c.says) {
					t.Errorf("%v, want it to say %q", err, c.says)
				}
				if _, ok := errors.AsType[*QueueError](err); ok != (c.deadline == 0) {
					t.Errorf("%v is a QueueError: %v", err, ok)
				}
			})
		})
	}
}
