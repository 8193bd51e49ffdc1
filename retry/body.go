package retry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/penstock/penstock/internal/openfiles"
)

// small is the size up to which a file is read when it is opened. Its bytes then go out with the
// header, in one write and without an open file; larger files go out by sendfile.
const small = 16 << 10

// SetFileBody makes the file at path the body of req: it sets Body, GetBody and ContentLength, and
// closes a body that was there. Each try opens the file anew, so that a slow reader of one try is
// not disturbed by the next. No more than 16 KiB are held in memory: a larger file is opened when it
// is first read, so that requests that wait for their turn hold no file open. If too many files are
// open, opening waits until others are closed, or the request's context ends.
//
// The file has to stay as it is until the answer was read: size and modification time are compared
// at each opening, at the end of each sending, and before an answer counts as accepted. If they
// differ, or the file is gone, the call fails with [ErrFileChanged], whatever the server said. If
// the request is not repeatable and some of it was sent, the call is [Unknown] instead, with the same error.
//
// Only regular files are accepted, and links to them. An empty file is sent as an empty body with
// Content-Length 0.
func SetFileBody(req *http.Request, path string) error {
	info, err := statRegular(path)
	if err != nil {
		return err
	}
	source := &fileSource{ctx: req.Context(), path: path, info: info, size: info.Size(), modTime: info.ModTime()}
	body, err := source.openNow()
	if err != nil {
		return err
	}
	if req.Body != nil {
		req.Body.Close()
	}
	req.Body, req.GetBody, req.ContentLength = body, source.open, source.size
	return nil
}

func statRegular(path string) (os.FileInfo, error) {
	info, err := os.Stat(path) // before opening: opening a pipe can block forever
	if err != nil {
		return nil, fmt.Errorf("retry: body: %w", err)
	}
	if !info.Mode().IsRegular() {
		kind := "a device, pipe or socket"
		if info.IsDir() {
			kind = "a directory"
		}
		return nil, fmt.Errorf("retry: body: %s is %s: only a regular file has a length and can be sent again", path, kind)
	}
	return info, nil
}

// fileSource is one file as it was when SetFileBody saw it. All bodies opened from it share it.
type fileSource struct {
	ctx     context.Context
	path    string
	info    os.FileInfo
	size    int64
	modTime time.Time
	changed atomic.Bool           // a body saw that it is no longer so
	failed  atomic.Pointer[error] // why a body could not be opened: nothing of it was sent
}

// open looks at the file again and opens it.
func (s *fileSource) open() (io.ReadCloser, error) {
	info, err := statRegular(s.path)
	if err == nil {
		err = s.compare(info)
	}
	if err != nil {
		return nil, err
	}
	return s.openNow()
}

// openNow opens a file that was just looked at.
func (s *fileSource) openNow() (io.ReadCloser, error) {
	if s.size <= small {
		return s.read()
	}
	b := &fileBody{source: s}
	b.ctx, b.cancel = context.WithCancel(s.ctx)
	return b, nil
}

// openFile opens a large file, and looks at it again.
func (s *fileSource) openFile(ctx context.Context) (f *os.File, err error) {
	err = openfiles.Patiently(ctx, func() (err error) {
		f, err = openFile(s.path)
		return err
	})
	switch {
	case errors.Is(err, fs.ErrNotExist): // it was there when it was looked at
		s.changed.Store(true)
		err = s.err()
	case err != nil:
		err = fmt.Errorf("retry: body: %w", err)
	default:
		var info os.FileInfo
		if info, err = f.Stat(); err == nil {
			err = s.compare(info)
		}
		if err != nil {
			f.Close()
		}
	}
	if err != nil {
		if ctx.Err() == nil {
			s.failed.Store(&err)
		}
		return nil, err
	}
	return f, nil
}

// read loads a small file. Whether it changed before that is seen before an answer counts.
func (s *fileSource) read() (io.ReadCloser, error) {
	data := buffer(int(s.size))
	switch err := openfiles.Patiently(s.ctx, func() error { return readFile(s.path, *data) }); {
	case err == io.ErrUnexpectedEOF:
		s.changed.Store(true)
		return nil, s.err()
	case err != nil:
		return nil, fmt.Errorf("retry: body: %w", err)
	case s.size == 0:
		// With any other body, a ContentLength of 0 means "not known" to net/http, and the request
		// would go out chunked.
		return http.NoBody, nil
	}
	return &smallBody{Reader: *bytes.NewReader(*data), data: data, source: s}, nil
}

// compare remembers what it finds: once a body was wrong, no later answer makes it right.
func (s *fileSource) compare(info os.FileInfo) error {
	if info.Size() != s.size || !info.ModTime().Equal(s.modTime) {
		s.changed.Store(true)
	}
	return s.err()
}

func (s *fileSource) err() error {
	if err := s.failed.Load(); err != nil {
		return *err
	}
	if s.changed.Load() {
		return fmt.Errorf("retry: body: %s: %w: send it again when it is complete", s.path, ErrFileChanged)
	}
	return nil
}

// verify looks at the file once more, by its path. One that is gone has changed, too: nobody can
// tell whether what was sent is what it was to be.
func (s *fileSource) verify() error {
	info, err := os.Stat(s.path)
	if err != nil {
		s.changed.Store(true)
		return s.err()
	}
	return s.compare(info)
}

// opened looks at the file once more, and returns what it was when it was opened. That it is another file
// by now is a change, too, even if size and time are the same.
func (s *fileSource) opened(now os.FileInfo, err error) (os.FileInfo, error) {
	if err != nil || !os.SameFile(now, s.info) {
		s.changed.Store(true)
		return nil, s.err()
	}
	return s.info, s.compare(now)
}

// fileBody is a large file, opened when it is first read. It goes out by sendfile: package net takes
// whatever is a syscall.Conn.
type fileBody struct {
	source *fileSource
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	file   atomic.Pointer[os.File] // nil: not yet open
	closed atomic.Bool
}

func (b *fileBody) open() (*os.File, error) {
	if f := b.file.Load(); f != nil {
		return f, nil
	}
	f, err := b.source.openFile(b.ctx)
	if err != nil {
		return nil, err
	}
	b.file.Store(f)
	if b.closed.Load() { // meanwhile, and did not see it
		f.Close()
	}
	return f, nil
}

// Opened returns what the file was when it was last looked at, before it is opened. It is for penstock's own
// programs, which open a file when its request's turn has come.
func (b *fileBody) Opened() (os.FileInfo, error) { return b.source.info, nil }

// Open opens the file, and fails if it is no longer what Opened says.
func (b *fileBody) Open() error {
	f, err := b.open()
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil { // it was closed meanwhile, which is no change
		return err
	}
	_, err = b.source.opened(info, nil)
	return err
}

func (b *fileBody) Read(p []byte) (int, error) {
	f, err := b.open()
	if err != nil {
		return 0, err
	}
	return f.Read(p)
}

func (b *fileBody) SyscallConn() (syscall.RawConn, error) {
	f, err := b.open()
	if err != nil {
		return nil, err
	}
	return f.SyscallConn()
}

// Close looks whether the file is still what it was. By then net/http has read to its end, and
// fails the request with the error.
func (b *fileBody) Close() error {
	if !b.closed.CompareAndSwap(false, true) {
		return nil // net/http may close twice
	}
	b.cancel()
	f := b.file.Load()
	if f == nil {
		return nil
	}
	info, err := f.Stat()
	if err == nil {
		err = b.source.compare(info)
	}
	return errors.Join(err, f.Close())
}

// smallBody is a file that was read when it was opened.
type smallBody struct {
	bytes.Reader
	data   *[]byte
	source *fileSource
}

func (b *smallBody) Close() error { return nil }

// Opened returns what the file was when it was read.
func (b *smallBody) Opened() (os.FileInfo, error) { return b.source.opened(os.Stat(b.source.path)) }

// InMemory returns the body as net/http knows it best: it sends a header together with the body only where
// it can see that the body is in memory.
func (b *smallBody) InMemory() io.ReadCloser { return io.NopCloser(&b.Reader) }

// buffers are what small files are read into. A try would allocate little else.
var buffers sync.Pool

func buffer(size int) *[]byte {
	data, ok := buffers.Get().(*[]byte)
	if !ok || cap(*data) < size {
		fresh := make([]byte, size)
		return &fresh
	}
	*data = (*data)[:size]
	return data
}

// Recycle gives the buffer back. Nobody may read the body any more; a reader finds it empty.
func (b *smallBody) Recycle() {
	if b.data != nil {
		b.Reader.Reset(nil)
		buffers.Put(b.data)
		b.data = nil
	}
}

func plainBody(body io.ReadCloser) io.ReadCloser {
	if b, ok := body.(*smallBody); ok {
		return b.InMemory()
	}
	return body
}

// checkBody returns an error if the file behind a request, if there is one, could not be opened as what it was,
// so that nothing of it was sent, or is no longer what it was.
func checkBody(req *http.Request) (err error, unsent bool) {
	switch body := req.Body.(type) {
	case *fileBody:
		return body.source.verify(), body.source.failed.Load() != nil
	case *smallBody:
		return body.source.verify(), false
	}
	if req.Body == http.NoBody && req.GetBody != nil { // perhaps an empty file; opening it compares
		body, err := req.GetBody()
		if err == nil {
			body.Close()
		}
		if errors.Is(err, ErrFileChanged) {
			return err, false
		}
	}
	return nil, false
}

// hasBody reports whether anything but headers is to be sent.
func hasBody(req *http.Request) bool { return req.Body != nil && req.Body != http.NoBody }
