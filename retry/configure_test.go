package retry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// configuredOn returns a client that somebody has, on the transport.
func configuredOn(rt http.RoundTripper) *retryablehttp.Client {
	c := retryablehttp.NewClient()
	c.HTTPClient, c.Logger, c.RetryMax = &http.Client{Transport: rt}, nil, 3
	c.RetryWaitMin, c.RetryWaitMax = 1, 1 // nanosecond
	c.ErrorHandler = retryablehttp.PassthroughErrorHandler
	ConfigureRetryable(c)
	return c
}

// A client of go-retryablehttp repeats what the table of the package comment has repeated, and
// waits for as long as was asked for, in whatever way.
func TestConfigureRetryable(t *testing.T) {
	in := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
	for _, test := range []struct {
		name      string
		try       func() try
		put, post int // attempts, of which the second is accepted; 4 are the most
		wait      time.Duration
	}{
		{"201", func() try { return try{status: 201} }, 1, 1, 0},
		{"503", func() try { return try{status: 503} }, 2, 2, 1},
		{"503, seconds", func() try { return try{status: 503, header: "Retry-After: 7"} }, 2, 2, 7*time.Second + 1},
		{"503, date", func() try { return try{status: 503, header: "Retry-After: " + in(time.Minute)} }, 2, 2, time.Minute + 1},
		{"429, milliseconds", func() try { return try{status: 429, header: "Retry-After-Ms: 250"} }, 2, 2, 250*time.Millisecond + 1},
		{"429, quota", func() try { return try{status: 429, header: `RateLimit: "a";r=0;t=30`} }, 2, 2, 30*time.Second + 1},
		{"403, quota", func() try { return try{status: 403, header: "Retry-After: 2"} }, 2, 2, 2*time.Second + 1},
		{"more than an hour", func() try { return try{status: 503, header: "Retry-After: 3601"} }, 1, 1, 0},
		{"408", func() try { return try{status: 408} }, 2, 2, 1},
		{"500", func() try { return try{status: 500} }, 2, 1, 1},
		{"501", func() try { return try{status: 501} }, 1, 1, 0},
		{"404", func() try { return try{status: 404} }, 1, 1, 0},
		{"dial refused", func() try { return try{err: errRefused, stage: dialling} }, 2, 2, 1},
		{"host unknown", func() try { return try{err: errNoHost, stage: dialling} }, 1, 1, 0},
		{"reset", func() try { return try{err: errReset, stage: connected} }, 2, 1, 1},
		{"not before", func() try { return try{err: notBeforeError{time.Now()}} }, 1, 1, 0},
	} {
		for method, want := range map[string]int{"PUT": test.put, "POST": test.post} {
			t.Run(test.name+"/"+method, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := play(test.try(), try{status: 201})
					req, err := retryablehttp.NewRequestWithContext(t.Context(), method,
						"http://h.example/", strings.NewReader("data"))
					if err != nil {
						t.Fatal(err)
					}
					wait := test.wait
					if want == 1 {
						wait = 0
					}
					resp, err := configuredOn(silent{s}).Do(req)
					if err == nil {
						resp.Body.Close()
					}
					check(t, "attempts", len(s.at), want)
					check(t, "began", s.at[len(s.at)-1], wait)
				})
			})
		}
	}
}

// silent gives script the hooks that it calls, which a client of go-retryablehttp does not set, and
// says which request was answered, as net/http does.
type silent struct{ *script }

func (s silent) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := s.script.RoundTrip(r.WithContext(watched(r.Context())))
	if resp != nil {
		resp.Request = r
	}
	return resp, err
}

// The library's own limit holds, and the answer is returned.
func TestConfigureRetryableRetryMax(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(try{status: 503, header: "Retry-After: 1"})
		c := configuredOn(silent{s})
		c.RetryWaitMin, c.RetryWaitMax = time.Second, 3*time.Second
		resp, err := c.Get("http://h.example/")
		if err != nil || resp.StatusCode != 503 {
			t.Fatalf("%v, %v", resp, err)
		}
		resp.Body.Close()
		check(t, "attempts", len(s.at), 4)
		for i, most := range []time.Duration{1, 2, 3} {
			wait := s.at[i+1] - s.at[i] - time.Second
			if wait < 1 || wait > most*time.Second {
				t.Errorf("wait %d is %v above what was asked for, want up to %ds", i, wait, int64(most))
			}
		}
	})
}

// A POST with a key is repeatable after an answer; a caller that has gone is left alone.
func TestConfigureRetryableOtherRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(try{status: 500}, try{status: 201})
		req, _ := retryablehttp.NewRequest("POST", "http://h.example/", []byte("data"))
		req.Header.Set("Idempotency-Key", "k")
		resp, err := configuredOn(silent{s}).Do(req)
		check(t, "answer", fmt.Sprint(resp.StatusCode, err), "201 <nil>")
		resp.Body.Close()

		ctx, cancel := context.WithCancelCause(t.Context())
		s = play(try{status: 503, header: "Retry-After: 60"})
		time.AfterFunc(time.Second, func() { cancel(errors.New("gone")) })
		_, err = configuredOn(silent{s}).Do(req.WithContext(ctx))
		if !errors.Is(err, context.Canceled) || len(s.at) != 1 {
			t.Errorf("%d attempts, %v", len(s.at), err)
		}

		// An unknown host is an outage if it has answered before.
		s = play(try{status: 404}, try{err: errNoHost, stage: dialling}, try{status: 201})
		c := configuredOn(silent{s})
		for range 2 {
			resp, err := c.Get("http://h.example/")
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		}
		check(t, "attempts", len(s.at), 3)
	})
}

// Whatever a redirect leads to, what is sent again is the request that was given.
func TestConfigureRedirected(t *testing.T) {
	for _, test := range []struct {
		method         string
		redirect, then int // statuses
		want           string
	}{
		{"POST", 303, 500, "POST GET"},
		{"POST", 303, 429, "POST GET"},
		{"POST", 302, 200, "POST GET"},
		{"POST", 307, 500, "POST POST"},
		{"POST", 307, 503, "POST POST POST POST"},
		{"PUT", 303, 500, "PUT GET PUT GET"},
		{"PUT", 307, 500, "PUT PUT PUT PUT"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var sent []string
			c := configuredOn(tripFunc(func(r *http.Request) (*http.Response, error) {
				sent = append(sent, r.Method)
				resp := answer(test.then, "")
				if r.URL.Path == "/" {
					resp = answer(test.redirect, "Location: /then")
				}
				resp.Request = r
				return resp, nil
			}))
			c.RetryMax = 1
			req, _ := retryablehttp.NewRequest(test.method, "http://h.example/", []byte("data"))
			resp, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			check(t, fmt.Sprint(test.method, test.redirect, test.then),
				strings.Join(sent, " "), test.want)
		})
	}
}

// An answer that the caller's response handler does not accept is asked for again where that is
// safe.
func TestConfigureResponseHandler(t *testing.T) {
	for method, want := range map[string]int{"PUT": 2, "POST": 1} {
		synctest.Test(t, func(t *testing.T) {
			s := play(try{status: 200})
			req, _ := retryablehttp.NewRequest(method, "http://h.example/", []byte("data"))
			req.SetResponseHandler(func(*http.Response) error {
				if len(s.at) == 1 {
					return errors.New("cut off")
				}
				return nil
			})
			resp, err := configuredOn(silent{s}).Do(req)
			check(t, method+": attempts", len(s.at), want)
			check(t, method+": failed", err != nil, want == 1)
			resp.Body.Close()
		})
	}
}

// What the client had before is still there, and a CheckRetry around ours is asked first.
func TestConfigureLeavesTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(try{status: 503}, try{status: 404}, try{status: 201})
		c := configuredOn(silent{s})
		prepared := 0
		c.PrepareRetry = func(*http.Request) error { prepared++; return nil }
		ours := c.CheckRetry
		c.CheckRetry = func(ctx context.Context, resp *http.Response, err error) (bool, error) {
			if resp != nil && resp.StatusCode == 404 { // not there yet
				return true, nil
			}
			return ours(ctx, resp, err)
		}
		resp, err := c.Get("http://h.example/")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		check(t, "status", resp.StatusCode, 201)
		check(t, "prepared", prepared, 2)
	})
}
