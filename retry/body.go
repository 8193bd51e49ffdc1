package retry

import (
	"crypto/rand"
	"io"
	"net/http"
	"net/url"

	"github.com/penstock/penstock/internal/filebody"
	"github.com/penstock/penstock/internal/form"
)

// SetFileBody makes the file at path the body of req: it sets Body, GetBody and ContentLength, and
// closes a body that was there. Each attempt opens the file anew, so that a slow reader of one
// attempt is not disturbed by the next. No more than 16 KiB are held in memory: a larger file is
// opened when it is first read, so that requests that wait for their turn hold no file open. If too
// many files are open, opening waits until others are closed, or the request's context ends.
//
// The file has to stay as it is until the answer was read: size and modification time are compared
// at each opening, at the end of each sending, and before an answer counts as accepted. If they
// differ, or the file is gone, the call fails with [ErrFileChanged], whatever the server said. If
// the request is not repeatable and some of it was sent, the call is [Unknown] instead, with the
// same error.
//
// Only regular files are accepted, and links to them. An empty file is sent as an empty body with
// Content-Length 0.
func SetFileBody(req *http.Request, path string) error { return filebody.Set(req, path) }

// SetFormBody makes a multipart/form-data body (RFC 7578) of req, and sets its Content-Type: the
// fields in the order of their names, and behind them the file at path in the named field. The file
// is streamed, with the length of the whole body known beforehand; what [SetFileBody] says of files
// is true of this one. fields may be nil.
func SetFormBody(req *http.Request, field, path string, fields url.Values) error {
	f := form.New(rand.Text(), field, path, fields)
	if err := filebody.SetForm(req, f, path); err != nil {
		return err
	}
	if req.Header == nil {
		req.Header = make(http.Header)
	}
	req.Header.Set("Content-Type", f.ContentType)
	return nil
}

// SetBody makes what open returns the body of req: it sets Body, GetBody and ContentLength, and
// closes a body that was there. size is the number of bytes in it, or -1 if that is not known. open
// is called when an attempt first reads its body, so that requests that wait for their turn hold
// nothing open, and must return the same content each time. It may be called from any goroutine. A
// body of another size, or an error of open or of its body, fails the call. If the request is not
// repeatable and some of it may have been sent, which an error of open rules out, it is [Unknown].
func SetBody(req *http.Request, size int64, open func() (io.ReadCloser, error)) {
	filebody.SetLazy(req, size, open)
}

// hasBody reports whether anything but headers is to be sent.
func hasBody(req *http.Request) bool { return req.Body != nil && req.Body != http.NoBody }
