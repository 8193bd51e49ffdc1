package retry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		c, events := over(play(try{status: 503, header: "Retry-After: 2"},
			try{err: errReset, stage: connected}, try{status: 200}), exact)
		req := request(t, "PUT", "x")
		end(t, c, req)
		want := []Event{
			{Kind: EventWaiting, Request: req, Attempt: 1, Status: 503, Wait: 2*time.Second + 1,
				Until: start.Add(2*time.Second + 1), Reason: "overloaded"},
			{Kind: EventWaiting, Request: req, Attempt: 2, Wait: 1,
				Until: start.Add(2*time.Second + 2), Uncertain: true, Reason: "connection lost"},
			{Kind: EventEnded, Request: req, Attempt: 3, Status: 200, Outcome: Delivered},
		}
		check(t, "events", len(*events), len(want))
		for i, e := range *events {
			if (e.Err == nil) != (e.Kind == EventEnded) {
				t.Errorf("event %d: error %v", i, e.Err)
			}
			e.Err = nil
			check(t, "event", e, want[i])
		}
	})
}

func TestObserveHoldsNoLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := over(play(try{status: 429}, try{status: 200}), exact)
		inner := 0
		c.Observe = func(Event) {
			if inner++; inner == 1 {
				c.Do(request(t, "GET", "")) // would hang
				c.Stop(nil)
			}
		}
		c.Do(request(t, "GET", ""))
	})
}

func TestHintIsHeardInFull(t *testing.T) {
	for _, status := range []int{429, 503, 500, 408} {
		synctest.Test(t, func(t *testing.T) {
			s := play(try{status: status, header: "Retry-After: 7"}, try{status: 200})
			c, _ := over(s, Policy{Cap: time.Second})
			end(t, c, request(t, "PUT", "x"))
			if s.at[1] <= 7*time.Second || s.at[1] > 8*time.Second {
				t.Errorf("%d: second try at %v, want 7s and up to 1s of jitter", status, s.at[1])
			}
		})
	}
}

// A Retry-After that overflows a duration must neither be slept nor turn into no wait at all.
func TestLongHintIsDeferred(t *testing.T) {
	for _, value := range []string{"3601", "9223372037", "99999999999999999999",
		"Fri, 31 Dec 9999 23:59:59 GMT"} {
		synctest.Test(t, func(t *testing.T) {
			s := play(try{status: 429, header: "Retry-After: " + value})
			c, _ := over(s, Policy{})
			start := time.Now()
			r := end(t, c, request(t, "POST", "x"))
			check(t, "outcome", r.Outcome, Deferred)
			check(t, "tries", len(s.at), 1)
			check(t, "time passed", time.Since(start), time.Duration(0))
			if r.RetryAt.Sub(start) < 3601*time.Second || r.Status != 429 {
				t.Errorf("RetryAt %v, status %d", r.RetryAt, r.Status)
			}

			// With no limit, a year is slept.
			c.Policy.MaxPause = 1<<63 - 1
			ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
			defer cancel()
			r = end(t, c, request(t, "POST", "x").WithContext(ctx))
			check(t, "outcome", r.Outcome, Deferred)
		})
	}
}

func TestNotBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := play(try{err: &url.Error{Err: notBeforeError{start.Add(90 * time.Second)}}},
			try{status: 200})
		c, _ := over(s, exact)
		check(t, "outcome", end(t, c, request(t, "POST", "x")).Outcome, Delivered)
		check(t, "second try", s.at[1], 90*time.Second+1)

		s = play(try{err: notBeforeError{time.Now().Add(2 * time.Hour)}})
		c, _ = over(s, exact)
		at := time.Now().Add(2 * time.Hour)
		r := end(t, c, request(t, "POST", "x"))
		check(t, "outcome", r.Outcome, Deferred)
		check(t, "RetryAt", r.RetryAt, at)
	})
}

// A limiter that was stopped answers at once and forever: the same error must not be asked for
// again.
func TestNoStormAfterStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("operator stopped the run")
		s := play(try{err: errors.Join(notBeforeError{}, cause)})
		c, _ := over(s, Policy{Attempts: 1000})
		start := time.Now()
		_, err := c.Do(request(t, "PUT", "x"))
		check(t, "tries", len(s.at), 1)
		check(t, "time passed", time.Since(start), time.Duration(0))
		check(t, "outcome", OutcomeOf(nil, err).Outcome, Deferred)
		if !errors.Is(err, cause) {
			t.Errorf("the cause is lost: %v", err)
		}
	})
}

// Who stands below the limiter may find that a request must not be sent: it says so by RetryAt, and
// the call ends at once, as not sent, even where a connection was had for it.
func TestNotSentBelow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("the journal is full")
		for _, rt := range []http.RoundTripper{
			play(try{err: &notSent{cause}}),
			play(try{err: &notSent{cause}, stage: connected}),
			tripFunc(func(*http.Request) (*http.Response, error) {
				return nil,
					fmt.Errorf("below: %w", &notSent{cause})
			}),
		} {
			start := time.Now()
			c, events := over(rt, exact)
			_, err := c.Do(request(t, "POST", "x"))
			r := OutcomeOf(nil, err)
			check(t, "outcome", r.Outcome, Deferred)
			check(t, "tries", r.Attempts, 1)
			check(t, "time passed", time.Since(start), time.Duration(0))
			check(t, "uncertain", (*events)[0].Uncertain, false)
			var e *notSent
			if !errors.Is(err, cause) || !errors.As(err, &e) {
				t.Errorf("%v does not wrap why it was not sent", err)
			}
		}

		// After other tries the status of the last one stays, and both reasons.
		c, _ := over(play(try{status: 503}, try{err: &notSent{cause}}), exact)
		_, err := c.Do(request(t, "POST", "x"))
		check(t, "status", OutcomeOf(nil, err).Status, 503)
		check(t, "error", err.Error(), "retry: POST http://h.example/up/f.bin: 503 Service Unavailable: the journal is full (deferred after 2 attempts)")
		var e *notSent
		if !errors.Is(err, cause) || !errors.As(err, &e) {
			t.Errorf("%v does not wrap why it was not sent", err)
		}

		// One that would have to fail forever needs a verdict besides.
		c, _ = over(play(try{err: &notSent{cause}}), exact)
		c.Classify = func(*http.Request, *http.Response, error) Verdict {
			t.Error("Classify is asked about what was not sent")
			return Verdict{}
		}
		end(t, c, request(t, "POST", "x"))
		c, _ = over(tripFunc(func(*http.Request) (*http.Response, error) { return nil, cause }),
			exact)
		c.Classify = func(*http.Request, *http.Response,
			error) Verdict {
			return Verdict{Action: Fail}
		}
		_, err = c.Do(request(t, "POST", "x"))
		check(t, "outcome", OutcomeOf(nil, err).Outcome, Failed)
		if !errors.Is(err, cause) {
			t.Errorf("%v does not wrap why it was rejected", err)
		}

		// Nothing said: it is not known whether it was sent.
		c, _ = over(tripFunc(func(*http.Request) (*http.Response, error) { return nil, cause }),
			exact)
		check(t, "outcome", end(t, c, request(t, "POST", "x")).Outcome, Unknown)
	})
}

// Refusals cost no attempt while the upstream refuses all requests …
func TestOutageCostsNoAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := make([]try, 50)
		for i := range tries {
			tries[i] = []try{{status: 503}, {status: 429}, {err: errRefused, stage: dialling}}[i%3]
		}
		s := play(append(tries, try{status: 200})...)
		c, _ := over(s, Policy{Attempts: 1})
		r := end(t, c, request(t, "POST", "x"))
		check(t, "outcome", r.Outcome, Delivered)
		check(t, "tries", r.Attempts, 51)
	})
}

// … and each one does when the upstream accepted others in between.
func TestRefusedWhileOthersAreAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		var c *Client
		c, _ = over(tripFunc(func(r *http.Request) (*http.Response, error) {
			if r.URL.Path == "/good" {
				return answer(200, ""), nil
			}
			if n++; n == 1 || n > 3 { // others pass before every refusal but the third
				good, _ := http.NewRequest("PUT", "http://H.EXAMPLE:80/good", nil)
				c.Do(good)
			}
			return answer(429, ""), nil
		}), Policy{Attempts: 3, Base: 1})
		r := end(t, c, request(t, "PUT", "x"))
		check(t, "outcome", r.Outcome, Failed)
		check(t, "status", r.Status, 429)
		check(t, "tries", r.Attempts, 6) // 4, 5 and 6 count
	})
}

func TestGiveUpAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := play(try{err: errRefused, stage: dialling})
		c, _ := over(s, Policy{Base: time.Minute, Factor: 1, Cap: time.Minute,
			GiveUpAfter: 10 * time.Minute})
		r := end(t, c, request(t, "POST", "x"))
		check(t, "outcome", r.Outcome, Deferred)
		if took := time.Since(start); took < 9*time.Minute || took > 10*time.Minute {
			t.Errorf("gave up after %v", took)
		}
		if !errors.Is(r.Err, errRefused.Err) || r.RetryAt.Before(time.Now()) {
			t.Errorf("error %v, RetryAt %v", r.Err, r.RetryAt)
		}

		// Waits that the server asked for are not held against it.
		start = time.Now()
		c, _ = over(play(try{status: 503, header: "Retry-After: 600"}),
			Policy{Base: time.Minute, Factor: 1, Cap: time.Minute, GiveUpAfter: 10 * time.Minute})
		r = end(t, c, request(t, "POST", "x"))
		check(t, "outcome", r.Outcome, Deferred)
		if took := time.Since(start); took < time.Hour {
			t.Errorf("gave up after %v", took)
		}
	})
}

func TestAttemptsRunOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(try{status: 500})
		c, _ := over(s, Policy{})
		start := time.Now()
		resp, err := c.Do(request(t, "PUT", "data"))
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		check(t, "last body", string(b), "body")
		check(t, "status", resp.StatusCode, 500)
		check(t, "tries", len(s.at), 8)
		check(t, "outcome", OutcomeOf(resp, nil).Outcome, Failed)
		// 0.5 + 1 + 2 + 4 + 8 + 16 + 30 at most
		if took := time.Since(start); took > 61500*time.Millisecond {
			t.Errorf("took %v", took)
		}
	})
}

func TestCancelledWaitKeepsTheCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(try{status: 503, header: "Retry-After: 600"})
		c, events := over(s, exact)
		cause := errors.New("disk full")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { cancel(cause) })
		start := time.Now()
		_, err := c.Do(request(t, "POST", "x").WithContext(ctx))
		check(t, "time passed", time.Since(start), time.Minute)
		if !errors.Is(err, cause) || !errors.Is(err, context.Canceled) ||
			strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("error: %v", err)
		}
		r := OutcomeOf(nil, err)
		check(t, "outcome", r.Outcome, Deferred)
		check(t, "status", r.Status, 503)
		check(t, "RetryAt", r.RetryAt, start.Add(600*time.Second+1))
		check(t, "last event", (*events)[1].Kind, EventEnded)
		check(t, "closed idle connections", s.closedIdle, 0)
	})
}

func TestCancelledInFlight(t *testing.T) {
	for _, method := range []string{"PUT", "POST"} {
		for where, want := range map[stage]Outcome{beforeConn: Unknown, dialling: Deferred,
			connected: Unknown} {
			synctest.Test(t, func(t *testing.T) {
				cause := errors.New("operator")
				ctx, cancel := context.WithCancelCause(t.Context())
				c, _ := over(play(try{err: context.Canceled, stage: where}), exact)
				inner := c.HTTP.Transport
				c.HTTP.Transport = tripFunc(func(r *http.Request) (*http.Response, error) {
					cancel(cause)
					return inner.RoundTrip(r.WithContext(context.WithoutCancel(r.Context())))
				})
				_, err := c.Do(request(t, method, "x").WithContext(ctx))
				if method == "PUT" {
					want = Deferred
				}
				check(t, method+" outcome", OutcomeOf(nil, err).Outcome, want)
				if !errors.Is(err, cause) || !errors.Is(err, context.Canceled) ||
					strings.Count(err.Error(), cause.Error()) != 1 {
					t.Errorf("error: %v", err)
				}
			})
		}
	}
}

// A wait that the deadline would cut short is not begun: the answer is still there to be returned.
func TestDeadlineBeforeNextTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		c, _ := over(play(try{status: 429, header: "Retry-After: 61"}), exact)
		r := end(t, c, request(t, "POST", "x").WithContext(ctx))
		check(t, "outcome", r.Outcome, Deferred)
		check(t, "status", r.Status, 429)
		check(t, "RetryAt", r.RetryAt, start.Add(61*time.Second+1))
		check(t, "time passed", time.Since(start), time.Duration(0))
		if !errors.Is(r.Err, context.DeadlineExceeded) {
			t.Errorf("error: %v", r.Err)
		}
	})
}

func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(try{status: 503, header: "Retry-After: 600"})
		c, _ := over(s, exact)
		cause := errors.New("interrupted")
		time.AfterFunc(time.Second, func() { c.Stop(cause) })
		start := time.Now()
		_, err := c.Do(request(t, "POST", "x"))
		check(t, "time passed", time.Since(start), time.Second)
		check(t, "outcome", OutcomeOf(nil, err).Outcome, Deferred)
		if !errors.Is(err, cause) || errors.Is(err, context.Canceled) {
			t.Errorf("error: %v", err)
		}
		// no wait begins, so there is an answer to return
		resp, err := c.Do(request(t, "POST", "x"))
		if err != nil || resp.StatusCode != 503 || OutcomeOf(resp, err).Outcome != Deferred {
			t.Errorf("%v: %+v", err, OutcomeOf(resp, err))
		}
		check(t, "tries", len(s.at), 2)
		check(t, "time passed", time.Since(start), time.Second)
	})
}
