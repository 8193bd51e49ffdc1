package retry

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/secret"
)

var (
	// ErrUnreachable is in the error of a call that failed because the host is unknown, or its
	// certificate or protocol was refused, and that has never had an answer from there. Trying
	// again does not cure it: look at the URL and the TLS settings.
	ErrUnreachable = errors.New("the server cannot be reached as configured")

	// ErrFileChanged is in the error of a call whose file, set by [SetFileBody], changed before the
	// server's answer was read.
	ErrFileChanged = errors.New("file changed while it was sent")

	// ErrStopped is in the error of a call that ended because of [Client.Stop] with a nil error.
	ErrStopped = errors.New("stopped")
)

// Outcome says what became of a call.
type Outcome int

const (
	Delivered Outcome = iota + 1 // the server accepted it
	Failed                       // it did not, and going on would not help
	Unknown                      // it may have been accepted; we cannot know, and repeating is not safe
	Deferred                     // it was not accepted, and sending it later may help
)

// String returns the outcome's name in lower case; "none" for the zero Outcome, that of a call
// which is not over.
func (o Outcome) String() string {
	switch o {
	case Delivered:
		return "delivered"
	case Failed:
		return "failed"
	case Unknown:
		return "unknown"
	case Deferred:
		return "deferred"
	}
	return "none"
}

// Error is a call that ended without a response to return: its [Result], as an error. Outcome is
// never Delivered, and Err, what happened last and why it was the last, is never nil.
//
// Its text holds no query, user name or password of a URL, and no value of a request header, even
// where the server sent one back, nor does that of any error that unwrapping it step by step
// comes to. What [errors.As] finds in it is as others made it, with their text.
type Error Result

// Error begins with "retry: ".
func (e *Error) Error() string {
	text := "retry: " + strings.TrimPrefix(e.Err.Error(), "retry: ")
	if e.Attempts > 1 {
		text += fmt.Sprintf(" (%s after %d tries)", e.Outcome, e.Attempts)
	}
	if !e.RetryAt.IsZero() {
		text += ", not before " + e.RetryAt.UTC().Format(time.RFC3339)
	}
	return text
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Result is how a call ended.
type Result struct {
	Outcome  Outcome
	Attempts int       // how often it was tried, refusals included
	Status   int       // of the answer to the last try, be it a proxy's; 0 if there was none
	RetryAt  time.Time // when to try again, if that is known

	// Uncertain reports whether the server may have accepted the request although the call was not
	// Delivered: some try may have been processed, and no answer says so. That is so of all Unknown calls, and of a
	// PUT, say, whose answers were lost.
	Uncertain bool

	Err error // why it was not delivered, without secrets; nil if it was
}

// OutcomeOf tells how the call ended that returned resp and err, with or without a response: pass
// it what [Client.Do], a [Client.StandardClient] or [Policy.Do] returned. The zero Result means
// that neither comes from this package; what Policy.Do returned as nil is that, too.
func OutcomeOf(resp *http.Response, err error) Result {
	var e *Error
	if errors.As(err, &e) {
		return Result(*e)
	}
	if err == nil && resp != nil && resp.Request != nil {
		if c, ok := resp.Request.Context().Value(callKey{}).(*call); ok {
			return c.result
		}
	}
	return Result{}
}

// worded returns an error with a text of its own. What it stands for is there for errors.Is and
// errors.As, with its text as it was, and for nobody who prints errors link by link.
func worded(text string, err error) error { return &secret.Error{Text: text, Err: err} }

// secretsOf are the secrets of a request.
func secretsOf(req *http.Request) *secret.Set {
	var s secret.Set
	s.AddHeader(req.Header)
	if req.URL != nil {
		s.AddURL(req.URL.String())
	}
	return &s
}

// redact returns err, an error of http.Client, with a text that may be logged.
func redact(req *http.Request, err error) error {
	outer, isURLError := err.(*url.Error)
	if isURLError {
		err = outer.Err
	}
	secrets := secretsOf(req)
	text := secrets.TextOf(err)
	if isURLError { // for who looks for one
		err = &url.Error{Op: outer.Op, URL: secret.CleanURL(req.URL), Err: worded(text, err)}
	}
	return worded(secrets.Hide(name(req))+": "+text, err)
}

// clean returns an error of somebody else's with a text that may be logged.
func clean(err error) error {
	if text := new(secret.Set).TextOf(err); text != err.Error() {
		return worded(text, err)
	}
	return err
}

// name is how messages call a request.
func name(req *http.Request) string { return methodOf(req) + " " + secret.CleanURL(req.URL) }

func methodOf(req *http.Request) string {
	if req.Method == "" {
		return http.MethodGet
	}
	return req.Method
}
