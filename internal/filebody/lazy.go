package filebody

import (
	"bytes"
	"errors"
	"io"
	"math"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/penstock/penstock/internal/form"
	"github.com/penstock/penstock/internal/sequence"
)

// SetLazy makes what open returns the body of a request, opened when it is first read, and closes
// the body that was there. A size below zero is one that is not known.
func SetLazy(req *http.Request, size int64, open func() (io.ReadCloser, error)) {
	failed := new(atomic.Bool)
	if req.Body != nil {
		req.Body.Close()
	}
	req.ContentLength = max(size, -1)
	req.GetBody = func() (io.ReadCloser, error) {
		if size == 0 { // any other body makes net/http believe that the length is not known
			return http.NoBody, nil
		}
		return &lazy{open: open, failed: failed}, nil
	}
	req.Body, _ = req.GetBody()
}

// lazy is a body that is opened when it is first read.
type lazy struct {
	open   func() (io.ReadCloser, error)
	failed *atomic.Bool // of all bodies of the request: one could not be opened

	mu     sync.Mutex // net/http may close it from another goroutine, also while it is opened
	body   io.ReadCloser
	err    error // if not nil, it could not be opened, or is closed
	closed bool
}

func (b *lazy) Read(p []byte) (int, error) {
	body, err := b.opened()
	if err != nil {
		return 0, err
	}
	return body.Read(p)
}

// opened opens the body if that has not been done. Only the reader calls it.
func (b *lazy) opened() (io.ReadCloser, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.body != nil || b.err != nil {
		return b.body, b.err
	}
	b.mu.Unlock()
	body, err := b.open()
	b.mu.Lock()
	switch {
	case b.closed: // meanwhile, and did not see it
		if err == nil {
			body.Close()
		}
	case err != nil:
		b.err = err
		b.failed.Store(true)
	default:
		b.body = body
	}
	return b.body, b.err
}

func (b *lazy) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	body, closed := b.body, b.closed
	if b.closed = true; b.err == nil {
		b.err = http.ErrBodyReadAfterClose
	}
	if body == nil || closed {
		return nil
	}
	return body.Close()
}

// A Fleeting body has a GetBody that may cease to work, such as that of a stream which becomes too
// large to be kept.
type Fleeting interface {
	// Again returns why GetBody fails from now on, or nil if it is not known to.
	Again(Sent) error
}

// Keep returns a copy of req with its body in memory, so that it can be sent again, if that has at
// most so many bytes; otherwise with a body that can be sent once, as before.
func Keep(req *http.Request, most int64) (*http.Request, error) {
	data, err := io.ReadAll(io.LimitReader(req.Body, min(most, math.MaxInt64-1)+1))
	if err != nil {
		req.Body.Close()
		return nil, err
	}
	out := req.WithContext(req.Context()) // the caller's stays as it is
	if int64(len(data)) > most {
		out.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(data), req.Body), req.Body}
		return out, nil
	}
	req.Body.Close()
	size := max(req.ContentLength, 0) // a body of another length is reported when it is sent
	if size == 0 {
		size = int64(len(data))
	}
	out.ContentLength = size
	out.GetBody = func() (io.ReadCloser, error) {
		if size == 0 {
			return http.NoBody, nil
		}
		return io.NopCloser(bytes.NewReader(data)), nil // net/http sees that it is in memory
	}
	out.Body, _ = out.GetBody()
	return out, nil
}

// SetForm makes a form around the file at path the body of a request, and closes the body that was
// there.
func SetForm(req *http.Request, f form.Form, path string) error {
	if err := Set(req, path); err != nil {
		return err
	}
	open := req.GetBody
	req.Body = f.Body(req.Body)
	req.GetBody = func() (io.ReadCloser, error) {
		content, err := open()
		if err != nil {
			return nil, err
		}
		return f.Body(content), nil
	}
	req.ContentLength = f.Length(req.ContentLength)
	return nil
}

// Unopened reports whether the body of a request is one of [SetLazy] that could not be opened, so
// that nothing of it was sent.
func Unopened(req *http.Request) bool {
	b, ok := req.Body.(*lazy)
	return ok && b.failed.Load()
}

// Verify returns an error if a file behind a request, if there is one, could not be opened or is no
// longer what it was. It reports whether that is known to have kept all of it from being sent.
func Verify(req *http.Request) (unsent bool, err error) {
	body, ok := req.Body.(*sequence.Body)
	if !ok {
		return verify(req, req.Body)
	}
	for _, content := range body.Contents() {
		if unsent, err = verify(req, content); err != nil {
			return unsent, err
		}
	}
	return false, nil
}

func verify(req *http.Request, content io.Reader) (unsent bool, err error) {
	switch file := content.(type) {
	case *Large:
		return file.Verify()
	case *Small:
		return file.Verify()
	}
	if content == http.NoBody && req.GetBody != nil { // perhaps an empty file; opening it compares
		body, err := req.GetBody()
		if err == nil {
			body.Close()
		}
		if errors.Is(err, ErrChanged) {
			return false, err
		}
	}
	return false, nil
}

// Recycle gives back the memory of a body that was sent, if that has small files. It must not be
// read any more.
func Recycle(body io.Reader) {
	switch b := body.(type) {
	case *sequence.Body:
		for _, content := range b.Contents() {
			Recycle(content)
		}
	case Recycler:
		b.Recycle(Sent{})
	}
}
