package retry

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"syscall"
	"testing"
	"time"
)

// tripFunc is a transport that tells httptrace nothing.
type tripFunc func(*http.Request) (*http.Response, error)

func (f tripFunc) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		io.Copy(io.Discard, r.Body)
		r.Body.Close()
	}
	return f(r)
}

// stage says how far a try of script comes before its error.
type stage int

const (
	beforeConn stage = iota
	dialling
	connected
)

// try is what script does with one request.
type try struct {
	status int
	header string // "Name: value"
	err    error
	stage  stage
	delay  time.Duration
}

// script is a transport that plays tries, the last one again and again, and tells httptrace what
// net/http would.
type script struct {
	tries []try
	at    []time.Duration // when each round trip began
	start time.Time
	body  []string
	reqs  []*http.Request

	closedIdle int
}

func play(tries ...try) *script { return &script{tries: tries, start: time.Now()} }

func (s *script) CloseIdleConnections() { s.closedIdle++ }

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, context.Cause(r.Context())
	}
	n := len(s.at)
	s.at = append(s.at, time.Since(s.start))
	s.reqs = append(s.reqs, r)
	t := s.tries[min(n, len(s.tries)-1)]
	trace := httptrace.ContextClientTrace(r.Context())
	if t.err == nil || t.stage >= dialling {
		trace.GetConn("")
	}
	if t.err == nil || t.stage >= connected {
		trace.GotConn(httptrace.GotConnInfo{})
	}
	if r.Body != nil {
		b, _ := io.ReadAll(r.Body)
		r.Body.Close()
		s.body = append(s.body, string(b))
		if trace.WroteRequest != nil && (t.err == nil || t.stage >= connected) {
			trace.WroteRequest(httptrace.WroteRequestInfo{Err: t.err})
		}
	}
	if t.delay > 0 {
		select {
		case <-time.After(t.delay):
		case <-r.Context().Done():
			return nil, context.Cause(r.Context())
		}
	}
	if t.err != nil {
		return nil, t.err
	}
	return answer(t.status, t.header), nil
}

func answer(status int, header string) *http.Response {
	h := make(http.Header)
	if name, value, ok := strings.Cut(header, ": "); ok {
		h.Set(name, value)
	}
	return &http.Response{StatusCode: status, Header: h,
		Body: io.NopCloser(strings.NewReader("body")), ContentLength: 4}
}

// exact is a policy whose waits are 1ns, or 1ns more than what is asked for.
var exact = Policy{Base: 1, Factor: 1}

var (
	errRefused = &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	errReset   = &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	errAlert   = &net.OpError{Op: "remote error", Err: tls.AlertError(116)}
	errNoHost  = &net.OpError{Op: "dial", Net: "tcp",
		Err: &net.DNSError{Err: "no such host", Name: "h.example", IsNotFound: true}}
	errDNS = &net.OpError{Op: "dial", Net: "tcp",
		Err: &net.DNSError{Err: "server misbehaving", Name: "h.example", IsTemporary: true}}
)

// notBeforeError is what a limiter's error looks like.
type notBeforeError struct{ at time.Time }

func (e notBeforeError) Error() string      { return "limiter: not now" }
func (e notBeforeError) RetryAt() time.Time { return e.at }

func request(t testing.TB, method, body string) *http.Request {
	t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(t.Context(), method,
		"http://h.example/up/f.bin?token=s3cr3t", r)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// over returns a client on a transport, and what it observes.
func over(rt http.RoundTripper, p Policy) (*Client, *[]Event) {
	var events []Event
	return &Client{HTTP: &http.Client{Transport: rt}, Policy: p,
		Observe: func(e Event) { events = append(events, e) }}, &events
}

func check(t testing.TB, what string, got, want any) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// end runs a request and returns how it ended, checking what holds for all.
func end(t testing.TB, c *Client, req *http.Request) Result {
	t.Helper()
	resp, err := c.Do(req)
	if (resp == nil) == (err == nil) {
		t.Fatalf("Do returned response %v and error %v", resp, err)
	}
	r := OutcomeOf(resp, err)
	if resp != nil {
		if b, err := io.ReadAll(resp.Body); err != nil || len(b) == 0 && resp.ContentLength != 0 {
			t.Errorf("the response's body cannot be read: %q, %v", b, err)
		}
		resp.Body.Close()
	} else {
		var e *Error
		if !errors.As(err, &e) {
			t.Fatalf("error is %T, want *Error: %v", err, err)
		}
		if !strings.HasPrefix(err.Error(), "retry: ") || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("error text: %s", err)
		}
	}
	if r.Outcome == 0 || (r.Err == nil) != (r.Outcome == Delivered) {
		t.Errorf("outcome %v with error %v", r.Outcome, r.Err)
	}
	if r.Err != nil && strings.Contains(r.Err.Error(), "s3cr3t") {
		t.Errorf("error text: %s", r.Err)
	}
	return r
}

// onlyReader hides all but Read, so that http.NewRequest fills no GetBody.
func onlyReader(s string) io.Reader { return struct{ io.Reader }{bytes.NewReader([]byte(s))} }

// watched returns ctx with hooks that do nothing, for a script.
func watched(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) {}, GotConn: func(httptrace.GotConnInfo) {},
	})
}
