package retry

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"strings"
	"syscall"
)

// resendable reports whether net/http sends a request again by itself also where it may have been processed, as
// [http.Transport] says. Any other it sends again only where nothing of it was written, or where HTTP/2 says that it was
// not processed.
func resendable(req *http.Request) bool {
	switch methodOf(req) {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return hasKey(req)
}

// hasKey reports whether a request has an idempotency key, in a spelling that net/http looks for.
func hasKey(req *http.Request) bool {
	return req.Header["Idempotency-Key"] != nil || req.Header["X-Idempotency-Key"] != nil
}

// streamError has the fields of the error that net/http returns for a stream of HTTP/2 that ended. That type
// is not exported, but its method As fills in any struct with the same fields.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (e streamError) Error() string { return fmt.Sprintf("stream %d: code %d", e.StreamID, e.Code) }

// refusedStream reports whether err says that the server closed the stream before it did anything with the request
// (RFC 9113, section 8.7).
func refusedStream(err error) bool {
	const code = 7
	var e streamError
	return errors.As(err, &e) && e.Code == code
}

// setBody makes body that of the next try's request, and watches what comes of it.
func (a *attempt) setBody(r *http.Request, body io.ReadCloser) {
	if body == nil || body == http.NoBody {
		return
	}
	r.Body = a.noting(plainBody(body))
	open := r.GetBody
	if open == nil {
		return
	}
	r.GetBody = func() (io.ReadCloser, error) { // net/http is about to send it again by itself
		if a.careful {
			a.unprocessed()
		}
		body, err := open()
		if err != nil {
			a.bodyErr.CompareAndSwap(nil, &err)
			return nil, err
		}
		return a.noting(plainBody(body)), nil
	}
}

// ownFault returns the reason if a try failed because of the caller's own body.
func (a *attempt) ownFault(err error) (reason string) {
	if own := a.bodyErr.Load(); own != nil && errors.Is(err, *own) {
		return reasonBody
	}
	if err == nil {
		return ""
	}
	text := innermost(err).Error() // net/http has no type for these
	if strings.HasPrefix(text, "http: ContentLength=") || text == "http2: request body larger than specified content length" {
		return reasonBodyLength
	}
	return ""
}

// noting returns body as one that notes why it cannot be read. What cannot fail is left as it is: net/http sends it
// together with the header.
func (a *attempt) noting(body io.ReadCloser) io.ReadCloser {
	if inMemory(body) {
		return body
	}
	b := notingBody{body, a}
	switch conn := body.(type) {
	case *fileBody:
		return notingFile{b, conn}
	case *os.File:
		return notingFile{b, conn}
	case syscall.Conn: // package net has ways of its own to copy a connection
		return body
	}
	return b
}

type notingBody struct {
	io.ReadCloser
	attempt *attempt
}

func (b notingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		b.attempt.bodyErr.CompareAndSwap(nil, &err)
	}
	return n, err
}

// notingFile goes out by sendfile, as what is in it does.
type notingFile struct {
	notingBody
	conn syscall.Conn
}

func (b notingFile) SyscallConn() (syscall.RawConn, error) { return b.conn.SyscallConn() }

var nopClosers = [...]reflect.Type{
	reflect.TypeOf(io.NopCloser(nil)),
	reflect.TypeOf(io.NopCloser(struct {
		io.Reader
		io.WriterTo
	}{})),
}

// inMemory reports whether body is what [http.NewRequest] makes of bytes and strings.
func inMemory(body io.ReadCloser) bool {
	if t := reflect.TypeOf(body); t != nopClosers[0] && t != nopClosers[1] {
		return false
	}
	switch reflect.ValueOf(body).Field(0).Interface().(type) {
	case *bytes.Reader, *bytes.Buffer, *strings.Reader:
		return true
	}
	return false
}
