// Package nethttp holds what several packages need to know of HTTP and of net/http: origins,
// properties of methods, when net/http sends a request again by itself, and which errors it tells
// apart by their texts only.
package nethttp

import (
	"errors"
	"net/http"
	"strings"
)

// ResendsAnyway reports whether net/http sends a request again also where the server may have
// processed it, as [http.Transport] documents.
func ResendsAnyway(req *http.Request) bool {
	if req.Body != nil && req.Body != http.NoBody && req.GetBody == nil {
		return false
	}
	switch req.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return HasKey(req)
}

// HasKey reports whether a request has an idempotency key, in a spelling that net/http looks for.
func HasKey(req *http.Request) bool {
	return req.Header["Idempotency-Key"] != nil || req.Header["X-Idempotency-Key"] != nil
}

// Repeatable reports whether a request does no harm if it is processed twice, as net/http has it:
// by its method, or by its key.
func Repeatable(req *http.Request) bool { return Idempotent(req.Method) || HasKey(req) }

// A StreamError has the fields of the error that net/http returns for an HTTP/2 stream that was
// reset. That type is not exported, but its method As fills in any struct with the same fields.
type StreamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (StreamError) Error() string { return "stream error" }

// Where a request cannot be sent again, net/http puts the reason into a text between these two, and
// wraps nothing.
const (
	cannotRetry = "http2: Transport: cannot retry err ["
	afterwards  = "] after Request.Body was written"
)

// Reason reports whether net/http would have sent a request again, had it had a GetBody, and
// returns the text of the error because of which it would; of any other error, the text of the
// innermost one.
func Reason(err error) (text string, ok bool) {
	text, ok = strings.CutPrefix(innermost(err), cannotRetry)
	if ok {
		text, _, _ = strings.Cut(text, afterwards)
	}
	return text, ok
}

// Refused reports whether err says that the server closed the stream before it processed anything
// of the request (RFC 9113, section 8.7).
func Refused(err error) bool {
	const refusedStream = 7
	if e := (StreamError{}); errors.As(err, &e) {
		return e.Code == refusedStream
	}
	text, _ := Reason(err)
	return strings.HasPrefix(text, "stream error: ") && strings.Contains(text, "; REFUSED_STREAM;")
}

// GoneAway reports whether err says that the request's stream is above the last one of the server's
// GOAWAY, so that it was not processed (RFC 9113, section 6.8). net/http has no type for that.
func GoneAway(err error) bool {
	text, _ := Reason(err)
	return text == "http2: Transport received Server's graceful shutdown GOAWAY"
}
