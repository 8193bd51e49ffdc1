package retry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
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
