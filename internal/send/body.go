package send

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"syscall"

	"github.com/penstock/penstock/internal/filebody"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/retry"
)

// An attempt fails with one of these if its file changed in place while it was sent, or
// at all between its turn and its opening. They are not [retry.ErrFileChanged], which would
// end the call: the next attempt sends the new content.
var (
	errChanged = errors.New("the file changed while it was sent")
	errMoved   = errors.New("the file changed before it was sent")
)

// errChanging fails an item whose file has changed at each of maxLooks looks.
var errChanging = errors.New("the file changes faster than it can be read: send it again when it is complete")

// A fileError says why an item's file cannot be opened or read.
type fileError struct {
	err   error
	begun bool // some of the file may have been sent
}

func (e *fileError) Error() string { return e.err.Error() }
func (e *fileError) Unwrap() error { return e.err }

// meet records what the job's file is now, and reports whether anything has changed.
func (j *job) meet(info os.FileInfo) (changed bool) {
	it := &j.item
	if info.Size() != it.Size || !info.ModTime().Equal(it.ModTime) {
		j.changed(info.Size(), info.ModTime())
		changed = true
	}
	if changed || j.seen == nil || !os.SameFile(j.seen, info) {
		j.digest = nil
		changed = true
	}
	j.seen = info
	return changed
}

// look records what the job's file is before its request waits for its turn, and
// returns its Content-Digest where one is sent along. A file that changes all the time has
// none: it is read when its turn has come.
func (r *run) look(ctx context.Context, j *job) (digest string, err error) {
	for range maxLooks {
		info, err := os.Stat(j.item.Path)
		if err != nil {
			return "", unreadable(err)
		}
		j.meet(info)
		if !r.Digest {
			return "", nil
		}
		digest, err = r.contentDigest(ctx, j, func() (io.ReadCloser, error) { return openItem(j.item) })
		if !errors.Is(err, retry.ErrFileChanged) {
			return digest, err
		}
	}
	return "", nil
}

// maxLooks bounds how often a file is looked at that changes while it is opened or hashed.
const maxLooks = 3

// A lateBody is the body of an item's request. Its file is opened when the request's
// turn has come, so that the file may change until then.
type lateBody struct{ file io.ReadCloser }

// newBody returns the body of the job's next attempt, or of its next redirect.
func (j *job) newBody() (io.ReadCloser, error) {
	j.body = new(lateBody)
	return j.body, nil
}

func (b *lateBody) Read(p []byte) (int, error) {
	if b.file == nil {
		return 0, errors.New("the body is read before its request's turn")
	}
	n, err := b.file.Read(p)
	return n, ours(err)
}

func (b *lateBody) Close() error {
	if b.file == nil {
		return nil
	}
	return ours(b.file.Close())
}

// SyscallConn lets a large file go out by sendfile.
func (b *lateBody) SyscallConn() (syscall.RawConn, error) {
	if c, ok := b.file.(syscall.Conn); ok {
		conn, err := c.SyscallConn()
		return conn, ours(err)
	}
	return nil, errors.ErrUnsupported
}

// Recycle gives back the memory of a small file that was sent.
func (b *lateBody) Recycle(sent filebody.Sent) {
	if f, ok := b.file.(filebody.Recycler); ok {
		f.Recycle(sent)
	}
}

// A largeFile is opened when it is first read: a request that waits for its connection holds no
// file open, of which there may be too few for both.
type largeFile struct {
	*filebody.Large
	opened bool
}

// late returns the body of a file as one whose errors tell its opening from its reading.
func late(body io.ReadCloser) io.ReadCloser {
	if b, ok := body.(*filebody.Large); ok {
		return &largeFile{Large: b}
	}
	return body
}

func (f *largeFile) open() error {
	if f.opened {
		return nil
	}
	switch err := f.Open(); {
	case errors.Is(err, retry.ErrFileChanged):
		return errMoved
	case errors.Is(err, os.ErrClosed): // net/http has ended the attempt
		return err
	case err != nil:
		return &fileError{err: unreadable(err)}
	}
	f.opened = true
	return nil
}

func (f *largeFile) Read(p []byte) (int, error) {
	if err := f.open(); err != nil {
		return 0, err
	}
	return f.Large.Read(p)
}

// SyscallConn lets the file go out by sendfile.
func (f *largeFile) SyscallConn() (syscall.RawConn, error) {
	if err := f.open(); err != nil {
		return nil, err
	}
	return f.Large.SyscallConn()
}

// ours returns the error by which an attempt fails if its file cannot be read on: retry's own would end the call, and the
// system's would look like one of the connection.
func ours(err error) error {
	switch {
	case errors.Is(err, retry.ErrFileChanged):
		return errChanged
	case errors.As(err, new(*fs.PathError)) && !errors.Is(err, os.ErrClosed) && fileFault(err) == nil: // net/http closes it where it ends the attempt
		return &fileError{err: unreadable(err), begun: true}
	}
	return err
}

// open opens the file of a request whose turn has come, and returns the request as it
// is to be sent: its length, digest and key are those of the file that was opened.
func (r *run) open(req *http.Request, j *job) (*http.Request, error) {
	out := req.WithContext(req.Context())
	out.Body = nil
	if j.item.Size >= large {
		r.moving.forget(j) // which reads the item's size
	}
	j.fault = nil
	digest, changed, err := r.openLooking(out, j)
	if err != nil {
		return nil, &fileError{err: err}
	}
	reopen := out.GetBody
	if digest != "" || changed && r.Idempotency.Header != "" {
		out.Header = req.Header.Clone() // others may share it
		if digest != "" {
			out.Header.Set("Content-Digest", digest)
		}
		if err := r.setKey(j, out.Header); err != nil {
			out.Body.Close()
			return nil, err
		}
	}
	if r.Form != "" {
		first, again := out.Body, reopen
		open, length, _ := source.FormBody(r.Form, j.item, func() (io.ReadCloser, error) {
			if f := first; f != nil {
				first = nil
				return late(f), nil
			}
			f, err := again()
			return late(f), err
		})
		out.Body, _ = open() // it has the file
		out.ContentLength, reopen = length, open
	}
	if out.ContentLength == 0 { // no other body has that length for net/http
		out.GetBody = func() (io.ReadCloser, error) { return http.NoBody, nil }
		return out, nil
	}
	j.body.file = late(out.Body)
	small, inMemory := out.Body.(*filebody.Small)
	if out.Body = req.Body; inMemory && req.Body == io.ReadCloser(j.body) {
		out.Body = small.InMemory()
	}
	if out.GetBody = nil; req.GetBody == nil { // net/http must not send it once more by itself
		return out, nil
	}
	out.GetBody = func() (io.ReadCloser, error) {
		body, err := req.GetBody()
		if err != nil {
			return nil, err
		}
		file, err := reopen()
		if err != nil {
			return nil, ours(err)
		}
		j.body.file = late(file)
		return body, nil
	}
	return out, nil
}

// openLooking sets the request's body to the job's file, records what that is now, and reports whether it has changed. If
// its digest is sent along and not known yet, it returns the Content-Digest. A file that changes while its digest is
// computed is opened again.
func (r *run) openLooking(out *http.Request, j *job) (digest string, changed bool, err error) {
	for range maxLooks {
		info, err := openBody(out, j.item.Path, j.seen)
		if err != nil {
			return "", false, unreadable(err)
		}
		changed = j.meet(info) || changed
		if !r.Digest || j.digest != nil {
			return "", changed, nil
		}
		digest, err = r.contentDigest(out.Context(), j, out.GetBody)
		if err == nil {
			return digest, changed, nil
		}
		out.Body.Close()
		if !errors.Is(err, retry.ErrFileChanged) {
			return "", false, err
		}
	}
	return "", false, errChanging
}

// openBody sets the request's body to the file at path, which is read when it returns, if it is
// small, and returns what it is. It was seen last when its request began to wait for its turn.
func openBody(req *http.Request, path string, seen os.FileInfo) (info os.FileInfo, err error) {
	for range maxLooks {
		if info, err = filebody.Set(req, path, seen); !errors.Is(err, retry.ErrFileChanged) {
			return info, err
		}
		seen = nil
	}
	return nil, errChanging
}

// changedInPlace reports whether a file that goes out by sendfile was written to before
// its answer came: the kernel may have sent the new bytes. One that was replaced or removed
// meanwhile went out as it was opened.
func (j *job) changedInPlace() bool {
	if _, isFile := j.body.file.(syscall.Conn); !isFile {
		return false
	}
	info, err := os.Stat(j.item.Path)
	return err == nil && os.SameFile(info, j.seen) && (info.Size() != j.item.Size || !info.ModTime().Equal(j.item.ModTime))
}
