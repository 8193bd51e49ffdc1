package retry

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/blame"
)

// A secureConn says of itself what was negotiated by TLS.
type secureConn struct {
	net.Conn
	protocol string
	closed   bool
}

func (c *secureConn) ConnectionState() tls.ConnectionState {
	return tls.ConnectionState{NegotiatedProtocol: c.protocol}
}

func (c *secureConn) Close() error {
	c.closed = true
	if c.Conn == nil {
		return nil
	}
	return c.Conn.Close()
}

// Behind one name there may be servers of both protocols. That the last answer came by HTTP/1 does
// not make a connection of HTTP/2 one that has no other requests.
func TestHTTP2AfterAnAnswerByHTTP1(t *testing.T) {
	for name, row := range map[string]struct {
		method, body, header, interim string
		want                          Outcome
	}{
		"must not be repeated": {"POST", "", "", "", Unknown},
		"careful":              {"DELETE", "", "", "", Failed},
		"sent again anyway":    {"GET", "", "", "", Failed},
		"with a body":          {"POST", "x", "", "", Unknown},
		"with a key":           {"POST", "x", "Idempotency-Key", "", Failed},
		"being worked on":      {"POST", "x", "Idempotency-Key", status102, Failed},
	} {
		synctest.Test(t, func(t *testing.T) {
			held, sent := make(chan *h2conn, 2), 0
			p := exact
			p.Attempts = 1
			c, _ := h2server(t, p, func(_, n int, c *h2conn) {
				switch n {
				case 0, 2:
					held <- c
				case 1: // net/http does not use the first connection again
					c.frame(frameReset, 0, c.last, streamError)
				default:
					sent++
					c.frame(frameHeaders, endHeaders|endStream, c.last, noContent2)
				}
			})
			tr := c.HTTP.Transport.(*http.Transport)
			dial := tr.DialContext
			tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := dial(ctx, network, addr)
				return &secureConn{Conn: conn, protocol: "h2"}, err
			}
			c.HTTP.Transport = tripFuncWithBody(func(r *http.Request) (*http.Response, error) {
				if r.Header.Get("By-HTTP1") != "" {
					resp := answer(204, "")
					resp.ProtoMajor, resp.ContentLength, resp.Body = 1, 0, http.NoBody
					return resp, nil
				}
				r = r.Clone(r.Context())
				r.URL.Scheme = "http" // as if TLS were below
				return tr.RoundTrip(r)
			})
			do := func(method, body, header string) <-chan Result {
				req := request(t, method, body)
				req.URL.Scheme = "https"
				if header != "" {
					req.Header.Set(header, "1")
				}
				done := make(chan Result, 1)
				go func() { done <- end(t, c, req) }()
				synctest.Wait()
				return done
			}
			check(t, name+": before", (<-do("OPTIONS", "", "By-HTTP1")).Outcome, Delivered)
			lost := do(row.method, row.body, row.header)
			check(t, name+": reset at once", (<-do("POST", "", "")).Outcome, Unknown)
			other := do("PATCH", "", "") // on another connection
			first := <-held
			if row.interim != "" {
				first.frame(frameHeaders, endHeaders, 1, row.interim)
			}
			first.frame(frameReset, 0, 1, streamError) // its request would go there, too
			r := <-lost
			check(t, name+": outcome", r.Outcome, row.want)
			check(t, name+": uncertain", r.Uncertain, true)
			check(t, name+": sent again", sent, 0)
			second := <-held
			second.frame(frameHeaders, endHeaders|endStream, second.last, noContent2)
			r = <-other
			check(t, name+": other request", r.Outcome, Delivered)
			check(t, name+": its tries", r.Attempts, 1)
		})
	}
}

// Where a kept connection of HTTP/1 has ended net/http may go on by HTTP/2.
func TestHTTP2AfterAKeptConnectionOfHTTP1(t *testing.T) {
	for _, known := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			shared, ended := &secureConn{protocol: "h2"}, false
			one := exact
			one.Attempts = 1
			n := 0
			c, _ := over(tripFunc(func(r *http.Request) (*http.Response, error) {
				if n++; known && n == 1 {
					resp := answer(204, "")
					resp.ProtoMajor = 1
					return resp, nil
				}
				hooks := httptrace.ContextClientTrace(r.Context()) // as net/http calls them
				hooks.GotConn(httptrace.GotConnInfo{Conn: &secureConn{protocol: "http/1.1"},
					Reused: true})
				hooks.WroteHeaders()
				hooks.GetConn("h.example:443")
				hooks.GotConn(httptrace.GotConnInfo{Conn: shared})
				select {
				case <-r.Context().Done():
					ended = true
					return nil, context.Cause(r.Context())
				case <-time.After(time.Second):
					return answer(204, ""), nil
				}
			}), one)
			req := request(t, "GET", "")
			req.URL.Scheme = "https"
			if known {
				check(t, "before", end(t, c, req).Outcome, Delivered)
			}
			r := end(t, c, req)
			check(t, "outcome", r.Outcome, Failed)
			check(t, "uncertain", r.Uncertain, true)
			check(t, "nothing is sent", ended, true)
			check(t, "closed", shared.closed, false)
		})
	}
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
