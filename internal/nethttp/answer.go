package nethttp

import (
	"errors"
	"strings"
)

// malformed is how the errors about an answer that is not HTTP begin, in the innermost error.
const malformed = "malformed HTTP "

// NotHTTP reports whether err says that what came instead of an answer does not begin like one of
// HTTP, be it an alert of TLS.
func NotHTTP(err error) bool { return strings.HasPrefix(innermost(err), malformed) }

// SpeaksTLS reports whether err says that plain HTTP was answered by an alert of TLS.
func SpeaksTLS(err error) bool {
	return strings.HasPrefix(innermost(err), malformed+`response "\x15\x03`)
}

// innermost returns the text of the error that err wraps in the end; "" if err is nil.
func innermost(err error) string {
	if err == nil {
		return ""
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return err.Error()
}
