// Package body opens the content of an item when its request's turn has come, so that it may change
// until then: the length and the digest that are sent are those of what was opened. The package
// does not know what else a request carries, nor what becomes of it.
package body

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"syscall"

	"github.com/penstock/penstock/internal/compose"
	"github.com/penstock/penstock/internal/filebody"
	"github.com/penstock/penstock/internal/form"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/sequence"
)

// A Body is the body of an item's requests, which are sent one after another.
type Body struct {
	item     *item.Item
	options  Options
	composed *compose.Content // if nil, the item's content is sent as it is
	boundary form.Boundary
	seen     fs.FileInfo   // what the content was when it was last looked at
	sums     sums          // of that
	body     *compose.Body // of that; nil if it is not made yet
	last     *lateBody     // of the last attempt
}

// Options say what is to be known of a content.
type Options struct {
	// ContentDigest has each request sent with a Content-Digest.
	ContentDigest bool

	// Vars are the variables that a request is made with. Digests among them are computed.
	Vars []string

	// UUID is the value of {uuid}.
	UUID string
}

// New returns the body of an item's requests. The item's Fingerprint follows its content.
func New(it *item.Item, o Options) *Body {
	b := &Body{item: it, options: o}
	if c, ok := it.Content.(*compose.Content); ok {
		b.composed, b.boundary = c, c.Boundary(it)
	}
	return b
}

// A Look is what was found out about a content.
type Look struct {
	Changed bool   // it is another one, by its SHA-256 where that was known, else by size and time
	Alike   bool   // it is that by its time alone, and so may be the same
	Digest  string // the body's Content-Digest, if that is sent along and was not known
}

// Look records what the content is before its request waits for its turn. A content that changes
// all the time has no digest yet.
func (b *Body) Look(ctx context.Context) (Look, error) {
	return b.looking(func() (string, error) {
		for range maxLooks {
			info, err := b.item.Content.Stat()
			if err != nil {
				return "", item.ReadError(err)
			}
			b.meet(info)
			field, err := b.digests(ctx)
			if err == nil {
				_, err = b.opener()
			}
			if !errors.Is(err, item.ErrChanged) {
				return field, err
			}
		}
		return "", nil
	})
}

func (b *Body) looking(look func() (digest string, err error)) (Look, error) {
	was, sum := b.item.Fingerprint, b.sums.sha256
	field, err := look()
	l := Look{Changed: !b.item.Equal(was), Digest: field}
	if sum != nil && b.sums.sha256 != nil {
		l.Changed = !bytes.Equal(sum, b.sums.sha256) || b.item.Rest != was.Rest
	} else {
		l.Alike = l.Changed && b.item.Size == was.Size && b.item.Rest == was.Rest
	}
	return l, err
}

// maxLooks bounds how often a content is looked at that changes while it is opened or hashed.
const maxLooks = 3

// meet records what the content is now.
func (b *Body) meet(info fs.FileInfo) {
	if b.seen == info {
		return
	}
	if b.seen == nil || b.item.Changed(info) || item.Replaced(b.seen, info) {
		b.sums = sums{}
	}
	b.item.Fingerprint = item.FingerprintOf(info)
	b.seen, b.body = info, nil
}

// Attach makes b the body of a request, and returns its media type.
func (b *Body) Attach(req *http.Request) (contentType string) {
	req.Body = b.newBody()
	req.GetBody = func() (io.ReadCloser, error) { return b.newBody(), nil }
	req.ContentLength = b.Length()
	switch c := b.item.Content.(type) {
	case *compose.Content:
		return c.ContentType(b.boundary)
	case *compose.Text:
		return c.Type
	}
	return form.ContentType(b.item.Path)
}

// IsForm reports whether the body is a form. Its media type must win over one in the item's Header.
func (b *Body) IsForm() bool { return b.boundary != "" }

// Length returns how long the body is, as far as that is known.
func (b *Body) Length() int64 {
	if b.body != nil {
		return b.body.Length()
	}
	return b.item.Size
}

// newBody returns the body of the next attempt, or of its next redirect.
func (b *Body) newBody() io.ReadCloser {
	b.last = new(lateBody)
	return b.last
}

// Open opens the content of a request whose turn has come, and returns the request with the body
// and length that are to be sent. It fails with a [ReadError].
func (b *Body) Open(req *http.Request) (*http.Request, Look, error) {
	ctx := req.Context()
	var body io.ReadCloser
	look, err := b.looking(func() (field string, err error) {
		body, field, err = b.open(ctx)
		return field, err
	})
	if err != nil {
		return nil, look, &ReadError{Err: err}
	}
	out := req.WithContext(ctx)
	if out.ContentLength = b.Length(); out.ContentLength == 0 {
		out.Body = body // no other body has that length for net/http
		out.GetBody = func() (io.ReadCloser, error) { return http.NoBody, nil }
		return out, look, nil
	}
	b.last.content = body
	memory, inMemory := body.(interface{ InMemory() io.ReadCloser })
	if inMemory && req.Body == io.ReadCloser(b.last) {
		out.Body = memory.InMemory()
	}
	if out.GetBody = nil; req.GetBody == nil { // net/http must not send it once more by itself
		return out, look, nil
	}
	open, err := b.opener()
	if err != nil {
		return nil, look, &ReadError{Err: err}
	}
	out.GetBody = func() (io.ReadCloser, error) {
		again, err := req.GetBody()
		if err != nil {
			return nil, err
		}
		if b.last.content, err = open(ctx); err != nil {
			return nil, attemptError(err)
		}
		return again, nil
	}
	return out, look, nil
}

// open opens the body and records what its content is now. If its digest is sent along and not
// known yet, it returns the Content-Digest. A content that changes meanwhile is opened again.
func (b *Body) open(ctx context.Context) (body io.ReadCloser, field string, err error) {
	for range maxLooks {
		body, field, err = b.openOnce(ctx)
		if err == nil || !errors.Is(err, item.ErrChanged) {
			return body, field, item.ReadError(err)
		}
		b.seen = nil
	}
	return nil, "", errChanging
}

func (b *Body) openOnce(ctx context.Context) (body io.ReadCloser, field string, err error) {
	info := b.seen
	switch {
	case b.composed == nil:
		body, info, err = b.item.Content.Open(ctx, b.seen)
	case info == nil:
		info, err = b.composed.Stat()
	}
	if err != nil {
		return nil, "", err
	}
	b.meet(info)
	if !b.known() {
		field, err = b.digests(ctx)
	}
	if b.composed == nil {
		if err != nil {
			body.Close()
		}
		return body, field, err
	}
	if err != nil {
		return nil, "", err
	}
	open, err := b.opener()
	if err == nil {
		body, err = open(ctx)
	}
	return body, field, err
}

// opener returns what opens the body with the content as it was seen. If that has changed, it fails
// with [item.ErrChanged].
func (b *Body) opener() (open func(context.Context) (io.ReadCloser, error), err error) {
	if b.composed == nil {
		seen := b.seen
		return func(ctx context.Context) (io.ReadCloser, error) {
			return b.openContent(ctx, seen)
		}, nil
	}
	if b.body == nil {
		b.body, err = b.composed.Body(b.seen, b.Value, b.boundary)
	}
	return b.body.Open, err
}

// openContent opens the content once more. If it is not what was seen, it fails with
// [item.ErrChanged].
func (b *Body) openContent(ctx context.Context, seen fs.FileInfo) (io.ReadCloser, error) {
	body, info, err := b.item.Content.Open(ctx, seen)
	if err == nil && (item.FingerprintOf(seen).Changed(info) || item.Replaced(seen, info)) {
		body.Close()
		err = item.ErrChanged
	}
	return body, err
}

// ChangedInPlace reports whether a file that goes out by sendfile was written to before its answer
// came: the kernel may have sent the new bytes. One that was replaced or removed meanwhile went out
// as it was opened.
func (b *Body) ChangedInPlace() bool {
	_, byKernel := b.last.content.(syscall.Conn)
	if s, ok := b.last.content.(*sequence.Body); ok {
		byKernel = s.SendsFiles()
	}
	if !byKernel {
		return false
	}
	info, err := b.item.Content.Stat()
	return err == nil && !item.Replaced(b.seen, info) && b.item.Changed(info)
}

// A lateBody is the body of one attempt. Its content is opened when the attempt's turn has come.
type lateBody struct{ content io.ReadCloser }

func (b *lateBody) Read(p []byte) (int, error) {
	if b.content == nil {
		return 0, errors.New("the body is read before its request's turn")
	}
	n, err := b.content.Read(p)
	return n, attemptError(err)
}

func (b *lateBody) Close() error {
	if b.content == nil {
		return nil
	}
	return attemptError(b.content.Close())
}

// SendTo lets large files within a body go out by sendfile.
func (b *lateBody) SendTo(w io.Writer, most int64) (n int64, ok bool, err error) {
	if s, isSequence := b.content.(*sequence.Body); isSequence {
		n, ok, err = s.SendTo(w, most)
	}
	return n, ok, attemptError(err)
}

// SyscallConn lets a large file go out by sendfile.
func (b *lateBody) SyscallConn() (syscall.RawConn, error) {
	if c, ok := b.content.(syscall.Conn); ok {
		conn, err := c.SyscallConn()
		return conn, attemptError(err)
	}
	return nil, errors.ErrUnsupported
}

// Recycle gives back the memory of small files that were sent.
func (b *lateBody) Recycle(filebody.Sent) { filebody.Recycle(b.content) }
