package lab

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/test"
)

// quiet makes no fault.
const quiet = "500=0&reset-before=0&reset-in=0&reset-after=0&truncated=0"

// always makes that fault at every request.
func always(kind string) string {
	params := strings.Replace(quiet, kind+"=0", kind+"=1", 1)
	if params == quiet {
		params += "&" + kind + "=1"
	}
	return params
}

func TestFlakyFaults(t *testing.T) {
	const body = "0123456789"
	tests := []struct {
		kind                         string
		status                       int
		err                          error
		accepted, answered, unAnswer int64
	}{
		{"500", 500, nil, 0, 0, 0},
		{"502", 502, nil, 0, 0, 0},
		{"504", 504, nil, 0, 0, 0},
		{"500-after", 500, nil, 1, 0, 0},
		{"502-after", 502, nil, 1, 0, 0},
		{"504-after", 504, nil, 1, 0, 0},
		{"408", 408, nil, 0, 0, 0},
		{"425", 425, nil, 0, 0, 0},
		{"429", 429, nil, 0, 0, 0},
		{"503", 503, nil, 0, 0, 0},
		{"reset-before", 0, syscall.ECONNRESET, 0, 0, 1},
		{"reset-in", 0, syscall.ECONNRESET, 0, 0, 1},
		{"reset-after", 0, syscall.ECONNRESET, 1, 0, 1},
		{"truncated", 201, io.ErrUnexpectedEOF, 1, 0, 1},
	}
	for _, tt := range tests {
		check := func(t *testing.T, s *Server, resp *http.Response, err error) {
			status := 0
			if err == nil {
				status = resp.StatusCode
				_, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			if status != tt.status || !errors.Is(err, tt.err) {
				t.Errorf("status %d, error %v; want %d, %v", status, err, tt.status, tt.err)
			}
			got := s.Stats()
			if got.Requests != 1 || got.Accepted != tt.accepted || got.Answered != tt.answered ||
				got.Unanswered != tt.unAnswer || got.Faults[tt.kind] != 1 ||
				got.Unknown != tt.accepted {
				t.Errorf("%+v", got)
			}
			if len(got.Items) != int(tt.accepted) {
				t.Errorf("stored %v", got.Items)
			}
		}
		params := always(tt.kind)
		t.Run(tt.kind, func(t *testing.T) {
			bubble(t, "flaky", params, func(t *testing.T, b *bench) {
				resp, err := b.client.Do(b.request("PUT", "/x", body))
				check(t, b.Server, resp, err)
			})
		})
		t.Run(tt.kind+" on TCP", func(t *testing.T) {
			s, l := startTCP(t, "flaky", params)
			resp, err := putTCP(t, l, body)
			check(t, s, resp, err)
		})
	}
}

// listenTCP listens on loopback.
func listenTCP(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	test.OK(t, err)
	return l
}

// startTCP starts a lab on loopback.
func startTCP(t *testing.T, preset, params string) (*Server, net.Listener) {
	t.Helper()
	s, l := newLab(t, preset, params), listenTCP(t)
	s.Start(l)
	return s, l
}

// putTCP sends a PUT on a connection of its own.
func putTCP(t *testing.T, l net.Listener, body string) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequest("PUT", "http://"+l.Addr().String()+"/x", strings.NewReader(body))
	test.OK(t, err)
	return (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
}

func TestRetryAfterParam(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct{ preset, params, want string }{
			{"flaky", always("503") + "&retry-after=3", "3"},
			{"flaky", always("429") + "&retry-after=3", "3"},
			{"flaky", always("500") + "&retry-after=3", ""},
			{"down", "after=0s&mode=503&retry-after=2", "2"},
			{"down", "after=0s&mode=503", ""},
		} {
			a := newBench(t, tt.preset, tt.params).put("/x", "")
			if got := a.header.Get("Retry-After"); got != tt.want {
				t.Errorf("%s %s: %q, want %q", tt.preset, tt.params, got, tt.want)
			}
		}
	})
}

// A hot name is refused always, and no other ever.
func TestFlakyHot(t *testing.T) {
	bubble(t, "flaky", quiet+"&hot=c4&hot-status=429&retry-after=1", func(t *testing.T, b *bench) {
		for range 3 {
			for _, path := range []string{"/c3", "/c4", "/d/c40"} {
				a, status, retryAfter := b.put(path, "x"), 429, "1"
				if path == "/c3" {
					status, retryAfter = 201, ""
				}
				if a.status != status || a.header.Get("Retry-After") != retryAfter {
					t.Errorf("%s: %d, Retry-After %q; want %d, %q", path, a.status,
						a.header.Get("Retry-After"), status, retryAfter)
				}
			}
		}
		if s := b.Stats(); s.Accepted != 3 || s.Faults["429"] != 6 {
			t.Errorf("%+v", s)
		}
		b = newBench(t, "flaky", quiet+"&hot=c4")
		b.want("default status", b.put("/c4", "").status, 503)
	})
}

func TestFlakyStall(t *testing.T) {
	bubble(t, "flaky", always("stalled")+"&stall=1m", func(t *testing.T, b *bench) {
		b.client.Timeout = 10 * time.Second
		if a := b.put("/gone", ""); a.err == nil || a.after != 10*time.Second {
			t.Errorf("%d after %v", a.status, a.after)
		}
		synctest.Wait()
		if s := b.Stats(); s.Accepted != 0 || s.Unanswered != 1 {
			t.Errorf("the client has gone: %+v", s)
		}
		b.client.Timeout = 0
		if a := b.put("/x", ""); a.status != 201 || a.after != 70*time.Second {
			t.Errorf("%d after %v", a.status, a.after)
		}
	})
}

// The choice of faults keeps to the shares and repeats with the seed.
func TestFlakyShares(t *testing.T) {
	count := func(params string) map[string]int {
		s, got := newLab(t, "flaky", params), map[string]int{}
		for range 100_000 {
			got[s.rule.(*flaky).pick()]++
		}
		return got
	}
	got := count("stalled=0.1")
	for kind, share := range map[string]int{"": 77, "500": 5, "reset-before": 2, "reset-in": 2,
		"reset-after": 2, "truncated": 2, "stalled": 10} {
		if n := got[kind]; n < share*1000-400 || n > share*1000+400 {
			t.Errorf("%q: %d of 100,000, want %d %%", kind, n, share)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(count("stalled=0.1&seed=1")) {
		t.Error("the same seed gave another choice")
	}
	if fmt.Sprint(got) == fmt.Sprint(count("stalled=0.1&seed=2")) {
		t.Error("another seed gave the same choice")
	}
}
