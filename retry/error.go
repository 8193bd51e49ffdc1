package retry

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
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
// never Delivered, and Err, what happened last and why it was the last, is never nil. Its text
// holds no query, user name or password of a URL, and no value of a request header.
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
	Err      error     // why it was not delivered, without secrets; nil if it was
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

// worded is an error with a text of its own. What it wraps is there for errors.Is and errors.As,
// with its text as it was.
type worded struct {
	text string
	err  error
}

func (e *worded) Error() string { return e.text }
func (e *worded) Unwrap() error { return e.err }

// redact returns err, an error of http.Client, with a text that may be logged.
func redact(req *http.Request, err error) error {
	inner := err
	outer, isURLError := err.(*url.Error)
	if isURLError {
		inner = outer.Err
	}
	text := inner.Error()
	for _, u := range urlsIn(inner, nil) {
		text = strings.ReplaceAll(text, strconv.Quote(u), strconv.Quote(cleanText(u)))
		text = strings.ReplaceAll(text, u, cleanText(u))
	}
	text = cleanText(text)
	for name, values := range req.Header {
		if strings.HasPrefix(name, "Content-") || strings.HasPrefix(name, "Accept") {
			continue // no secret, and words such as application/json belong in a message
		}
		for _, value := range values {
			for _, word := range append(strings.Fields(value), value) {
				if len(word) >= 6 { // shorter ones are no secret but occur by chance
					text = strings.ReplaceAll(text, word, "***")
				}
			}
		}
	}
	if isURLError {
		err = &url.Error{Op: outer.Op, URL: cleanURL(req.URL), Err: inner}
	}
	return &worded{name(req) + ": " + text, err}
}

// urlsIn collects the addresses that errors of net/url and http.Client carry, at any depth.
func urlsIn(err error, urls []string) []string {
	if e, ok := err.(*url.Error); ok && e.URL != "" {
		urls = append(urls, e.URL)
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			return urlsIn(inner, urls)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			urls = urlsIn(inner, urls)
		}
	}
	return urls
}

var (
	authorityRE = regexp.MustCompile(`://[^/?#\s"]*@`)
	// A query, with or without the rest of a URL before it, up to where the text around it goes on.
	queryRE = regexp.MustCompile(`\?[^\s"?]*=[^\s"]*|(://[^?#\s"]*)[?#][^\s"]*`)
)

// cleanText cuts user names, passwords, queries and fragments out of the URLs in a text.
func cleanText(s string) string {
	return queryRE.ReplaceAllString(authorityRE.ReplaceAllString(s, "://"), "$1")
}

// cleanURL returns u without user, query and fragment.
func cleanURL(u *url.URL) string {
	if u == nil {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}

// name is how messages call a request.
func name(req *http.Request) string { return methodOf(req) + " " + cleanURL(req.URL) }

func methodOf(req *http.Request) string {
	if req.Method == "" {
		return http.MethodGet
	}
	return req.Method
}
