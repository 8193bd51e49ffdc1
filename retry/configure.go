package retry

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/penstock/penstock/internal/curve"
	"github.com/penstock/penstock/internal/hint"
	"github.com/penstock/penstock/internal/nethttp"
)

// ConfigureRetryable makes a client of go-retryablehttp judge and wait as this package does, for
// programs that already have one: it sets CheckRetry and Backoff, and leaves the rest alone. Call
// it before the client is used.
//
// What is repeated is what the table of the package comment says. RetryMax bounds all retries, for
// that library does not tell refusals from failures. A retry waits for what the server asked for,
// however it is written (see [ParseHints]), plus a random time of up to min(RetryWaitMax,
// RetryWaitMin·2^n), where n is 0 before the first retry; if one of the two is zero, it is
// [Policy].Cap or Base. What is asked to wait for more than an hour is not repeated, and neither is
// a "not before" error. The Timeout of its HTTPClient includes the time that a request waits in a
// throttle.Transport below: use that one's Timeout.
//
// The library reports an error as that of a method, so after an error a POST is repeated only if
// nothing was sent, even if it has an Idempotency-Key. Where an error follows a redirect that has
// made a GET of a POST, the library does not say that there was one: to be safe, let CheckRedirect
// of its HTTPClient return [http.ErrUseLastResponse]. An error of a response handler is repeated if
// the request is repeatable.
func ConfigureRetryable(c *retryablehttp.Client) {
	k := &configured{}
	c.CheckRetry, c.Backoff = k.check, k.wait
}

// configured is a client of go-retryablehttp, which judges as the zero Client does.
type configured struct{ Client }

// check is the library's CheckRetry.
func (k *configured) check(ctx context.Context, resp *http.Response, err error) (bool, error) {
	var v Verdict
	var safe bool
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case resp != nil:
		hints := hint.Parse(resp.StatusCode, resp.Header, time.Now())
		if last := resp.Request; last != nil {
			k.origins.Of(nethttp.Origin(last.URL)).Learn(resp.StatusCode, false, 0)
			given := last // the library sends this one again, not the one of the last redirect
			for given.Response != nil && given.Response.Request != nil {
				given = given.Response.Request
			}
			safe = k.repeatable(given)
			if !safe && nethttp.Method(given) != nethttp.Method(last) {
				return false, nil // the redirect is the answer to it
			}
		}
		if v = judgeStatus(resp.StatusCode, hints, safe); hints.Wait > defaultMaxPause {
			return false, nil
		}
		if err != nil && v.Action == Accept { // of the library's response handler
			v.Action = RetryIfSafe
		}
	default:
		// The library knows which errors of http.Client are about the request, by their texts; of
		// what is not to be sent before an instant Backoff is not told.
		again, _ := retryablehttp.DefaultRetryPolicy(ctx, nil, err)
		if !again || notBeforeOf(err) != nil {
			return false, nil
		}
		var answered bool
		var outer *url.Error
		if errors.As(err, &outer) {
			safe = nethttp.Idempotent(strings.ToUpper(outer.Op))
			answered = k.origins.Of(nethttp.OriginOf(outer.URL)).Answered()
		}
		sent := !nethttp.Refused(err) && !nethttp.GoneAway(err) && !nethttp.NeverConnected(err)
		v = judgeError(err, 0, sent, answered)
	}
	return v.Action == RetryFree || v.Action == Retry || v.Action == RetryIfSafe && safe, nil
}

// wait is the library's Backoff, which counts from zero on.
func (k *configured) wait(base, most time.Duration, n int, resp *http.Response) time.Duration {
	var asked time.Duration
	if resp != nil {
		asked = hint.Parse(resp.StatusCode, resp.Header, time.Now()).Wait
	}
	c := Policy{Base: base, Cap: most}.orDefaults().curve()
	for range min(n, 64) { // by then any bound has reached RetryWaitMax
		c.After(0)
	}
	return curve.Plus(asked, c.After(asked))
}
