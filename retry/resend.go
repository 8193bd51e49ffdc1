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
	"sync/atomic"
	"syscall"

	"github.com/penstock/penstock/internal/filebody"
)

// Why net/http was kept from sending a request again by itself.
var (
	errStreamReset = errors.New("the server reset the stream without saying whether it processed the request")
	errConnEnded   = errors.New("the server closed the connection without an answer")
)

// A lengthError is that of a body which ends before or after its ContentLength.
type lengthError struct{ read, length int64 }

func (e lengthError) Error() string {
	if e.read > e.length {
		return fmt.Sprintf("it goes on after %d bytes", e.length)
	}
	return fmt.Sprintf("it ends after %d of %d bytes", e.read, e.length)
}

// once returns a request that net/http sends again by itself only where nothing of it was
// processed. With HTTP/1 that is where nothing was written, and only net/http knows that. With
// HTTP/2 it also sends again after a PROTOCOL_ERROR, which says nothing of the kind, and GetBody is
// not told why: without one, the error of the transport says what happened, and the call itself
// sends again what is safe.
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
	length := r.ContentLength
	if length == 0 {
		length = -1 // as net/http reads it beside a body
	}
	r.Body = a.noting(plainBody(body), length)
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
		return a.noting(plainBody(body), length), nil
	}
}

// ownFault returns the reason if a try failed because of the caller's own body.
func (a *attempt) ownFault(err error) (reason string) {
	own := a.bodyErr.Load()
	if own == nil {
		return ""
	}
	// err may be of the connection that net/http closed for it
	if _, length := (*own).(lengthError); length {
		return reasonBodyLength
	}
	if errors.Is(err, *own) {
		return reasonBody
	}
	return ""
}

// noting returns body as one that notes why it cannot be read, and whether it has the length that
// was said, -1 if none was. What cannot fail is left as it is: net/http sends it together with the
// header.
func (a *attempt) noting(body io.ReadCloser, length int64) io.ReadCloser {
	if n, ok := inMemory(body); ok && (length < 0 || n == length) {
		return body
	}
	b := &notingBody{ReadCloser: body, attempt: a, length: length}
	switch file := body.(type) {
	case *filebody.Large: // of the length that it had when it became the body, or it has changed
		return notingFile{b, file}
	case *os.File:
		if length < 0 || unread(file) == length {
			return notingFile{b, file}
		}
	case syscall.Conn: // package net has ways of its own to copy a connection
		return body
	}
	return b
}

type notingBody struct {
	io.ReadCloser
	attempt *attempt
	length  int64 // -1 if it was not said
	read    int64
	closed  atomic.Bool // what a body says after that is not its fault
}

func (b *notingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	if b.length >= 0 && (b.read > b.length || err == io.EOF && b.read < b.length) {
		err = lengthError{b.read, b.length}
	}
	return b.note(n, err)
}

func (b *notingBody) note(n int, err error) (int, error) {
	if err != nil && err != io.EOF && !b.closed.Load() {
		b.attempt.bodyErr.CompareAndSwap(nil, &err)
	}
	return n, err
}

func (b *notingBody) Close() error {
	b.closed.Store(true)
	return b.ReadCloser.Close()
}

// notingFile goes out by sendfile, as what is in it does: hardly anything of it is read.
type notingFile struct {
	*notingBody
	conn syscall.Conn
}

func (b notingFile) Read(p []byte) (int, error) { return b.note(b.ReadCloser.Read(p)) }

func (b notingFile) SyscallConn() (syscall.RawConn, error) { return b.conn.SyscallConn() }

var nopClosers = [...]reflect.Type{
	reflect.TypeOf(io.NopCloser(nil)),
	reflect.TypeOf(io.NopCloser(struct {
		io.Reader
		io.WriterTo
	}{})),
}

// inMemory returns how many bytes body has left if it is what [http.NewRequest] makes of bytes and
// strings.
func inMemory(body io.ReadCloser) (n int64, ok bool) {
	if t := reflect.TypeOf(body); t != nopClosers[0] && t != nopClosers[1] {
		return 0, false
	}
	switch r := reflect.ValueOf(body).Field(0).Interface().(type) {
	case *bytes.Reader:
		return int64(r.Len()), true
	case *bytes.Buffer:
		return int64(r.Len()), true
	case *strings.Reader:
		return int64(r.Len()), true
	}
	return 0, false
}

// unread returns how many bytes of a file come after those that were read, -1 where that is
// unknown.
func unread(f *os.File) int64 {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return -1
	}
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return -1
	}
	return info.Size() - at
}
