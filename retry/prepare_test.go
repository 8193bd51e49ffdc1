package retry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/standing"
)

// Each attempt is prepared, and the caller's request stays as it was.
func TestPrepare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(try{status: 503}, try{err: errReset, stage: connected}, try{status: 201})
		c, _ := over(s, exact)
		c.Prepare = func(r *http.Request) error {
			// A token that it gets meanwhile comes over a connection that is not the attempt's.
			if httptrace.ContextClientTrace(r.Context()) != nil {
				t.Error("what Prepare sends is watched")
			}
			body, err := r.GetBody()
			if err != nil {
				return err
			}
			all, _ := io.ReadAll(body)
			r.Header.Set("X-Signature", fmt.Sprint(string(all), " ", Attempt(r.Context())))
			r.URL.RawQuery += "&n=" + fmt.Sprint(Attempt(r.Context()))
			return nil
		}
		req := request(t, "PUT", "data")
		was := req.URL.String()
		check(t, "outcome", end(t, c, req).Outcome, Delivered)
		for i, r := range s.reqs {
			check(t, "signature", r.Header.Get("X-Signature"), fmt.Sprint("data ", i+1))
			check(t, "query", r.URL.RawQuery, fmt.Sprint("token=s3cr3t&n=", i+1))
			check(t, "number", Attempt(r.Context()), i+1)
		}
		check(t, "bodies", strings.Join(s.body, " "), "data data data")
		if req.URL.String() != was || len(req.Header) != 0 {
			t.Errorf("the request became %v %v", req.URL, req.Header)
		}
	})
}

// An error of Prepare ends the call: nothing more is sent, and the body is closed.
func TestPrepareFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			name     string
			at       int // the attempt that it fails in
			cancel   bool
			want     Outcome
			text     string
			attempts int
		}{
			{"the first", 1, false, Failed,
				"retry: PUT http://h.example/up/f.bin: it could not be prepared: boom", 0},
			{"the second", 2, false, Failed,
				"retry: PUT http://h.example/up/f.bin: 500 Internal Server Error: " +
					"PUT http://h.example/up/f.bin: it could not be prepared: boom (it may have been accepted)", 1},
			{"cancelled", 1, true, Deferred,
				"retry: PUT http://h.example/up/f.bin: it could not be prepared: boom: context canceled", 0},
		} {
			s := play(try{status: 500})
			c, events := over(s, exact)
			ctx, cancel := context.WithCancel(t.Context())
			c.Prepare = func(r *http.Request) error {
				if Attempt(r.Context()) < test.at {
					return nil
				}
				if test.cancel {
					cancel()
				}
				return errors.New("boom")
			}
			body := &bodyOf{content: "data"}
			req := request(t, "PUT", "").WithContext(ctx)
			req.GetBody = body.open
			req.Body, _ = body.open()
			req.ContentLength = 4
			_, err := c.Do(req)
			cancel()
			r := OutcomeOf(nil, err)
			check(t, test.name+": outcome", r.Outcome, test.want)
			check(t, test.name+": attempts", r.Attempts, test.attempts)
			check(t, test.name+": sent", len(s.reqs), test.attempts)
			check(t, test.name+": text", err.Error(), test.text)
			check(t, test.name+": closed", body.closed, body.opened)
			check(t, test.name+": reason", (*events)[len(*events)-1].Reason, reasonPrepare)
		}
	})
}

// What Prepare is kept from by a limiter, such as a token that it has no leave to fetch, may be sent
// later.
func TestPrepareNotBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, at := range []time.Time{time.Now().Add(time.Minute), {}} {
			c, _ := over(play(try{status: 201}), exact)
			c.Prepare = func(*http.Request) error {
				return fmt.Errorf("token: %w", notBeforeError{at})
			}
			r := end(t, c, request(t, "PUT", "x"))
			check(t, "outcome", r.Outcome, Deferred)
			check(t, "attempts", r.Attempts, 0)
			check(t, "may be sent again", r.RetryAt, at)
		}
	})
}

// What Prepare puts into a URL is for the origin that the caller named.
func TestPrepareIsOfOneOrigin(t *testing.T) {
	for name, do := range map[string]func(*Client, *http.Request) (*http.Response, error){
		"Do": (*Client).Do,
		"StandardClient": func(c *Client, req *http.Request) (*http.Response, error) {
			return c.StandardClient().Do(req)
		},
	} {
		var queries []string
		c, _ := over(tripFunc(func(r *http.Request) (*http.Response, error) {
			queries = append(queries, r.URL.Host+"?"+r.URL.RawQuery+r.Header.Get("X-Token"))
			switch r.URL.Path {
			case "/up/f.bin":
				return answer(302, "Location: /moved"), nil
			case "/moved":
				return answer(302, "Location: http://other.example/end"), nil
			}
			return answer(200, ""), nil
		}), exact)
		c.Prepare = func(r *http.Request) error {
			r.URL.RawQuery = "sig=1"
			r.Header.Set("X-Token", "t")
			return nil
		}
		resp, err := do(c, request(t, "GET", ""))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		want := "h.example?sig=1t h.example?t other.example?"
		if name == "StandardClient" { // each redirect is a call
			want = "h.example?sig=1t h.example?sig=1t other.example?"
		}
		check(t, name, strings.Join(queries, " "), want)
	}
}

// A transport that stops is stopped after the waits, with the same cause.
type stoppable struct {
	http.RoundTripper
	stopped []error
}

func (s *stoppable) Stop(err error) { s.stopped = append(s.stopped, err) }

func TestStopGoesDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below := &stoppable{RoundTripper: play(try{status: 503, header: "Retry-After: 600"})}
		c, _ := over(below, exact)
		outer := &Client{HTTP: c.StandardClient()}
		cause := errors.New("interrupted")
		time.AfterFunc(time.Second, func() { outer.Stop(cause) })
		begin := time.Now()
		_, err := c.Do(request(t, "PUT", "x"))
		synctest.Wait() // for the end of Stop
		check(t, "time passed", time.Since(begin), time.Second)
		check(t, "cause", errors.Is(err, cause), true)
		check(t, "stopped", fmt.Sprint(below.stopped), "[interrupted]")
		c.Stop(nil)
		check(t, "stopped again", fmt.Sprint(below.stopped), "[interrupted stopped]")
	})
	new(Client).Stop(nil) // http.DefaultTransport has no Stop
}

// A limiter below says so itself, and from then on refusals are spread, not backed off.
func TestPacedClient(t *testing.T) {
	last := func() float64 { return 0.999 }
	for _, paced := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := play(try{status: 503}, try{status: 503}, try{status: 503}, try{status: 201})
			c, events := over(tripFunc(func(r *http.Request) (*http.Response, error) {
				if paced {
					standing.Pace(r.Context())
				}
				return s.RoundTrip(r)
			}), Policy{Rand: last})
			check(t, "outcome", end(t, c, request(t, "PUT", "x")).Outcome, Delivered)
			var waits []time.Duration
			for _, e := range (*events)[:3] {
				waits = append(waits, e.Wait.Round(10*time.Millisecond))
			}
			want := "[500ms 1s 2s]"
			if paced {
				want = "[500ms 500ms 500ms]"
			}
			check(t, "waits", fmt.Sprint(waits), want)
		})
	}
}
