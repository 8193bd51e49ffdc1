package retry

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptrace"
	"testing"
	"testing/synctest"
	"time"
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
