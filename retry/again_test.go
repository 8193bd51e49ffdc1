package retry

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/filebody"
	"github.com/penstock/penstock/internal/trip"
)

const status412 = "\x08\x03412" // in HPACK

// repeatables are requests of all kinds that net/http sends again by itself.
var repeatables = map[string]func(t *testing.T) *http.Request{
	"GET":       func(t *testing.T) *http.Request { return request(t, "GET", "") },
	"DELETE":    func(t *testing.T) *http.Request { return request(t, "DELETE", "") },
	"PUT":       func(t *testing.T) *http.Request { return request(t, "PUT", "x") },
	"empty PUT": func(t *testing.T) *http.Request { return request(t, "PUT", "") },
	"file": func(t *testing.T) *http.Request {
		return fileRequest(t, "PUT", request(t, "PUT", "").URL.String(),
			file(t, strings.Repeat("x", filebody.MaxSmall+1)))
	},
	"empty file": func(t *testing.T) *http.Request {
		return fileRequest(t, "PUT", request(t, "PUT", "").URL.String(), file(t, ""))
	},
	"expecting": func(t *testing.T) *http.Request {
		r := request(t, "PUT", "x")
		r.Header.Set("Expect", "100-continue")
		return r
	},
	"key": func(t *testing.T) *http.Request {
		r := request(t, "POST", "x")
		r.Header.Set("Idempotency-Key", "k")
		return r
	},
}

// A server that resets the stream may have processed the request. To send it again is an attempt,
// and what the server says then does not say what became of it.
func TestRepeatableRequestThatIsResetInDoubt(t *testing.T) {
	for name, make := range repeatables {
		for _, before := range []bool{false, true} { // whether the protocol is known
			synctest.Test(t, func(t *testing.T) {
				sent := 0
				c, _ := h2server(t, exact, func(_, n int, c *h2conn) {
					switch {
					case before && n == 0:
						c.frame(frameHeaders, endHeaders|endStream, c.last, noContent2)
					case sent == 0:
						sent++
						c.frame(frameReset, 0, c.last, streamError)
					default:
						sent++
						c.frame(frameHeaders, endHeaders|endStream, c.last, status412)
					}
				})
				c.HTTP.Transport.(*http.Transport).ExpectContinueTimeout = time.Second
				if before {
					check(t, name+": before", end(t, c, request(t, "GET", "")).Outcome, Delivered)
				}
				var events []Event
				c.Observe = func(e Event) { events = append(events, e) }
				r := end(t, c, make(t))
				check(t, name+": outcome", r.Outcome, Failed)
				check(t, name+": status", r.Status, 412)
				check(t, name+": uncertain", r.Uncertain, true)
				check(t, name+": tries", r.Attempts, 2)
				check(t, name+": sent", sent, 2)
				check(t, name+": first try in doubt", events[0].Uncertain, true)
				check(t, name+": reason", events[0].Reason, reasonLost)
			})
		}
	}
}

// A server that resets each stream gets as many as the policy allows.
func TestResetsAreAttempts(t *testing.T) {
	for name, make := range repeatables {
		for _, attempts := range []int{1, 3} {
			synctest.Test(t, func(t *testing.T) {
				sent, p := 0, exact
				p.Attempts = attempts
				c, _ := h2server(t, p, func(_, _ int, c *h2conn) {
					if sent++; sent == 100 {
						c.Close()
						return
					}
					c.frame(frameReset, 0, c.last, streamError)
				})
				r := end(t, c, make(t))
				check(t, name+": outcome", r.Outcome, Failed)
				check(t, name+": uncertain", r.Uncertain, true)
				check(t, name+": tries", r.Attempts, attempts)
				check(t, name+": sent", sent, attempts)
			})
		}
	}
}

// net/http sends a GET again by itself, also with HTTP/1, if a connection that it kept ends. Each
// is an attempt.
func TestResendsOnKeptConnections(t *testing.T) {
	const kept = 5
	for name, row := range map[string]struct {
		method, body string
		repeatable   bool
		attempts     int
		sent         int
		want         Outcome
	}{
		"GET": {"GET", "", true, 8, kept + 1, Failed},
		// of the first failure it is not known yet whether it counts
		"GET, 3 attempts":   {"GET", "", true, 3, 3 + 1, Failed},
		"GET, 1 attempt":    {"GET", "", true, 1, 1, Failed},
		"GET, at most once": {"GET", "", false, 8, 1, Unknown},
		"POST with a key":   {"POST", "x", true, 3, 3 + 1, Failed},
		"PUT":               {"PUT", "x", true, 3, 3, Failed},
		"DELETE":            {"DELETE", "", true, 3, 3, Failed},
	} {
		synctest.Test(t, func(t *testing.T) {
			var sent atomic.Int32
			p := exact
			p.Attempts = row.attempts
			c := real(t, p, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				if r.Header.Get("Warm-Up") != "" {
					time.Sleep(time.Second)
					return
				}
				if sent.Add(1) > kept {
					w.WriteHeader(412)
					return
				}
				panic(http.ErrAbortHandler)
			}))
			c.HTTP.Transport.(*http.Transport).MaxIdleConnsPerHost = kept
			c.Repeatable = func(*http.Request) bool { return row.repeatable }
			done := make(chan Result)
			for range kept {
				req := request(t, "OPTIONS", "") // of another kind
				req.Header.Set("Warm-Up", "1")
				go func() { done <- end(t, c, req) }()
			}
			for range kept {
				check(t, name+": before", (<-done).Outcome, Delivered)
			}
			synctest.Wait()
			req := request(t, row.method, row.body)
			if row.method == "POST" {
				req.Header.Set("Idempotency-Key", "k")
			}
			r := end(t, c, req)
			check(t, name+": outcome", r.Outcome, row.want)
			check(t, name+": uncertain", r.Uncertain, true)
			check(t, name+": tries", r.Attempts, row.sent)
			check(t, name+": sent", int(sent.Load()), row.sent)
			if row.want == Failed && row.attempts == 3 &&
				!strings.Contains(r.Err.Error(), "gave up after") {
				t.Errorf("%s: %v", name, r.Err)
			}
		})
	}
}

// A brokenConn can be written to no more once it is broken.
type brokenConn struct {
	net.Conn
	broken *atomic.Bool
}

func (c *brokenConn) Write(p []byte) (int, error) {
	if c.broken.Load() {
		return 0, errors.New("broken pipe")
	}
	return c.Conn.Write(p)
}

// What could not be written to a kept connection is sent on another one by net/http itself: no
// server has seen it.
func TestKeptConnectionThatIsBroken(t *testing.T) {
	once := func(t *testing.T) *http.Request { return request(t, "POST", strings.Repeat("x", 10)) }
	for _, before := range []string{"GET", "PUT", "POST"} {
		for name, make := range withPOST(once) {
			synctest.Test(t, func(t *testing.T) {
				var requests atomic.Int32
				var broken atomic.Bool
				c := real(t, exact, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					io.Copy(io.Discard, r.Body)
					requests.Add(1)
				}))
				tr, conns := c.HTTP.Transport.(*http.Transport), 0
				dial := tr.DialContext
				tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
					conn, err := dial(ctx, network, addr)
					if conns++; err != nil || conns > 1 {
						return conn, err
					}
					return &brokenConn{conn, &broken}, nil
				}
				check(t, "before", end(t, c,
					request(t, before, map[bool]string{true: "x"}[before != "GET"])).Outcome,
					Delivered)
				synctest.Wait()
				broken.Store(true)
				r := end(t, c, make(t))
				check(t, name+": outcome", r.Outcome, Delivered)
				tries := 1
				// net/http would also send it again if it had been written
				if name == "GET" || name == "key" {
					tries = 2
				}
				check(t, name+": tries", r.Attempts, tries)
				check(t, name+": requests", int(requests.Load()), 2)
			})
		}
	}
}

func withPOST(post func(t *testing.T) *http.Request) map[string]func(t *testing.T) *http.Request {
	all := maps.Clone(repeatables)
	all["POST"] = post
	return all
}

// A transport around net/http's own has a GetBody to sign or repeat by, unless the server speaks
// HTTP/2.
func TestGetBodyBelowTheClient(t *testing.T) {
	for version, want := range []bool{true, true, false, true} {
		var had bool
		c, _ := over(tripFunc(func(r *http.Request) (*http.Response, error) {
			had = r.GetBody != nil
			resp := answer(201, "")
			resp.ProtoMajor = version
			return resp, nil
		}), exact)
		end(t, c, request(t, "GET", ""))
		for _, method := range []string{"PUT", "POST"} {
			check(t, method, end(t, c, request(t, method, "x")).Outcome, Delivered)
			check(t, method+": GetBody", had, want)
		}
	}
}

// What such a transport sends before, or once more after an answer, is not net/http's own doing.
func TestTransportThatSendsMore(t *testing.T) {
	for _, method := range []string{"GET", "DELETE", "POST"} {
		for _, before := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				sent, p := 0, exact
				p.Attempts = 1
				c, _ := h2server(t, p, func(_, n int, c *h2conn) {
					sent++
					c.frame(frameHeaders, endHeaders|endStream, c.last, noContent2)
				})
				tr := c.HTTP.Transport.(*http.Transport)
				c.HTTP.Transport = tripFunc(func(r *http.Request) (*http.Response, error) {
					first := r
					if before { // such as for a token
						first, _ = http.NewRequestWithContext(r.Context(), "POST",
							"http://auth.example/", strings.NewReader("x"))
					}
					resp, err := tr.RoundTrip(first)
					if err != nil {
						return nil, err
					}
					resp.Body.Close()
					synctest.Wait()
					tr.CloseIdleConnections() // another connection is to be used
					return tr.RoundTrip(r)
				})
				r := end(t, c, request(t, method, ""))
				check(t, method+": outcome", r.Outcome, Delivered)
				check(t, method+": tries", r.Attempts, 1)
				check(t, method+": sent", sent, 2)
			})
		}
	}
}

// A redirect may lead to a server of another protocol.
func TestProtocolOfARedirect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		c, _ := h2server(t, exact, func(_, _ int, c *h2conn) {
			if sent++; sent == 1 {
				c.frame(frameReset, 0, c.last, streamRefused)
				return
			}
			c.frame(frameHeaders, endHeaders|endStream, c.last, noContent2)
		})
		c.CrossOrigin = true
		base := c.HTTP.Transport
		c.HTTP.Transport = tripFuncWithBody(func(r *http.Request) (*http.Response, error) {
			if r.URL.Host == "h.example" {
				r.Body.Close()
				resp := answer(307, "Location: http://other.example/")
				resp.ProtoMajor = 1
				return resp, nil
			}
			return base.RoundTrip(r)
		})
		for range 2 {
			r := end(t, c, request(t, "POST", "x"))
			check(t, "outcome", r.Outcome, Delivered)
		}
		check(t, "sent", sent, 3)
	})
}

// A redirect is followed with the body, and a server that resets what it leads to gets no more than
// the policy allows.
func TestRedirectToAServerThatResets(t *testing.T) {
	for name, make := range repeatables {
		for n := range 4 {
			// the protocol of the server that redirects, and whether it is known
			first, before := 1+n%2, n > 1
			synctest.Test(t, func(t *testing.T) {
				sent, p := 0, exact
				p.Attempts = 2
				c, _ := h2server(t, p, func(_, _ int, c *h2conn) {
					if sent++; sent == 100 {
						c.Close()
						return
					}
					c.frame(frameReset, 0, c.last, streamError)
				})
				c.CrossOrigin = true
				base := c.HTTP.Transport
				c.HTTP.Transport = tripFuncWithBody(func(r *http.Request) (*http.Response, error) {
					if r.URL.Host == "other.example" {
						return base.RoundTrip(r)
					}
					if r.Body != nil {
						r.Body.Close()
					}
					resp := answer(307, "Location: http://other.example/")
					if r.Method == "OPTIONS" {
						resp = answer(201, "")
					}
					resp.ProtoMajor = first
					return resp, nil
				})
				if before {
					check(t, name+": before", end(t, c, request(t, "OPTIONS", "")).Outcome,
						Delivered)
				}
				r := end(t, c, make(t))
				check(t, name+": outcome", r.Outcome, Failed)
				check(t, name+": uncertain", r.Uncertain, true)
				check(t, name+": sent", sent, 2)
			})
		}
	}
}

// With HTTP/2, too, a body is sent again where a redirect leads.
func TestRedirectByHTTP2(t *testing.T) {
	for name, make := range repeatables {
		if name == "file" { // the server never opens the connection's window again
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			sent := 0
			c, _ := h2server(t, exact, func(_, _ int, c *h2conn) {
				if sent++; sent%2 == 1 {
					c.frame(frameHeaders, endHeaders|endStream, c.last,
						"\x08\x03307"+"\x00\x08location\x06/there")
					return
				}
				c.frame(frameHeaders, endHeaders|endStream, c.last, noContent2)
			})
			for range 2 {
				r := end(t, c, make(t))
				check(t, name+": outcome", r.Outcome, Delivered)
				check(t, name+": tries", r.Attempts, 1)
			}
			check(t, name+": sent", sent, 4)
		})
	}
}

type tripFuncWithBody func(*http.Request) (*http.Response, error)

func (f tripFuncWithBody) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// No request leaves after Stop, also not one that would be sent again at once.
func TestStopBeforeARequestIsSentAtOnce(t *testing.T) {
	for name, make := range map[string]func(t *testing.T, c *Client, sent *int) *http.Request{
		"gone away": func(t *testing.T, c *Client, sent *int) *http.Request {
			h2, _ := h2server(t, exact, func(_, _ int, conn *h2conn) {
				*sent++
				c.Stop(nil)
				conn.goAway(0)
			})
			c.HTTP = h2.HTTP
			return request(t, "POST", "x")
		},
		"reset": func(t *testing.T, c *Client, sent *int) *http.Request {
			h2, _ := h2server(t, exact, func(_, _ int, conn *h2conn) {
				*sent++
				c.Stop(nil)
				conn.frame(frameReset, 0, conn.last, streamError)
			})
			c.HTTP = h2.HTTP
			return request(t, "DELETE", "")
		},
		"expectation": func(t *testing.T, c *Client, sent *int) *http.Request {
			c.HTTP = &http.Client{Transport: tripFunc(func(r *http.Request) (*http.Response,
				error) {
				*sent++
				c.Stop(nil)
				return answer(417, ""), nil
			})}
			return request(t, "PUT", strings.Repeat("x", trip.AskFrom))
		},
	} {
		for range 20 { // select chooses at random among what is ready
			synctest.Test(t, func(t *testing.T) {
				sent := 0
				c := &Client{Policy: exact}
				r := end(t, c, make(t, c, &sent))
				check(t, name+": outcome", r.Outcome, Deferred)
				check(t, name+": sent", sent, 1)
				if !errors.Is(r.Err, ErrStopped) {
					t.Errorf("%s: %v", name, r.Err)
				}
			})
		}
	}
}
