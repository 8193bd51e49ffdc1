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
