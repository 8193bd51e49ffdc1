package throttle

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
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
		says     string
	}{
		{name: "in time", limits: Limits{Rate: 1}},
		{name: "the rate", limits: Limits{Rate: 0.1}, fails: 2 * time.Second,
			says: "its turn did not come within 2s; send less, or raise MaxQueue"},
		{name: "too late by nothing", limits: Limits{Rate: 0.5}, fails: 2 * time.Second,
			says: "its turn did not come within 2s"},
		{name: "a cool-down", paused: time.Minute, fails: 2 * time.Second,
			says: "within 2s in a cool-down until "},
		{name: "the caller's deadline comes first", limits: Limits{Rate: 0.1}, deadline: time.Second,
			fails: time.Second, says: "deadline exceeded"},
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
				if !errors.As(err, &later) || later.RetryAt().IsZero() != (c.deadline == 0) {
					t.Errorf("%v: wrong RetryAt", err)
				}
				if late, ok := err.(*QueueError); ok && c.paused > 0 != late.Until.After(begin) {
					t.Errorf("%v: until %v", err, late.Until)
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

// Where the caller's deadline comes at the same instant, the error says one of the two.
func TestMaxQueueAndDeadline(t *testing.T) {
	for range 20 { // which timer fires first is not determined
		synctest.Test(t, func(t *testing.T) {
			tr := &Transport{Limits: Limits{Rate: 0.1}, MaxQueue: 2 * time.Second}
			tr.Upstream("http://a").TryAcquire(1)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			_, err := tr.RoundTrip(httptest.NewRequest("GET", "http://a/", nil).WithContext(ctx))
			_, late := err.(*QueueError)
			if late == errors.Is(err, context.DeadlineExceeded) || !err.(interface{ Timeout() bool }).Timeout() {
				t.Fatal(err)
			}
		})
	}
}

// What waits with a connection in hand, or to be sent once more, waits no longer either.
func TestMaxQueueOfResends(t *testing.T) {
	for _, c := range []struct {
		name   string
		method string
		conns  int           // that the request gets; before the last one a cool-down begins
		waited time.Duration // before
		unsent bool          // the error says so
		says   string
	}{
		{"first connection", "GET", 1, 0, true, "throttle: not sent: its turn did not come within 2s in a cool-down until "},
		{"first connection, after a wait", "GET", 1, time.Second, true, "its turn did not come within 2s"},
		{"second", "GET", 2, 0, false, "throttle: not sent again after the connection failed: its turn did not come within 2s in a "},
		{"second, of which nothing was sent", "POST", 2, time.Second, true, "throttle: not sent: its turn"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				clock := newClock()
				tr := &Transport{Limits: Limits{InFlight: 1}, MaxQueue: 2 * time.Second}
				u := tr.Upstream("http://a")
				tr.Base = roundTripper(func(r *http.Request) (*http.Response, error) {
					trace := httptrace.ContextClientTrace(r.Context())
					time.Sleep(time.Minute) // does not count
					for i := range c.conns {
						if i == c.conns-1 {
							u.Pause(time.Now().Add(time.Minute), "test")
						}
						trace.GotConn(httptrace.GotConnInfo{Reused: true})
					}
					if r.Context().Err() == nil {
						return answerWith(200), nil
					}
					return nil, r.Context().Err()
				})
				before, _ := u.TryAcquire(1)
				time.AfterFunc(c.waited, before.Release)
				_, err := tr.RoundTrip(httptest.NewRequest(c.method, "http://a/", nil))
				if at := clock.now(); err == nil || at != time.Minute+2*time.Second {
					t.Fatalf("%v at %v", err, at)
				}
				if unsent := errors.As(err, new(interface{ RetryAt() time.Time })); unsent != c.unsent {
					t.Errorf("%v says that nothing was sent: %v", err, unsent)
				}
				if _, ok := errors.AsType[*QueueError](err); ok != c.unsent || !strings.Contains(err.Error(), c.says) {
					t.Errorf("%v, want %q", err, c.says)
				}
				wantIdle(t, c.name, u)
			})
		})
	}
}
