package retry

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/said"
)

// No text of ours may hold what a log must not hold, however deep it sits.
func TestRedaction(t *testing.T) {
	req, _ := http.NewRequest("PUT", "https://us3r:pa55word@h.example:8443/a%2Fb/c?sig=s3cr3t&x=%22y#fr4gment", nil)
	req.Header.Set("Authorization", "Bearer t0kent0ken")
	req.Header.Set("X-Api-Key", "k3yk3y")
	req.Header.Set("Content-Type", "application/json")
	inner := errors.New("boom")
	raw := req.URL.String()
	for _, err := range []error{
		&url.Error{Op: "Put", URL: raw, Err: inner},
		&url.Error{Op: "Put", URL: raw, Err: &url.Error{Op: "Get",
			URL: "http://u5er@auth.example/token?client_secret=s3cr3t", Err: inner}},
		&url.Error{Op: "Put", URL: raw, Err: fmt.Errorf("oauth: %w",
			&url.Error{Op: "Post", URL: `https://auth.example/?s3cr3t a"b`, Err: inner})},
		&url.Error{Op: "Put", URL: raw, Err: errors.Join(inner,
			&url.Error{Op: "Post", URL: raw, Err: inner})},
		&url.Error{Op: "Put", URL: raw, Err: fmt.Errorf("failed to parse Location header %q: bad: %w", "https://u5er:s3cr3t@o.example/%zz?sig=s3cr3t", inner)},
		&url.Error{Op: "Put", URL: raw, Err: fmt.Errorf("failed to parse Location header %q: bad: %w", "/x%zz?sig=s3cr3t", inner)},
		&url.Error{Op: "Put", URL: raw, Err: fmt.Errorf("server refused Bearer t0kent0ken and k3yk3y: %w", inner)},
		fmt.Errorf("plain %s: %w", raw, inner),
	} {
		got := said.Failed(req, nil, err)
		for _, secret := range []string{"us3r", "u5er", "pa55word", "s3cr3t", "fr4gment", "t0ken",
			"k3y", "sig="} {
			if strings.Contains(got.Error(), secret) {
				t.Errorf("%q is in %s", secret, got)
			}
		}
		if !strings.HasPrefix(got.Error(), "PUT https://h.example:8443/a%2Fb/c: ") ||
			!strings.Contains(got.Error(), "boom") {
			t.Errorf("text: %s", got)
		}
		var u *url.Error
		if errors.As(got, &u) && strings.Contains(u.URL, "pa55word") && u.Op == "Put" &&
			u.Err == inner {
			t.Errorf("the outer url.Error keeps %s", u.URL)
		}
		if !errors.Is(got, inner) {
			t.Errorf("%v does not wrap its cause", got)
		}
	}
	if got := said.Failed(req, nil, &url.Error{Err: errors.New("use application/json")}).Error(); !strings.Contains(got, "application/json") {
		t.Errorf("text: %s", got)
	}
}

func TestErrorText(t *testing.T) {
	e := &Error{Result{Attempts: 3, Outcome: Deferred, RetryAt: time.Unix(0, 0),
		Err: errors.New("retry: too late")}}
	check(t, "text", e.Error(), "retry: too late (deferred after 3 attempts), not before 1970-01-01T00:00:00Z")
	e = &Error{Result{Attempts: 3, Outcome: Failed, Uncertain: true,
		Err: fmt.Errorf("lost: %w", &spentError{3})}}
	check(t, "text", e.Error(), "retry: lost: gave up after 3 failed attempts (it may have been accepted)")
	e.Attempts = 5
	check(t, "text", e.Error(), "retry: lost: gave up after 3 failed attempts (failed after 5 attempts; it may have been accepted)")
	e = &Error{Result{Attempts: 1, Outcome: Failed, Err: fmt.Errorf("lost: %w", &spentError{1})}}
	check(t, "text", e.Error(), "retry: lost: gave up after 1 failed attempt")
	e = &Error{Result{Attempts: 1, Outcome: Unknown, Uncertain: true,
		Err: fmt.Errorf("lost: %w", errUnsafe)}}
	check(t, "text", e.Error(), "retry: lost: it may have been accepted, and repeating it is not safe")
	check(t, "outcomes", fmt.Sprint(Delivered, Failed, Unknown, Deferred, Outcome(0)),
		"delivered failed unknown deferred none")
	check(t, "kinds", fmt.Sprint(EventWaiting, EventEnded, Default, Accept, Fail, RetryFree, Retry,
		RetryIfSafe),
		"waiting ended default accept fail retry free retry retry if safe")
}

// An Error that somebody's test makes has a text, too.
func TestErrorOfATest(t *testing.T) {
	err := &Error{Result{Outcome: Deferred, RetryAt: time.Unix(0, 0)}}
	check(t, "text", err.Error(), "retry: deferred, not before 1970-01-01T00:00:00Z")
	check(t, "result", OutcomeOf(nil, fmt.Errorf("upload: %w", err)).Outcome, Deferred)
}
