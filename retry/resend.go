package retry

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"reflect"
	"strings"
	"syscall"

	"github.com/penstock/penstock/internal/filebody"
	"github.com/penstock/penstock/internal/nethttp"
)

// Why net/http was kept from sending a request again by itself.
var (
	errStreamReset = errors.New("the server reset the stream without saying whether it processed the request")
	errConnEnded   = errors.New("the server closed the connection without an answer")
)

// once returns a request that net/http sends again by itself only where nothing of it was processed. With HTTP/1 that is
// where nothing was written, and only net/http knows that. With HTTP/2 it also sends again after a PROTOCOL_ERROR, which
// says nothing of the kind, and GetBody is not told why: without one, the error of the transport says what happened, and the
// call itself sends again what is safe.
func (w *wire) once(req *http.Request) *http.Request {
	if !hasBody(req) || req.GetBody == nil {
		return req
	}
	if p := w.origin.protocol.Load(); p != 0 && p != 2 {
		return req
	}
	out := req.WithContext(req.Context()) // a RoundTripper must not change its request
	out.GetBody = nil
	return out
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
	r.GetBody = func() (io.ReadCloser, error) { // net/http may be about to send it again by itself
		if a.doubtful() && a.http2() {
			return nil, errStreamReset
		}
		a.proven()
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
	if nethttp.WrongLength(err) {
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
	case *filebody.Large:
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
