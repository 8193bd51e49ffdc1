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
