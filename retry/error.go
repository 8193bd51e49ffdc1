package retry

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/filebody"
	"github.com/penstock/penstock/internal/secret"
)

var (
	// ErrUnreachable is in the error of a call that cannot succeed as configured: the host is
	// unknown, its certificate or protocol was refused, or what answers is not HTTP, and there was
	// no answer from there before. Trying again does not help: check the URL and the TLS settings.
	ErrUnreachable = errors.New("the server cannot be reached as configured")

	// ErrFileChanged is in the error of a call whose file, set by [SetFileBody], changed before the
	// server's answer was read.
	ErrFileChanged = filebody.ErrChanged

	// ErrNoGetBody is in the error of a call that would have been tried again if its request, which
	// has a body, had a GetBody. [http.NewRequest] sets one for bytes and strings only, and
	// [SetFileBody] for files.
	ErrNoGetBody = errors.New("its body cannot be sent again: set GetBody")

	// ErrStopped is in the error of a call that ended because of [Client.Stop] with a nil error.
	ErrStopped = errors.New("stopped")
)

// Outcome says what became of a call. A repeatable request whose call Failed or was Deferred may
// have been accepted all the same: [Result].Uncertain reports that.
type Outcome int

const (
	Delivered Outcome = iota + 1 // the server accepted it
	Failed                       // it is not known to be accepted, and going on would not help
	Unknown                      // it may have been accepted, and repeating it is not safe
	Deferred                     // it is not known to be accepted, and sending it later may help
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

// Error is the [Result] of a call that ended without a response to return, as an error. Outcome is
// never Delivered, and Err is never nil: it says what happened last and why the call ended there.
//
// Error's text may be logged: queries, user names, passwords and header values are taken out, also
// of the errors that it wraps, as [errors.Unwrap] returns them. Only [errors.As] returns the
// original errors, with whatever secrets are in their text.
type Error Result

// Error begins with "retry: ".
func (e *Error) Error() string {
	text := "retry: " + strings.TrimPrefix(e.Err.Error(), "retry: ")
	var notes []string
	var spent *spentError
	// Otherwise that error says the same.
	if e.Attempts > 1 && !(errors.As(e.Err, &spent) && spent.attempts == e.Attempts) {
		notes = append(notes, fmt.Sprintf("%s after %d tries", e.Outcome, e.Attempts))
	}
	if e.Uncertain && !errors.Is(e.Err, errUnsafe) {
		notes = append(notes, "it may have been accepted")
	}
	if notes != nil {
		text += " (" + strings.Join(notes, "; ") + ")"
	}
	if !e.RetryAt.IsZero() {
		text += ", not before " + e.RetryAt.UTC().Format(time.RFC3339)
	}
	return text
}

// errUnsafe ends a call that is Unknown because of what its last try came to.
var errUnsafe = errors.New("it may have been accepted, and repeating it is not safe")

// spentError ends a call that has used up its attempts.
type spentError struct{ attempts int }

func (e *spentError) Error() string {
	if e.attempts == 1 {
		return "gave up after 1 failed attempt"
	}
	return fmt.Sprintf("gave up after %d failed attempts", e.attempts)
}

// waitError ends a call that was asked to wait for longer than MaxWait.
type waitError struct{ asked, most time.Duration }

func (e *waitError) Error() string {
	return fmt.Sprintf("asked to wait %v, longer than MaxWait %v", e.asked, e.most)
}

// MaxWait lets other packages recognise the error, for words of their own.
func (e *waitError) MaxWait() time.Duration { return e.most }

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Result is how a call ended.
type Result struct {
	Outcome  Outcome
	Attempts int       // how often it was tried, refusals included
	Status   int       // of the answer to the last try, be it a proxy's; 0 if there was none
	RetryAt  time.Time // when to try again, if that is known

	// Uncertain reports whether the server may have accepted the request although the call was not
	// Delivered: some try may have been processed, and no answer says so. It is true of every
	// Unknown call and, for example, of a PUT whose answers were lost. Policy.Do, which does not
	// know, leaves it false.
	Uncertain bool

	Err error // why it was not delivered, without secrets; nil if it was
}

// OutcomeOf returns how the call ended that returned resp and err, with or without a response: pass
// it what [Client.Do], a [Client.StandardClient] or [Policy.Do] returned. It returns the zero
// Result if neither comes from this package, and for the nil error of a Policy.Do.
func OutcomeOf(resp *http.Response, err error) Result {
	var e *Error
	if errors.As(err, &e) {
		return Result(*e)
	}
	if err == nil && resp != nil && resp.Request != nil {
		if c, ok := resp.Request.Context().Value(callKey{}).(*call); ok {
			return c.settled()
		}
	}
	return Result{}
}

// worded returns an error with a text of its own. What it stands for is there for errors.Is and
// errors.As, with its text as it was, but not when errors are printed link by link.
func worded(text string, err error) error { return &secret.Error{Text: text, Err: err} }

// redact returns err, an error of http.Client, with a text that may be logged.
func redact(req *http.Request, err error) error {
	outer, isURLError := err.(*url.Error)
	if isURLError {
		err = outer.Err
	}
	secrets := secret.Of(req)
	text := secrets.TextOf(err)
	if isURLError { // for callers that look for one
		err = &url.Error{Op: outer.Op, URL: secret.Address(req.URL), Err: worded(text, err)}
	}
	return worded(secrets.Hide(name(req))+": "+text, err)
}

// clean returns an error of somebody else's with a text that may be logged.
func clean(err error) error { return new(secret.Set).Clean(err) }

// name is how messages call a request.
func name(req *http.Request) string { return methodOf(req) + " " + secret.Address(req.URL) }

func methodOf(req *http.Request) string {
	if req.Method == "" {
		return http.MethodGet
	}
	return req.Method
}
