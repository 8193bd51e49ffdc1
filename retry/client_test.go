package retry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/blame"
	"github.com/penstock/penstock/internal/trip"
)

// [repeat] The table of the package comment, for a request that is repeatable and for one that is
// not.
func TestTable(t *testing.T) {
	const again = Outcome(0)
	type row struct {
		try             try
		put, post       Outcome // after one try; again: goes on
		putPays, reason string
	}
	rows := map[string]row{
		"200": {try{status: 200}, Delivered, Delivered, "", ""},
		"204": {try{status: 204}, Delivered, Delivered, "", ""},
		"dial refused": {try{err: errRefused, stage: dialling}, again, again, "no",
			"unreachable"},
		"dns hiccup": {try{err: errDNS, stage: dialling}, again, again, "no",
			"unreachable"},
		"host unknown": {try{err: errNoHost, stage: dialling}, Failed, Failed, "",
			"unreachable"},
		"429": {try{status: 429}, again, again, "no", "throttled"},
		"503": {try{status: 503}, again, again, "no", "overloaded"},
		"408 with Retry-After": {try{status: 408, header: "Retry-After: 1"}, again, again, "yes",
			"timed out"},
		"409 with Retry-After": {try{status: 409, header: "Retry-After: 1"}, again, again, "yes",
			"asked to wait"},
		"413 with Retry-After": {try{status: 413, header: "Retry-After: 1"}, again, again, "yes",
			"asked to wait"},
		"413, quota used up": {try{status: 413, header: "RateLimit: \"a\";r=0;t=1"}, Failed,
			Failed, "", "rejected"},
		"425 with Retry-After": {try{status: 425, header: "Retry-After: 1"}, again, again, "no",
			"throttled"},
		"509 with Retry-After": {try{status: 509, header: "Retry-After: 0"}, again, again, "no",
			"throttled"},
		"403 with Retry-After": {try{status: 403, header: "Retry-After: 1"}, again, again, "no",
			"throttled"},
		"408": {try{status: 408}, again, again, "yes", "timed out"},
		"425": {try{status: 425}, again, again, "yes", "too early"},
		"500": {try{status: 500}, again, Unknown, "yes", "server error"},
		"502": {try{status: 502}, again, Unknown, "yes", "server error"},
		"504": {try{status: 504}, again, Unknown, "yes", "timed out"},
		"507": {try{status: 507}, Failed, Failed, "", "rejected"},
		"507 with Retry-After": {try{status: 507, header: "Retry-After: 1"}, again, again, "no",
			"throttled"},
		"508": {try{status: 508}, Failed, Failed, "", "rejected"},
		"511": {try{status: 511}, Failed, Failed, "", "rejected"},
		"520": {try{status: 520}, again, Unknown, "yes", "server error"},
		"reset": {try{err: errReset, stage: connected}, again, Unknown, "yes",
			"connection lost"},
		"timeout": {try{err: context.DeadlineExceeded, stage: connected}, again,
			Unknown, "yes", "timed out"},
		"dial timeout": {try{err: context.DeadlineExceeded, stage: dialling}, again, again,
			"no", "unreachable"},
		"timeout, no hook": {try{err: context.DeadlineExceeded, stage: beforeConn}, again,
			Unknown, "yes", "timed out"},
		"error, no hook": {try{err: errors.New("quic: closed"), stage: beforeConn}, again,
			Unknown, "yes", "connection lost"},
		"refused, no hook": {try{err: errRefused, stage: beforeConn}, again, again, "no",
			"unreachable"},
		"host unknown, no hook": {try{err: errNoHost, stage: beforeConn}, Failed, Failed, "",
			"unreachable"},
		"alert": {try{err: errAlert, stage: connected}, Failed, Failed, "",
			"unreachable"},
		"alert, no hook": {try{err: errAlert, stage: beforeConn}, Failed, Failed, "",
			"unreachable"},
		"301": {try{status: 301, header: "Location: /x"}, Failed, Failed, "",
			"rejected"},
		"303": {try{status: 303, header: "Location: /x"}, Failed, Failed, "",
			"rejected"},
		"307 to another origin": {try{status: 307, header: "Location: https://other.example/x"},
			Failed, Failed, "", "rejected"},
		"304": {try{status: 304}, Failed, Failed, "", "rejected"},
		"401": {try{status: 401}, Failed, Failed, "", "rejected"},
		"403": {try{status: 403}, Failed, Failed, "", "rejected"},
		"404": {try{status: 404}, Failed, Failed, "", "rejected"},
		"409": {try{status: 409}, Failed, Failed, "", "rejected"},
		"413": {try{status: 413}, Failed, Failed, "", "rejected"},
		"417": {try{status: 417}, Failed, Failed, "", "rejected"},
		"501": {try{status: 501}, Failed, Failed, "", "rejected"},
		"505": {try{status: 505}, Failed, Failed, "", "rejected"},
		"not before": {try{err: notBeforeError{time.Unix(1, 0)}}, again, again, "no",
			"not before"},
		"never": {try{err: notBeforeError{}}, Deferred, Deferred, "", "not before"},
	}
	for _, status := range []int{402, 406, 407, 416, 420, 423, 424, 426, 428, 430, 431, 451, 506,
		508, 510, 511} {
		rows[fmt.Sprint(status, " with Retry-After")] = row{try{status: status,
			header: "Retry-After: 1"}, again, again, "no", "throttled"}
	}
	for _, status := range []int{400, 401, 404, 405, 410, 411, 412, 414, 415, 422, 501, 505} {
		rows[fmt.Sprint(status, " with Retry-After")] = row{try{status: status,
			header: "Retry-After: 1"}, Failed, Failed, "", "rejected"}
	}
	for name, row := range rows {
		for _, method := range []string{"PUT", "POST", "POST with leave", "POST with a key"} {
			t.Run(name+"/"+method, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := play(row.try, try{status: 201})
					c, events := over(s, exact)
					want := row.put
					if method == "POST" {
						want = row.post
					}
					if method == "POST with leave" {
						c.Repeatable = func(*http.Request) bool { return true }
					}
					newRequest := func() *http.Request {
						verb, _, _ := strings.Cut(method, " ")
						req := request(t, verb, "data")
						if method == "POST with a key" {
							req.Header.Set("Idempotency-Key", "k1")
						}
						return req
					}
					r := end(t, c, newRequest())
					if want != again {
						check(t, "outcome", r.Outcome, want)
						check(t, "tries", r.Attempts, 1)
						check(t, "status", r.Status, row.try.status)
						check(t, "events", len(*events), 1)
						check(t, "reason", (*events)[0].Reason, row.reason)
						if k := s.reqs[0].Header.Get("Idempotency-Key"); strings.HasSuffix(method,
							"key") && k != "k1" {
							t.Errorf("the key went out as %q", k)
						}
						return
					}
					check(t, "outcome", r.Outcome, Delivered)
					check(t, "tries", r.Attempts, 2)
					check(t, "bodies", strings.Join(s.body, " "), "data data")
					check(t, "reason", (*events)[0].Reason, row.reason)

					s = play(row.try, try{status: 201})
					c.HTTP.Transport = s
					c.Policy.Attempts = 1
					wantTries, wantOutcome := 2, Delivered
					if row.putPays == "yes" {
						wantTries, wantOutcome = 1, Failed
					}
					r = end(t, c, newRequest())
					check(t, "tries with one attempt", r.Attempts, wantTries)
					check(t, "outcome with one attempt", r.Outcome, wantOutcome)
				})
			})
		}
	}
}

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

// go-retryablehttp closes the shared client's idle connections whenever a call ends badly.
func TestIdleConnectionsAreLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, s := range []*script{play(try{status: 500}),
			play(try{err: errReset, stage: connected}), play(try{err: notBeforeError{}})} {
			c, _ := over(s, exact)
			c.Do(request(t, "PUT", "x"))
			resp, err := c.StandardClient().Do(request(t, "PUT", "x"))
			if err == nil {
				resp.Body.Close()
			}
			check(t, "closed", s.closedIdle, 0)
			c.StandardClient().CloseIdleConnections()
			check(t, "closed on demand", s.closedIdle, 1)
		}
	})
}

func TestUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(try{err: errNoHost, stage: dialling})
		c, _ := over(s, Policy{})
		r := end(t, c, request(t, "PUT", "x"))
		check(t, "outcome", r.Outcome, Failed)
		check(t, "tries", r.Attempts, 1)
		if !errors.Is(r.Err, ErrUnreachable) || !strings.Contains(r.Err.Error(), "no such host") {
			t.Errorf("error: %v", r.Err)
		}
		// Once the origin has answered, a name that is not found is an outage.
		s = play(try{status: 404}, try{err: errNoHost, stage: dialling}, try{status: 200})
		c.HTTP.Transport = s
		check(t, "outcome", end(t, c, request(t, "PUT", "x")).Outcome, Failed)
		check(t, "outcome", end(t, c, request(t, "PUT", "x")).Outcome, Delivered)
	})
}

// A transport that tells httptrace nothing gets the benefit of no doubt.
func TestSilentTransport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for err, want := range map[error]Outcome{errRefused: Delivered,
			io.ErrUnexpectedEOF: Unknown, context.DeadlineExceeded: Unknown} {
			n := 0
			c, _ := over(tripFunc(func(*http.Request) (*http.Response, error) {
				if n++; n == 1 {
					return nil, err
				}
				return answer(200, ""), nil
			}), exact)
			check(t, err.Error(), end(t, c, request(t, "POST", "x")).Outcome, want)
		}
	})
}

// What one path of a transport tells says nothing about another: a fallback to HTTP/3, a cache.
func TestSilentPathBesideOneThatTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := 0
		loud := play(try{status: 200})
		c, _ := over(tripFunc(func(r *http.Request) (*http.Response, error) {
			if r.Method == "GET" {
				return loud.RoundTrip(r)
			}
			silent++
			return nil, errors.New("quic: closed")
		}), exact)
		check(t, "outcome", end(t, c, request(t, "GET", "")).Outcome, Delivered)
		check(t, "outcome", end(t, c, request(t, "POST", "x")).Outcome, Unknown)
		check(t, "tries", silent, 1)
	})
}

// A limiter whose wait the context ends says by RetryAt that nothing was sent.
func TestCancelledInALimiter(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c, _ := over(tripFunc(func(*http.Request) (*http.Response, error) {
		cancel()
		return nil, errors.Join(notBeforeError{time.Now()}, ctx.Err())
	}), exact)
	check(t, "outcome", end(t, c, request(t, "POST", "x").WithContext(ctx)).Outcome, Deferred)

	// Also where it waited with a connection in its hand.
	ctx, cancel = context.WithCancel(t.Context())
	c, events := over(tripFunc(func(r *http.Request) (*http.Response, error) {
		httptrace.ContextClientTrace(r.Context()).GotConn(httptrace.GotConnInfo{})
		cancel()
		return nil, errors.Join(notBeforeError{time.Now()}, ctx.Err())
	}), exact)
	check(t, "outcome", end(t, c, request(t, "POST", "x").WithContext(ctx)).Outcome, Deferred)
	check(t, "uncertain", (*events)[0].Uncertain, false)
}

// An alert may come after the request: it proves nothing, once the origin has answered.
func TestAlertAfterAnAnswer(t *testing.T) {
	for _, where := range []stage{beforeConn, connected} {
		synctest.Test(t, func(t *testing.T) {
			c, _ := over(play(try{status: 200}, try{err: errAlert, stage: where}, try{status: 200}),
				exact)
			end(t, c, request(t, "POST", "x"))
			check(t, "outcome", end(t, c, request(t, "POST", "x")).Outcome, Unknown)
		})
	}
}

// Retry-After makes a server error a throttle, but does not say that nothing was done.
func TestServerErrorWithRetryAfter(t *testing.T) {
	for _, status := range []int{500, 502, 504, 520, 529} {
		synctest.Test(t, func(t *testing.T) {
			s := play(try{status: status, header: "Retry-After: 2"}, try{status: 200})
			c, events := over(s, exact)
			c.Policy.Attempts = 1
			check(t, "outcome of PUT", end(t, c, request(t, "PUT", "x")).Outcome, Delivered)
			check(t, "reason", (*events)[0].Reason, "throttled")
			check(t, "waited", s.at[1], 2*time.Second+1)

			s.at = nil
			check(t, "outcome of POST", end(t, c, request(t, "POST", "x")).Outcome, Unknown)
			check(t, "tries", len(s.at), 1)
		})
	}
}

// A request that is sent again waits as its server asks, whatever the status and whatever caused it
// to be sent again.
func TestRetryAfterOfOneRequest(t *testing.T) {
	for _, status := range []int{400, 404, 408, 409, 413, 422, 501} {
		synctest.Test(t, func(t *testing.T) {
			s := play(try{status: status, header: "Retry-After: 3"}, try{status: 200})
			c, _ := over(s, exact)
			if status != 408 && status != 409 && status != 413 {
				c.Classify = func(_ *http.Request, resp *http.Response, _ error) Verdict {
					if resp.StatusCode == status {
						return Verdict{Action: Retry}
					}
					return Verdict{}
				}
			}
			r := end(t, c, request(t, "POST", "x"))
			check(t, "outcome", r.Outcome, Delivered)
			check(t, "tries", r.Attempts, 2)
			check(t, "waited", s.at[1], 3*time.Second+1)
		})
	}
}

func TestClassify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(try{status: 200}, try{status: 409}, try{status: 404},
			try{err: errReset, stage: connected}, try{status: 404}, try{status: 200})
		c, events := over(s, exact)
		n := 0
		c.Classify = func(req *http.Request, resp *http.Response, err error) Verdict {
			n++
			switch n {
			case 1:
				return Verdict{Action: RetryFree, Wait: 5 * time.Second}
			case 2:
				return Verdict{Action: Retry, Reason: "key in use"}
			case 3:
				return Verdict{Wait: time.Hour, Action: RetryIfSafe}
			case 4:
				if resp != nil || !errors.Is(err, errReset) {
					t.Errorf("got %v, %v", resp, err)
				}
				return Verdict{Action: RetryFree}
			case 5:
				return Verdict{Action: Accept}
			}
			return Verdict{Action: Fail}
		}
		c.Repeatable = func(*http.Request) bool { return true }
		r := end(t, c, request(t, "POST", "x"))
		check(t, "outcome", r.Outcome, Delivered)
		check(t, "status", r.Status, 404)
		check(t, "tries", r.Attempts, 5)
		check(t, "waited", s.at[1], 5*time.Second+1)
		check(t, "reason", (*events)[1].Reason, "key in use")

		// An error is no acceptance.
		c.Classify = func(*http.Request, *http.Response,
			error) Verdict {
			return Verdict{Action: Accept}
		}
		s.tries, s.at = []try{{err: errReset, stage: connected}, {status: 500}}, nil
		r = end(t, c, request(t, "PUT", "x"))
		check(t, "outcome", r.Outcome, Delivered)
		check(t, "status", r.Status, 500)
		c.Classify = func(*http.Request, *http.Response,
			error) Verdict {
			return Verdict{Action: Fail}
		}
		s.tries = []try{{status: 200}}

		// A 200 that does not count must not look like one.
		_, err := c.Do(request(t, "POST", "x"))
		r = OutcomeOf(nil, err)
		check(t, "outcome", r.Outcome, Failed)
		check(t, "status", r.Status, 200)
	})
}

func TestBodyThatCannotBeSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, row := range []struct {
			try    try
			method string
			want   Outcome
		}{
			{try{status: 429, header: "Retry-After: 5"}, "PUT", Deferred},
			{try{status: 408}, "POST", Failed},
			{try{status: 500}, "PUT", Failed},
			{try{status: 500}, "POST", Unknown},
			{try{err: errRefused, stage: dialling}, "POST", Deferred},
		} {
			s := play(row.try)
			c, events := over(s, exact)
			for _, do := range []func(*http.Request) (*http.Response, error){c.Do,
				c.StandardClient().Do} {
				s.at, *events = nil, nil
				req, _ := http.NewRequest(row.method, "http://h.example/", onlyReader("data"))
				resp, err := do(req)
				r := OutcomeOf(resp, err)
				check(t, "outcome", r.Outcome, row.want)
				check(t, "tries", len(s.at), 1)
				check(t, "events", len(*events), 1)
				e := (*events)[0]
				if row.want != Unknown &&
					(e.Reason != "body cannot be sent again" || !errors.Is(e.Err, ErrNoGetBody) ||
						!errors.Is(r.Err, ErrNoGetBody) ||
						!strings.HasSuffix(r.Err.Error(),
							"its body cannot be sent again: set GetBody")) {
					t.Errorf("event %+v, error %v", e, r.Err)
				}
			}
		}
	})
}

func TestBodyThatCannotBeOpenedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(try{status: 429})
		c, events := over(s, exact)
		req := request(t, "PUT", "x")
		gone := errors.New("gone")
		req.GetBody = func() (io.ReadCloser, error) { return nil, gone }
		_, err := c.Do(req)
		r := OutcomeOf(nil, err)
		check(t, "outcome", r.Outcome, Failed)
		check(t, "status", r.Status, 429)
		check(t, "reason", (*events)[1].Reason, reasonBody)
		if !errors.Is(err, gone) {
			t.Errorf("error: %v", err)
		}
	})
}

func TestBadRequestsFailAtOnce(t *testing.T) {
	check := func(name string, req *http.Request) {
		around := &http.Client{Transport: tripFunc(http.DefaultTransport.RoundTrip)}
		for _, c := range []*Client{{}, {HTTP: around, Policy: exact}} {
			if name == "scheme" && c.HTTP == around {
				continue // a transport may know schemes that net/http does not
			}
			resp, err := c.Do(req)
			if r := OutcomeOf(resp, err); r.Outcome != Failed || r.Attempts > 1 || err == nil {
				t.Errorf("%s: %v, %+v", name, err, r)
			}
		}
	}
	check("nil", nil)
	check("no URL", &http.Request{})
	check("no host", &http.Request{URL: &url.URL{Scheme: "http", Path: "/"}})
	check("scheme", &http.Request{URL: &url.URL{Scheme: "ftp", Host: "h"}})
	check("method", &http.Request{Method: "A B", URL: &url.URL{Scheme: "http", Host: "h"}})
	check("header", &http.Request{URL: &url.URL{Scheme: "http", Host: "h"},
		Header: http.Header{"X": {"a\nb"}}})
	check("RequestURI", &http.Request{URL: &url.URL{Scheme: "http", Host: "h"}, RequestURI: "/"})
}

func TestInvalidPolicyClosesTheBody(t *testing.T) {
	closed := false
	req := request(t, "PUT", "x")
	req.Body = closer{req.Body, func() { closed = true }}
	_, err := (&Client{Policy: Policy{Factor: 0.5}}).Do(req)
	if err == nil || !closed || !strings.Contains(err.Error(), "0.5") {
		t.Errorf("%v, closed %v", err, closed)
	}
}

type closer struct {
	io.Reader
	close func()
}

func (c closer) Close() error { c.close(); return nil }

// http.Client adds a jar's cookies to the headers that it is given: with one map for all tries they
// would pile up, in the caller's request.
func TestCookiesDoNotPileUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(try{status: 503}, try{status: 503}, try{status: 200})
		c, _ := over(s, exact)
		jar, _ := cookiejar.New(nil)
		jar.SetCookies(&url.URL{Scheme: "http", Host: "h.example"},
			[]*http.Cookie{{Name: "a", Value: "1"}})
		c.HTTP.Jar = jar
		req := request(t, "PUT", "x")
		end(t, c, req)
		for _, r := range s.reqs {
			check(t, "Cookie", r.Header.Get("Cookie"), "a=1")
		}
		check(t, "the caller's headers", len(req.Header), 0)
	})
}

// http.Client's Timeout is for one try, and one that ends a wait below us has sent nothing.
func TestHTTPClientTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		s := play(try{status: 503, delay: 40 * time.Second},
			try{status: 200, delay: 40 * time.Second})
		c, _ := over(tripFunc(func(r *http.Request) (*http.Response, error) {
			if n++; n == 1 {
				httptrace.ContextClientTrace(r.Context()).GetConn("")
				return answer(503, ""), nil
			}
			if n < 5 { // waits for a token
				<-r.Context().Done()
				return nil, errors.Join(notBeforeError{time.Now()}, context.Cause(r.Context()))
			}
			return s.RoundTrip(r)
		}), Policy{Base: 1, Factor: 1, Attempts: 1})
		c.HTTP.Timeout = time.Minute
		start := time.Now()
		r := end(t, c, request(t, "POST", "x"))
		check(t, "outcome", r.Outcome, Delivered)
		check(t, "tries", r.Attempts, 6)
		check(t, "time passed", time.Since(start), 3*time.Minute+80*time.Second+5)
	})
}

func TestCallersTraceGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := over(play(try{status: 503}, try{status: 503}, try{status: 200}), exact)
		got := 0
		ctx := httptrace.WithClientTrace(t.Context(),
			&httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { got++ }})
		end(t, c, request(t, "PUT", "x").WithContext(ctx))
		check(t, "GotConn calls", got, 3)
	})
}

func TestRequestIsNotChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := over(play(try{status: 503}, try{status: 200}), exact)
		req := request(t, "POST", strings.Repeat("x", trip.AskFrom))
		req.Header.Set("Idempotency-Key", "k")
		body, ctx := req.Body, req.Context()
		end(t, c, req)
		if req.Body != body || req.Context() != ctx || len(req.Header) != 1 ||
			req.Header.Get("Idempotency-Key") != "k" {
			t.Errorf("changed: %+v", req)
		}
	})
}

func TestOutcomeOfStrangers(t *testing.T) {
	req, _ := http.NewRequest("GET", "http://h/", nil)
	for _, resp := range []*http.Response{nil, {}, {Request: req}} {
		check(t, "result", OutcomeOf(resp, nil), Result{})
	}
	check(t, "result", OutcomeOf(nil, io.EOF), Result{})
}

func TestStandardClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(try{status: 503}, try{err: errReset, stage: connected},
			try{status: 307, header: "Location: /moved"}, try{status: 429}, try{status: 201})
		c, _ := over(s, exact)
		resp, err := c.StandardClient().Do(request(t, "PUT", "data"))
		if err != nil {
			t.Fatal(err)
		}
		check(t, "status", resp.StatusCode, 201)
		check(t, "URL", resp.Request.URL.Path, "/moved")
		check(t, "bodies", strings.Join(s.body, " "), "data data data data data")
		check(t, "outcome", OutcomeOf(resp, err).Outcome, Delivered)

		_, err = (&Client{HTTP: &http.Client{Transport: play(try{err: errReset,
			stage: connected})}}).StandardClient().Post("http://h.example/", "text/plain",
			strings.NewReader("x"))
		check(t, "outcome", OutcomeOf(nil, err).Outcome, Unknown)
	})
}

// What http.Client does once a call and what it does once a hop stay apart.
func TestStandardClientTimeoutAndJar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(try{status: 200, delay: time.Hour}, try{status: 200, delay: 40 * time.Second})
		c, _ := over(s, exact)
		c.HTTP.Timeout = time.Minute
		c.HTTP.Jar, _ = cookiejar.New(nil)
		c.HTTP.Jar.SetCookies(&url.URL{Scheme: "http", Host: "h.example"},
			[]*http.Cookie{{Name: "a", Value: "1"}})
		start := time.Now()
		resp, err := c.StandardClient().Do(request(t, "PUT", "x"))
		check(t, "outcome", OutcomeOf(resp, err).Outcome, Delivered)
		check(t, "tries", len(s.at), 2)
		check(t, "Cookie", s.reqs[1].Header.Get("Cookie"), "a=1")
		check(t, "time passed", time.Since(start), 100*time.Second+1)
		resp.Body.Close()
	})
}

func TestConcurrentCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		n := 0
		c := &Client{Policy: Policy{Budget: &Budget{}},
			HTTP: &http.Client{Transport: tripFunc(func(*http.Request) (*http.Response, error) {
				mu.Lock()
				defer mu.Unlock()
				if n++; n%3 == 0 {
					return answer(200, ""), nil
				}
				return answer(503, ""), nil
			})}}
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				req, _ := http.NewRequest("PUT", "http://h/", strings.NewReader("x"))
				resp, err := c.Do(req)
				if err != nil || OutcomeOf(resp, err).Outcome == 0 {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	})
}

// One faulty item among healthy traffic is found out, also where a few of the others are refused
// now and then.
func TestFaultyItemAmongHealthyTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		c, _ := over(tripFunc(func(r *http.Request) (*http.Response, error) {
			if r.URL.Path == "/faulty" {
				return answer(429, "Retry-After: 1"), nil // some hundred others pass
			}
			if n++; n%40 == 0 {
				return answer(429, ""), nil
			}
			return answer(200, ""), nil
		}), Policy{Attempts: 3, Base: time.Second, Factor: 1})
		c.Observe = nil
		ctx, cancel := context.WithCancel(t.Context())
		var others sync.WaitGroup
		others.Go(func() {
			for ctx.Err() == nil {
				good, _ := http.NewRequestWithContext(ctx, "GET", "http://h.example/good", nil)
				c.Do(good)
				time.Sleep(time.Millisecond)
			}
		})
		req, _ := http.NewRequest("GET", "http://h.example/faulty", nil)
		r := end(t, c, req)
		check(t, "outcome", r.Outcome, Failed)
		check(t, "status", r.Status, 429)
		check(t, "tries", r.Attempts, 4) // the first refusal proves nothing
		cancel()
		others.Wait()
	})
}

// Where many compete for what a server accepts, some other is always accepted in between, and there
// is no fault.
func TestCrowdOverTheLimitLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var free time.Time // when the next one is accepted
		c := &Client{HTTP: &http.Client{Transport: tripFunc(func(*http.Request) (*http.Response,
			error) {
			time.Sleep(time.Millisecond)
			mu.Lock()
			defer mu.Unlock()
			now := time.Now()
			if now.Before(free) {
				return answer(429, ""), nil
			}
			free = now.Add(time.Second / 20)
			return answer(200, ""), nil
		})}}
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				for range 20 {
					req, _ := http.NewRequest("PUT", "http://h/", strings.NewReader("x"))
					resp, err := c.Do(req)
					if r := OutcomeOf(resp, err); r.Outcome != Delivered {
						t.Errorf("%v after %d tries: %v", r.Outcome, r.Attempts, r.Err)
					}
				}
			})
		}
		wg.Wait()
	})
}

// A server that accepts others now and then does not keep a call alive forever.
func TestGiveUpAfterHoldsInACrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := over(nil, Policy{Base: time.Minute, Factor: 1, Cap: time.Minute,
			GiveUpAfter: 10 * time.Minute})
		c.HTTP.Transport = tripFunc(func(r *http.Request) (*http.Response, error) {
			k := c.kind(r)
			var others [9]blame.Call
			for i := range others {
				if i == 8 { // one of them was refused before
					new(blame.Kind).Refuse(&others[i], 429)
				}
				k.Accept(k.Now(), &others[i])
			}
			return answer(429, ""), nil
		})
		start := time.Now()
		check(t, "outcome", end(t, c, request(t, "POST", "x")).Outcome, Deferred)
		if took := time.Since(start); took < 9*time.Minute || took > 10*time.Minute {
			t.Errorf("gave up after %v", took)
		}
	})
}

type proxyStatusError int

func (e proxyStatusError) Error() string    { return "the proxy refuses" }
func (e proxyStatusError) ProxyStatus() int { return int(e) }

func TestProxyRefuses(t *testing.T) {
	for status, want := range map[int]Outcome{403: Failed, 407: Failed, 429: Delivered,
		502: Delivered, 503: Delivered} {
		for _, where := range []stage{beforeConn, dialling} { // a wrapper may hide the hooks
			synctest.Test(t, func(t *testing.T) {
				c, events := over(play(try{err: &net.OpError{Op: "proxyconnect",
					Err: proxyStatusError(status)}, stage: where}, try{status: 201}), exact)
				c.Policy.Attempts = 1
				r := end(t, c, request(t, "POST", "x"))
				check(t, "outcome", r.Outcome, want)
				check(t, "status in the event", (*events)[0].Status, status)
				if want == Failed {
					check(t, "status", r.Status, status)
					check(t, "tries", r.Attempts, 1)
				}
			})
		}
	}
}

// The same, through net/http's own transport and a proxy.
func TestProxyAuthentication(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter,
		r *http.Request) {
		w.WriteHeader(http.StatusProxyAuthRequired)
	}))
	defer proxy.Close()
	u, _ := url.Parse(proxy.URL)
	tr := &http.Transport{
		Proxy: http.ProxyURL(u),
		OnProxyConnectResponse: func(_ context.Context, _ *url.URL, _ *http.Request,
			resp *http.Response) error {
			return proxyStatusError(resp.StatusCode)
		},
	}
	defer tr.CloseIdleConnections()
	c := &Client{HTTP: &http.Client{Transport: tr}, Policy: Policy{GiveUpAfter: 1}}
	req, _ := http.NewRequest("POST", "https://h.example/", strings.NewReader("x"))
	r := end(t, c, req)
	check(t, "outcome", r.Outcome, Failed)
	check(t, "status", r.Status, 407)
}
