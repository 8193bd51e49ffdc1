package retry

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/drain"
)

// Most programs look at the status of an upload and close the answer.
func TestCloseKeepsTheConnection(t *testing.T) {
	const requests = 50
	flush := func(w http.ResponseWriter) { http.NewResponseController(w).Flush() }
	for name, row := range map[string]struct {
		answer      http.HandlerFunc
		connections int
	}{
		"short": {func(w http.ResponseWriter,
			_ *http.Request) {
			io.WriteString(w, "0123456789")
		}, 1},
		"unknown length": {func(w http.ResponseWriter,
			_ *http.Request) {
			flush(w)
			io.WriteString(w, "0123456789")
		}, 1},
		"refusal": {func(w http.ResponseWriter,
			_ *http.Request) {
			w.WriteHeader(404)
			io.WriteString(w, "no such thing")
		}, 1},
		"long": {func(w http.ResponseWriter,
			_ *http.Request) {
			io.WriteString(w, strings.Repeat("x", 2*drain.MaxBytes))
		},
			requests},
		"empty": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, 1},
	} {
		for _, standard := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				c, start := real(t, exact, row.answer), time.Now()
				do, fresh := c.Do, 0
				if standard {
					do = c.StandardClient().Do
				}
				for range requests {
					ctx := httptrace.WithClientTrace(t.Context(),
						&httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
							if !i.Reused {
								fresh++
							}
						}})
					resp, err := do(request(t, "PUT", "x").WithContext(ctx))
					if err != nil {
						t.Fatal(err)
					}
					if err := resp.Body.Close(); err != nil {
						t.Error(err)
					}
					synctest.Wait()
				}
				check(t, name+": connections", fresh, row.connections)
				check(t, name+": time passed", time.Since(start), time.Duration(0))
			})
		}
	}
}

// Close waits neither for a server that goes on and on, nor for a Read that it is to end.
func TestCloseIsBounded(t *testing.T) {
	for _, reading := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c := real(t, exact, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.WriteString(w, "x")
				http.NewResponseController(w).Flush()
				<-r.Context().Done()
			}))
			resp, err := c.Do(request(t, "GET", ""))
			if err != nil {
				t.Fatal(err)
			}
			want, read := drain.MaxTime, make(chan error, 1)
			if reading {
				go func() { _, err := io.ReadAll(resp.Body); read <- err }()
				want = 0
				synctest.Wait()
			}
			start := time.Now()
			resp.Body.Close()
			resp.Body.Close()
			check(t, "time passed", time.Since(start), want)
			if reading && <-read == nil {
				t.Error("the body ended")
			}
		})
	}
}

// An answer of unknown length of which much was read is not read further.
func TestCloseOfALongBody(t *testing.T) {
	body := strings.NewReader(strings.Repeat("x", 1<<20))
	c, _ := over(tripFunc(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, ContentLength: -1, Body: io.NopCloser(body)}, nil
	}), exact)
	resp, err := c.Do(request(t, "GET", ""))
	if err != nil {
		t.Fatal(err)
	}
	io.CopyN(io.Discard, resp.Body, 2*drain.MaxBytes)
	left := body.Len()
	resp.Body.Close()
	check(t, "read by Close", left-body.Len(), 0)
}

// A stream that the protocol was switched to.
type stream struct {
	io.ReadWriteCloser
	halfClosed bool
}

func (*stream) Close() error        { return nil }
func (s *stream) CloseWrite() error { s.halfClosed = true; return nil }

// A stream that the protocol was switched to is the caller's own. What its context holds is freed
// by Close, and not before.
func TestUpgradedBody(t *testing.T) {
	for name, row := range map[string]struct {
		url  string
		http int // the protocol of an answer before, if there was one
	}{
		"first answer":             {"http://h.example/", 0},
		"HTTP/1":                   {"http://h.example/", 1},
		"HTTP/1 with TLS":          {"https://h.example/", 1},
		"a proxy of both versions": {"http://h.example/", 2},
	} {
		var ctx context.Context
		upgraded, plain := &stream{}, row.http
		c, _ := over(tripFunc(func(r *http.Request) (*http.Response, error) {
			ctx = r.Context()
			if plain > 0 {
				resp := answer(204, "")
				resp.ProtoMajor, plain = plain, 0
				return resp, nil
			}
			return &http.Response{StatusCode: http.StatusSwitchingProtocols, ProtoMajor: 1,
				Body: upgraded}, nil
		}), exact)
		c.Classify = func(*http.Request, *http.Response,
			error) Verdict {
			return Verdict{Action: Accept}
		}
		req, _ := http.NewRequestWithContext(t.Context(), "GET", row.url, nil)
		if row.http > 0 {
			check(t, name+": before", end(t, c, req).Outcome, Delivered)
		}
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, ok := resp.Body.(interface {
			io.ReadWriteCloser
			CloseWrite() error
		})
		if !ok {
			t.Fatalf("%s: %T", name, resp.Body)
		}
		owned := ctx.Done() == t.Context().Done() // nothing is to be freed
		check(t, name+": left alone", resp.Body == io.ReadCloser(upgraded), owned)
		check(t, name+": half closed", body.CloseWrite() == nil && upgraded.halfClosed, true)
		check(t, name+": before Close", ctx.Err(), nil)
		check(t, name+": Close", body.Close(), nil)
		check(t, name+": freed", ctx.Err() != nil, !owned)
	}
}

// The package comment says how much of an answer is read by Close.
func TestDrainBoundsAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("up to %d KiB and %d ms", drain.MaxBytes>>10,
		drain.MaxTime.Milliseconds()); !strings.Contains(string(doc), want) {
		t.Errorf("doc.go does not say %q", want)
	}
}
