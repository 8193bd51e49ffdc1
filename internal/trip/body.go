package trip

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

// A lengthError is that of a body which ends before or after its ContentLength.
type lengthError struct{ read, length int64 }

func (e lengthError) Error() string {
	if e.read > e.length {
		return fmt.Sprintf("it goes on after %d bytes", e.length)
	}
	return fmt.Sprintf("it ends after %d of %d bytes", e.read, e.length)
}

// SetBody sets the request's body and watches how it is read.
func (t *Trip) SetBody(r *http.Request, body io.ReadCloser) {
	if body == nil || body == http.NoBody {
		return
	}
	length := r.ContentLength
	if length == 0 {
		length = -1 // as net/http reads it beside a body
	}
	r.Body = t.noting(plainBody(body), length)
	open := r.GetBody
	if open == nil {
		return
	}
	r.GetBody = func() (io.ReadCloser, error) { // net/http may be about to send it again by itself
		if t.doubtful() && t.http2() {
			return nil, ErrStreamReset
		}
		t.proven()
		body, err := open()
		if err != nil {
			t.bodyErr.CompareAndSwap(nil, &err)
			return nil, err
		}
		return t.noting(plainBody(body), length), nil
	}
}

// A BodyFault is what was wrong with the caller's own body.
type BodyFault uint8

const (
	BodyFine    BodyFault = iota // nothing, as far as is known
	Unreadable                   // it could not be opened or read
	WrongLength                  // it was not as long as its ContentLength
)

// BodyFault returns what was wrong with the body if the trip failed with err because of that.
func (t *Trip) BodyFault(err error) BodyFault {
	own := t.bodyErr.Load()
	if own == nil {
		return BodyFine
	}
	// err may be of the connection that net/http closed for it
	if _, length := (*own).(lengthError); length {
		return WrongLength
	}
	if errors.Is(err, *own) {
		return Unreadable
	}
	return BodyFine
}

// plainBody returns a body as net/http knows it best.
func plainBody(body io.ReadCloser) io.ReadCloser {
	if b, ok := body.(*filebody.Small); ok {
		return b.InMemory()
	}
	return body
}

// noting returns body as one that notes why it cannot be read, and whether it has the length that
// was said, -1 if none was. What cannot fail is left as it is: net/http sends it together with the
// header.
func (t *Trip) noting(body io.ReadCloser, length int64) io.ReadCloser {
	if n, ok := inMemory(body); ok && (length < 0 || n == length) {
		return body
	}
	b := &notingBody{ReadCloser: body, trip: t, length: length}
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
	trip   *Trip
	length int64 // -1 if it was not said
	read   int64
	closed atomic.Bool // what a body says after that is not its fault
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
		b.trip.bodyErr.CompareAndSwap(nil, &err)
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

// watchBody returns a copy of a request that asks for a 100 Continue, which notes whether its body
// is read.
func (t *Trip) watchBody(req *http.Request) *http.Request {
	t.mark(asks)
	out := req.WithContext(req.Context()) // a RoundTripper must not change its request
	out.Body = t.watched(req.Body)
	if req.GetBody != nil { // net/http's own, for when it sends again by itself
		out.GetBody = func() (io.ReadCloser, error) {
			body, err := req.GetBody()
			if err != nil {
				return nil, err
			}
			return t.watched(body), nil
		}
	}
	return out
}

func (t *Trip) watched(body io.ReadCloser) io.ReadCloser {
	b := watchedBody{body, t}
	if conn, ok := body.(syscall.Conn); ok {
		return watchedFile{b, conn}
	}
	return b
}

type watchedBody struct {
	io.ReadCloser
	trip *Trip
}

func (b watchedBody) Read(p []byte) (int, error) {
	b.trip.mark(ReadBody)
	return b.ReadCloser.Read(p)
}

// watchedFile goes out by sendfile, as what is in it does.
type watchedFile struct {
	watchedBody
	conn syscall.Conn
}

func (b watchedFile) SyscallConn() (syscall.RawConn, error) {
	b.trip.mark(ReadBody)
	return b.conn.SyscallConn()
}
