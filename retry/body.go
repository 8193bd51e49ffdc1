package retry

import (
	"errors"
	"io"
	"net/http"

	"github.com/penstock/penstock/internal/filebody"
)

// SetFileBody makes the file at path the body of req: it sets Body, GetBody and ContentLength, and
// closes a body that was there. Each try opens the file anew, so that a slow reader of one try is
// not disturbed by the next. No more than 16 KiB are held in memory: a larger file is opened when
// it is first read, so that requests that wait for their turn hold no file open. If too many files
// are open, opening waits until others are closed, or the request's context ends.
//
// The file has to stay as it is until the answer was read: size and modification time are compared
// at each opening, at the end of each sending, and before an answer counts as accepted. If they
// differ, or the file is gone, the call fails with [ErrFileChanged], whatever the server said. If
// the request is not repeatable and some of it was sent, the call is [Unknown] instead, with the
// same error.
//
// Only regular files are accepted, and links to them. An empty file is sent as an empty body with
// Content-Length 0.
func SetFileBody(req *http.Request, path string) error {
	return filebody.Set(req, path)
}

func plainBody(body io.ReadCloser) io.ReadCloser {
	if b, ok := body.(*filebody.Small); ok {
		return b.InMemory()
	}
	return body
}

// checkBody returns an error if the file behind a request, if there is one, could not be opened or
// is no longer what it was. It reports whether that is known to have kept all of it from being
// sent.
func checkBody(req *http.Request) (unsent bool, err error) {
	switch file := req.Body.(type) {
	case *filebody.Large:
		return file.Verify()
	case *filebody.Small:
		return file.Verify()
	}
	if req.Body == http.NoBody && req.GetBody != nil { // perhaps an empty file; opening it compares
		body, err := req.GetBody()
		if err == nil {
			body.Close()
		}
		if errors.Is(err, ErrFileChanged) {
			return false, err
		}
	}
	return false, nil
}

// hasBody reports whether anything but headers is to be sent.
func hasBody(req *http.Request) bool { return req.Body != nil && req.Body != http.NoBody }
