package retry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/hashicorp/go-retryablehttp"
	"github.com/penstock/penstock/pool"
	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
)

// busy is a server that is overloaded at first.
func busy() *httptest.Server {
	requests := 0
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if requests++; requests == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, "got %d bytes", len(body))
	}))
}

func ExampleClient() {
	server := busy()
	defer server.Close()

	client := &retry.Client{
		Policy: retry.Policy{Attempts: 5},
		Observe: func(e retry.Event) {
			if e.Kind == retry.EventWaiting {
				fmt.Printf("attempt %d: %d, %s\n", e.Attempt, e.Status, e.Reason)
			}
		},
	}
	req, err := http.NewRequest("PUT", server.URL+"/records/7", strings.NewReader("data"))
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := client.Do(req)
	end := retry.OutcomeOf(resp, err)
	fmt.Printf("%s after %d attempts, status %d\n", end.Outcome, end.Attempts, end.Status)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(resp.Body)
	fmt.Printf("%s\n", answer)
	// Output:
	// attempt 1: 503, overloaded
	// delivered after 2 attempts, status 201
	// got 4 bytes
}

// Each tenant has a path and a quota of its own. One whose quota is used up waits, although others
// are accepted.
func ExampleClient_key() {
	client := &retry.Client{Key: func(req *http.Request) string {
		tenant, _, _ := strings.Cut(strings.TrimPrefix(req.URL.Path, "/"), "/")
		return req.URL.Host + " " + tenant
	}}
	fmt.Println(client.Key(httptest.NewRequest("PUT", "https://api.example.com/acme/7.json", nil)))
	// Output: api.example.com acme
}

// Some servers say "rate limited" with a 200. Classify distinguishes them, and leaves
// everything else to the table.
func ExampleClient_classify() {
	requests := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests++; requests == 1 {
			fmt.Fprint(w, `{"error":"rate limited"}`)
			return
		}
		fmt.Fprint(w, `{"id":7}`)
	}))
	defer server.Close()

	client := &retry.Client{Classify: func(_ *http.Request, resp *http.Response,
		err error) retry.Verdict {
		if err != nil || resp.StatusCode != http.StatusOK {
			return retry.Verdict{}
		}
		head, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(head), resp.Body), resp.Body}
		if bytes.Contains(head, []byte("rate limited")) {
			return retry.Verdict{Action: retry.RetryFree, Reason: "throttled"}
		}
		return retry.Verdict{}
	}}
	req, _ := http.NewRequest("POST", server.URL, strings.NewReader("data"))
	resp, err := client.Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(resp.Body)
	fmt.Printf("%s after %d attempts\n", answer, retry.OutcomeOf(resp, nil).Attempts)
	// Output: {"id":7} after 2 attempts
}

// For code that takes an http.Client and nothing else.
func ExampleClient_StandardClient() {
	server := busy()
	defer server.Close()

	var standard *http.Client = (&retry.Client{}).StandardClient()

	resp, err := standard.Post(server.URL, "text/plain", strings.NewReader("data"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 201 Created
}

func ExamplePolicy_Do() {
	err := retry.Policy{Attempts: 5}.Do(context.Background(), func(ctx context.Context) error {
		switch retry.Attempt(ctx) {
		case 1:
			return errors.New("connection lost")
		case 2:
			return retry.After(errors.New("busy"), 10*time.Millisecond)
		}
		return retry.Permanent(errors.New("no such table"))
	})
	fmt.Println(err)

	var e *retry.Error
	if errors.As(err, &e) {
		fmt.Println(e.Outcome, e.Attempts)
	}
	// Output:
	// retry: no such table (failed after 3 attempts)
	// failed 3
}

// For a protocol that is not HTTP an Upstream decides when each attempt goes, and the Policy whether
// there is another.
func ExamplePolicy_Do_upstream() {
	upstream := throttle.NewUpstream(throttle.Limits{Rate: 100, InFlight: 4})
	errBusy := errors.New("busy")
	busyOnce := func(ctx context.Context) error {
		if retry.Attempt(ctx) == 1 {
			return errBusy
		}
		return nil
	}

	err := retry.Policy{Base: time.Millisecond}.Do(context.Background(),
		func(ctx context.Context) error {
			permit, err := upstream.Acquire(ctx, 1)
			if err != nil {
				return err // its method RetryAt, if any, says what Do has to know
			}
			err = busyOnce(ctx)
			feedback := throttle.Feedback{Signal: throttle.SignalSuccess}
			if errors.Is(err, errBusy) {
				feedback.Signal = throttle.SignalOverloaded
				err = retry.After(err, 0) // a refusal, and not a failed attempt
			}
			permit.Done(feedback)
			return err
		})
	stats := upstream.Stats()
	fmt.Println(err, stats.Sent, "sent,", stats.Overloaded, "refused,", stats.Succeeded, "done")
	// Output: <nil> 2 sent, 1 refused, 1 done
}

// What became of a request is in the Result, whether or not there was an answer.
func ExampleOutcomeOf() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case "DELETE":
			w.WriteHeader(http.StatusNotFound)
		case "POST":
			w.WriteHeader(http.StatusBadGateway) // which says nothing of what was done
		}
	}))
	defer server.Close()

	client := new(retry.Client)
	for _, method := range []string{"PUT", "DELETE", "POST"} {
		req, err := http.NewRequest(method, server.URL, strings.NewReader("data"))
		if err != nil {
			fmt.Println(err)
			return
		}
		resp, err := client.Do(req)
		if err == nil {
			resp.Body.Close()
		}
		end := retry.OutcomeOf(resp, err)
		fmt.Println(method, end.Outcome, end.Status, end.Uncertain, end.Err != nil)
	}
	// Output:
	// PUT delivered 200 false false
	// DELETE failed 404 false true
	// POST unknown 502 true true
}

// A program that is interrupted begins nothing new, sends nothing that waits, and lets what is in
// flight end.
func ExampleClient_Stop() {
	arrived, proceed := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(arrived)
		<-proceed
	}))
	defer server.Close()

	client := &retry.Client{HTTP: &http.Client{Transport: &throttle.Transport{
		Limits: throttle.Limits{InFlight: 1},
	}}}
	uploads := pool.New(2, func(ctx context.Context, name string) error {
		req, err := http.NewRequestWithContext(ctx, "PUT", server.URL+"/"+name, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err == nil {
			resp.Body.Close()
		}
		return retry.OutcomeOf(resp, err).Err
	})
	interrupted := errors.New("interrupted")
	uploads.OnError = func(name string, err error) {
		if !errors.Is(err, interrupted) { // the others are for the next run
			fmt.Println(name, err)
		}
	}
	for _, name := range []string{"a", "b", "c"} {
		if err := uploads.Submit(context.Background(), name); err != nil {
			fmt.Println(err)
		}
	}
	<-arrived

	uploads.Discard(interrupted) // tasks that are queued do not start
	client.Stop(interrupted)     // requests that wait are not sent
	close(proceed)
	err := uploads.Drain(context.Background()) // those in flight end

	var e *pool.Error
	if errors.As(err, &e) {
		fmt.Println(e.Accepted, "accepted,", e.Failed+e.NotStarted, "for the next run")
	}
	// Output: 3 accepted, 2 for the next run
}

func ExampleSetFileBody() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "measurements.csv")
	os.WriteFile(path, []byte("1,2,3\n"), 0o600)
	server := busy()
	defer server.Close()

	req, err := http.NewRequest("PUT", server.URL+"/measurements.csv", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := retry.SetFileBody(req, path); err != nil {
		fmt.Println(err)
		return
	}
	resp, err := (&retry.Client{}).Do(req)
	if errors.Is(err, retry.ErrFileChanged) {
		fmt.Println("somebody is still writing it")
		return
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(resp.Body)
	fmt.Printf("%s: %s\n", resp.Status, answer)
	// Output: 201 Created: got 6 bytes
}

func ExampleParseHints() {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	h := http.Header{
		"Retry-After":           {"Sat, 21 Nov 2026 12:00:30 GMT"},
		"X-Ratelimit-Limit":     {"100"},
		"X-Ratelimit-Remaining": {"0"},
	}
	hints := retry.ParseHints(http.StatusTooManyRequests, h, now)
	fmt.Println(hints.Throttled, hints.Wait, hints.Source)
	for _, l := range hints.Limits {
		fmt.Printf("%d of %d %s left\n", l.Remaining, l.Limit, l.Unit)
	}
	// Output:
	// true 30s retry-after
	// 0 of 100 requests left
}

// However many calls fail, their retries come to a tenth of all calls, and one a second.
func ExampleBudget() {
	budget := &retry.Budget{Ratio: 0.1, PerSecond: 1, Burst: 10}

	uploads := &retry.Client{Policy: retry.Policy{Budget: budget}}
	lookups := &retry.Client{Policy: retry.Policy{Budget: budget, Attempts: 3}}

	fmt.Println(uploads.Policy.Validate(), lookups.Policy.Validate())
	// Output: <nil> <nil>
}

// A token that expires within minutes is renewed before each attempt. It has to outlast the time that
// the request waits in a limiter below.
func ExampleClient_prepare() {
	server := busy()
	defer server.Close()

	client := &retry.Client{Prepare: func(req *http.Request) error {
		token := fmt.Sprintf("token-%d", retry.Attempt(req.Context()))
		fmt.Println("sent with", token)
		req.Header.Set("Authorization", "Bearer "+token)
		return nil
	}}
	req, err := http.NewRequest("PUT", server.URL, strings.NewReader("data"))
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := client.Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()
	// Output:
	// sent with token-1
	// sent with token-2
}

// A client that a program already has reads Retry-After, judges answers and waits as this package
// does.
func ExampleConfigureRetryable() {
	server := busy()
	defer server.Close()

	client := retryablehttp.NewClient()
	client.Logger = nil
	retry.ConfigureRetryable(client)

	resp, err := client.Post(server.URL, "text/plain", strings.NewReader("data"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 201 Created
}

// Code that is written for backoff/v4 waits as a Policy says.
func ExamplePolicy_BackOff() {
	policy := retry.Policy{Attempts: 3, Base: time.Millisecond}

	calls := 0
	err := backoff.Retry(func() error {
		calls++
		return errors.New("connection lost")
	}, policy.BackOff())
	fmt.Println(err, calls)
	// Output: connection lost 3
}

// What an object store holds is sent on, and opened anew for each attempt.
func ExampleSetBody() {
	server := busy()
	defer server.Close()
	fetch := func() (io.ReadCloser, error) {
		fmt.Println("opened")
		return io.NopCloser(strings.NewReader("from the store")), nil
	}

	req, err := http.NewRequest("PUT", server.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	retry.SetBody(req, int64(len("from the store")), fetch)
	resp, err := new(retry.Client).Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(resp.Body)
	fmt.Printf("%s\n", answer)
	// Output:
	// opened
	// opened
	// got 14 bytes
}

func ExampleSetFormBody() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "measurements.csv")
	os.WriteFile(path, []byte("1,2,3\n"), 0o600)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, header, err := r.FormFile("data")
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, "%s of %s, %d bytes", header.Filename, r.FormValue("station"), header.Size)
	}))
	defer server.Close()

	req, err := http.NewRequest("POST", server.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := retry.SetFormBody(req, "data", path, url.Values{"station": {"7"}}); err != nil {
		fmt.Println(err)
		return
	}
	resp, err := new(retry.Client).Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(resp.Body)
	fmt.Printf("%s\n", answer)
	// Output: measurements.csv of 7, 6 bytes
}

// An upload is redirected to the storage host of an API, and to no other.
func ExampleClient_crossOrigin() {
	storage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Printf("storage: %s with %q, credentials %q\n", r.Method, body,
			r.Header.Get("Authorization"))
	}))
	defer storage.Close()
	api := httptest.NewServer(http.RedirectHandler(storage.URL+"/upload/7",
		http.StatusTemporaryRedirect))
	defer api.Close()

	client := &retry.Client{
		CrossOrigin: true,
		HTTP: &http.Client{CheckRedirect: func(next *http.Request, _ []*http.Request) error {
			if "http://"+next.URL.Host != storage.URL {
				return http.ErrUseLastResponse
			}
			return nil
		}},
	}
	req, err := http.NewRequest("PUT", api.URL+"/records/7", strings.NewReader("data"))
	if err != nil {
		fmt.Println(err)
		return
	}
	req.Header.Set("Authorization", "Bearer token")
	resp, err := client.Do(req)
	if err == nil {
		resp.Body.Close()
	}
	fmt.Println(retry.OutcomeOf(resp, err).Outcome)
	// Output:
	// storage: PUT with "data", credentials ""
	// delivered
}
