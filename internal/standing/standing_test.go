package standing_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
)

// A server answers at once, in memory, 20 ms after it was asked.
type server func(*http.Request) (status int, after string)

func (s server) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		r.Body.Close()
	}
	time.Sleep(20 * time.Millisecond)
	status, after := s(r)
	h := make(http.Header)
	if after != "" {
		h.Set("Retry-After", after)
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(""))},
		nil
}

func send(t *testing.T, c *retry.Client, method, path, key string) retry.Result {
	req, err := http.NewRequestWithContext(t.Context(), method, "http://api.example.com"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		req.Header.Set("X-Api-Key", key)
	}
	resp, err := c.Do(req)
	r := retry.OutcomeOf(resp, err)
	if resp != nil {
		resp.Body.Close()
	}
	return r
}

// among does one thing while eight callers send others, ten a second each.
func among(others, one func()) {
	done := make(chan struct{})
	var g sync.WaitGroup
	for range 8 {
		g.Go(func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(100 * time.Millisecond):
					others()
				}
			}
		})
	}
	one()
	close(done)
	g.Wait()
}

// A quota that is used up for ten minutes fails nothing, whatever else the host accepts meanwhile.
func TestQuotaBehindALimit(t *testing.T) {
	const quota = 10 * time.Minute
	for name, c := range map[string]struct {
		after                string
		key                  func(*http.Request) string // of upstreams
		otherMethod, otherID string
	}{
		"two keys": {"10",
			func(r *http.Request) string { return r.Header.Get("X-Api-Key") }, "PUT", "B"},
		"two keys, one upstream":  {"10", nil, "PUT", "B"},
		"PUT and GET":             {"30", nil, "GET", "A"},
		"PUT and GET, not a word": {"", nil, "GET", "A"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				base := server(func(r *http.Request) (int, string) {
					if r.Method == "PUT" && r.Header.Get("X-Api-Key") == "A" &&
						time.Since(begin) < quota {
						return 429, c.after
					}
					return 201, ""
				})
				transport := &throttle.Transport{Key: c.key, Base: base}
				client := &retry.Client{HTTP: &http.Client{Transport: transport}}
				among(func() { send(t, client, c.otherMethod, "/other", c.otherID) }, func() {
					r := send(t, client, "PUT", "/mine", "A")
					if r.Outcome != retry.Delivered || time.Since(begin) > quota+5*time.Minute {
						t.Errorf("%v after %v, %d tries: %v", r.Outcome, time.Since(begin),
							r.Attempts, r.Err)
					}
				})
			})
		})
	}
}

// One request that is always refused fails after its attempts. Only the first of its refusals hold
// up the others.
func TestOneRequestBehindALimit(t *testing.T) {
	for _, status := range []int{429, 503} {
		synctest.Test(t, func(t *testing.T) {
			transport := &throttle.Transport{Base: server(func(r *http.Request) (int, string) {
				if r.URL.Path == "/hot" {
					return status, ""
				}
				return 201, ""
			})}
			client := &retry.Client{HTTP: &http.Client{Transport: transport}}
			among(func() { send(t, client, "PUT", "/good", "") }, func() {
				time.Sleep(10 * time.Second) // others are accepted by now
				r := send(t, client, "PUT", "/hot", "")
				if r.Outcome != retry.Failed || r.Status != status || r.Attempts > 12 {
					t.Errorf("%v after %d tries: %v", r.Outcome, r.Attempts, r.Err)
				}
			})
			waited := transport.Upstream("http://api.example.com").Stats().Waited
			if max(waited.CoolDown, waited.Down) > 6*time.Second {
				t.Errorf("%d: the others waited %+v", status, waited)
			}
		})
	}
}
