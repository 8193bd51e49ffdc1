package retry

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/trip"
)

// sentAtOnce are calls that send again at once, the first time. Each makes a server that calls sent
// for each request, and lets it succeed only if that returns true; and it returns the n-th request
// to it.
var sentAtOnce = map[string]func(t *testing.T, p Policy, sent func() bool) (c *Client,
	next func(n int) *http.Request){
	"stream that was reset": func(t *testing.T, p Policy, sent func() bool) (*Client,
		func(int) *http.Request) {
		c, _ := h2server(t, p, func(_, _ int, c *h2conn) {
			if sent() {
				c.frame(frameHeaders, endHeaders|endStream, c.last, noContent2)
			} else {
				c.frame(frameReset, 0, c.last, streamError)
			}
		})
		return c, func(int) *http.Request { return request(t, "DELETE", "") }
	},
	"server that went away": func(t *testing.T, p Policy, sent func() bool) (*Client,
		func(int) *http.Request) {
		c, _ := h2server(t, p, func(_, _ int, c *h2conn) {
			if sent() {
				c.frame(frameHeaders, endHeaders|endStream, c.last, noContent2)
			} else {
				c.goAway(0)
			}
		})
		return c, func(int) *http.Request { return request(t, "POST", "x") }
	},
	"expectation": func(t *testing.T, p Policy, sent func() bool) (*Client,
		func(int) *http.Request) {
		c, _ := over(tripFunc(func(r *http.Request) (*http.Response, error) {
			if sent() {
				return answer(204, ""), nil
			}
			return answer(417, ""), nil
		}), p)
		return c, func(n int) *http.Request {
			req := request(t, "PUT", strings.Repeat("x", trip.AskFrom))
			req.URL.Host = fmt.Sprintf("h%d.example", n) // none of which has answered so
			return req
		}
	},
	"kept connection": func(t *testing.T, p Policy, sent func() bool) (*Client,
		func(int) *http.Request) {
		c := real(t, p, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != "OPTIONS" && !sent() {
				panic(http.ErrAbortHandler)
			}
		}))
		check(t, "before", end(t, c, request(t, "OPTIONS", "")).Outcome, Delivered)
		return c, func(int) *http.Request { return request(t, "GET", "") }
	},
}

// A budget bounds all retries, also those that need no wait of their own.
func TestBudgetOfWhatIsSentAtOnce(t *testing.T) {
	for name, make := range sentAtOnce {
		synctest.Test(t, func(t *testing.T) {
			var at []time.Duration
			start, p := time.Now(), exact
			p.Budget = &Budget{Ratio: math.SmallestNonzeroFloat64, PerSecond: 0.1, Burst: 1}
			c, next := make(t, p, func() bool {
				at = append(at, time.Since(start))
				return len(at)%2 == 0
			})
			for n := range 3 {
				r := end(t, c, next(n))
				check(t, name+": outcome", r.Outcome, Delivered)
				check(t, name+": tries", r.Attempts, 2)
			}
			check(t, name, fmt.Sprint(at), "[0s 0s 0s 10s 10s 20s]")
		})
	}
}

// What is sent at once comes before any deadline.
func TestDeadlineOfWhatIsSentAtOnce(t *testing.T) {
	for name, make := range sentAtOnce {
		synctest.Test(t, func(t *testing.T) {
			n, start := 0, time.Now()
			p := exact
			p.Base, p.Cap = math.MaxInt64, math.MaxInt64
			c, next := make(t, p, func() bool { n++; return n > 1 })
			req := next(0)
			ctx, cancel := context.WithTimeout(req.Context(), 1)
			defer cancel()
			r := end(t, c, req.WithContext(ctx))
			check(t, name+": outcome", r.Outcome, Delivered)
			check(t, name+": tries", r.Attempts, 2)
			check(t, name+": took", time.Since(start), time.Duration(0))
		})
	}
}

// What is not sent again after all leaves the budget as it was.
func TestBudgetOfWhatIsNotSentAtOnce(t *testing.T) {
	for name, make := range sentAtOnce {
		synctest.Test(t, func(t *testing.T) {
			p, sent := exact, 0
			p.Budget = &Budget{Ratio: math.SmallestNonzeroFloat64, PerSecond: 0.1, Burst: 1}
			c, next := make(t, p, func() bool { sent++; return false })
			p.Budget.take(time.Now())
			ctx, cancel := context.WithTimeout(t.Context(), 9*time.Second)
			defer cancel()
			resp, err := c.Do(next(0).WithContext(ctx))
			r := OutcomeOf(resp, err)
			check(t, name+": outcome", r.Outcome, Deferred)
			check(t, name+": sent", sent, 1)
			check(t, name+": too late", errors.Is(r.Err, context.DeadlineExceeded), true)
			check(t, name+": tokens", p.Budget.add(time.Now(), 0), 0.0)
		})
	}
}
