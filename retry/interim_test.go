package retry

import (
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/penstock/penstock/internal/trip"
)

// Interim responses, in HPACK.
const (
	status102 = "\x08\x03102"
	status103 = "\x08\x03103"
)

// A server that has sent an interim response works on the request. If it resets the stream then, it
// may have processed it.
func TestResetAfterAnInterimResponse(t *testing.T) {
	empty := func(t *testing.T) *http.Request { return request(t, "POST", "") }
	for name, make := range withPOST(empty) {
		for _, status := range []string{status102, status103} {
			for _, before := range []bool{false, true} { // whether the protocol is known
				synctest.Test(t, func(t *testing.T) {
					sent := 0
					c, _ := h2server(t, exact, func(_, n int, c *h2conn) {
						if before && n == 0 {
							c.frame(frameHeaders, endHeaders|endStream, c.last, noContent2)
							return
						}
						if sent++; sent == 1 {
							c.frame(frameHeaders, endHeaders, c.last, status)
							c.frame(frameReset, 0, c.last, streamError)
							return
						}
						c.frame(frameHeaders, endHeaders|endStream, c.last, status412)
					})
					if before {
						check(t, name+": before", end(t, c, request(t, "OPTIONS", "")).Outcome,
							Delivered)
					}
					want, tries := Failed, 2
					if name == "POST" {
						want, tries = Unknown, 1
					}
					r := end(t, c, make(t))
					check(t, name+": outcome", r.Outcome, want)
					check(t, name+": uncertain", r.Uncertain, true)
					check(t, name+": tries", r.Attempts, tries)
					check(t, name+": sent", sent, tries)
				})
			}
		}
	}
}

// A server that resets each stream after an interim response gets as many as the policy allows.
func TestResetsAfterInterimResponses(t *testing.T) {
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
					c.frame(frameHeaders, endHeaders, c.last, status103)
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

// That the server refused the stream says that it processed nothing, whatever it said before.
func TestRefusedStreamAfterAnInterimResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent, one := 0, exact
		one.Attempts = 1
		c, _ := h2server(t, one, func(_, _ int, c *h2conn) {
			if sent++; sent == 1 {
				c.frame(frameHeaders, endHeaders, c.last, status103)
				c.frame(frameReset, 0, c.last, streamRefused)
				return
			}
			c.frame(frameHeaders, endHeaders|endStream, c.last, noContent2)
		})
		r := end(t, c, request(t, "POST", ""))
		check(t, "outcome", r.Outcome, Delivered)
		check(t, "tries", r.Attempts, 1)
		check(t, "sent", sent, 2)
	})
}

// An answer after interim responses is one, and the caller's own trace sees them all.
func TestAnswerAfterInterimResponses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := h2server(t, exact, func(_, _ int, c *h2conn) {
			c.frame(frameHeaders, endHeaders, c.last, status102)
			c.frame(frameHeaders, endHeaders, c.last, status103)
			c.frame(frameHeaders, endHeaders|endStream, c.last, noContent2)
		})
		var seen []int
		ctx := httptrace.WithClientTrace(t.Context(),
			&httptrace.ClientTrace{Got1xxResponse: func(status int, _ textproto.MIMEHeader) error {
				seen = append(seen, status)
				return nil
			}})
		r := end(t, c, request(t, "POST", "").WithContext(ctx))
		check(t, "outcome", r.Outcome, Delivered)
		check(t, "tries", r.Attempts, 1)
		if len(seen) != 2 || seen[0] != 102 || seen[1] != 103 {
			t.Error(seen)
		}
	})
}

// Interim responses without end are no answer, also if the caller has a trace of its own, as a
// ReverseProxy has: net/http bounds them only if nobody else sees them.
func TestInterimResponsesWithoutEnd(t *testing.T) {
	long := strings.Repeat("x", 1<<13)
	for i := range 4 {
		http2, traced := i&1 > 0, i&2 > 0
		for method, want := range map[string]Outcome{"GET": Failed, "POST": Unknown} {
			synctest.Test(t, func(t *testing.T) {
				one := exact
				one.Attempts = 1
				c := real(t, one, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					for range 2 * trip.MaxInterim / len(long) {
						w.Header().Set("Link", long)
						w.WriteHeader(http.StatusEarlyHints)
					}
					w.WriteHeader(http.StatusNoContent)
				}))
				if http2 {
					field := "\x00\x04link\x7f" +
						string([]byte{0x80 | byte((len(long)-127)&0x7f),
							byte((len(long) - 127) >> 7)}) + long
					c, _ = h2server(t, one, func(_, _ int, c *h2conn) {
						for range 2 * trip.MaxInterim / len(long) {
							c.frame(frameHeaders, endHeaders, c.last, status103+field)
						}
						c.frame(frameHeaders, endHeaders|endStream, c.last, noContent2)
					})
				}
				ctx := t.Context()
				if traced {
					ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
						Got1xxResponse: func(int, textproto.MIMEHeader) error { return nil }})
				}
				r := end(t, c, request(t, method, "").WithContext(ctx))
				check(t, method+": outcome", r.Outcome, want)
				check(t, method+": tries", r.Attempts, 1)
				if r.Err == nil || !strings.Contains(r.Err.Error(),
					"more than 10 MiB of interim responses") {
					t.Errorf("%s: %v", method, r.Err)
				}
			})
		}
	}
}

// A transport around net/http's own may send a request once more after an answer that interim
// responses preceded, also then.
func TestTransportThatSendsMoreAfterInterimResponses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		requests, one := 0, exact
		one.Attempts = 1
		c := real(t, one, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests++
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusNoContent)
		}))
		tr := c.HTTP.Transport.(*http.Transport)
		c.HTTP.Transport = tripFunc(func(r *http.Request) (*http.Response, error) {
			resp, err := tr.RoundTrip(r)
			if err != nil {
				return nil, err
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			return tr.RoundTrip(r)
		})
		r := end(t, c, request(t, "GET", ""))
		check(t, "outcome", r.Outcome, Delivered)
		check(t, "tries", r.Attempts, 1)
		check(t, "requests", requests, 2)
	})
}
