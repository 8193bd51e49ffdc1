package retry

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/trip"
)

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
							"the request's body cannot be sent again: set GetBody")) {
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

// A proxy passes on the requests that it has received, with what only a server's requests have.
func TestStandardClientInAProxy(t *testing.T) {
	s := play(try{status: 503}, try{status: 201})
	c, _ := over(s, exact)
	req := request(t, "PUT", "x")
	req.RequestURI = "/up/f.bin"
	resp, err := c.StandardClient().Transport.RoundTrip(req)
	check(t, "outcome", OutcomeOf(resp, err).Outcome, Delivered)
	check(t, "requests", len(s.reqs), 2)
	check(t, "the caller's", req.RequestURI, "/up/f.bin")
	if resp != nil {
		resp.Body.Close()
	}
}
