// Package body opens the content of an item when its request's turn has come, so that it may change
// until then: the length and the digest that are sent are those of what was opened. The package
// does not know what else a request carries, nor what becomes of it.
package body

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"sync"
	"syscall"

	"github.com/penstock/penstock/internal/digest"
	"github.com/penstock/penstock/internal/filebody"
	"github.com/penstock/penstock/internal/form"
	"github.com/penstock/penstock/internal/item"
)

// A Body is the body of an item's requests, which are sent one after another.
type Body struct {
	item   *item.Item
	form   string // the field's name; if empty, the content is sent as it is
	digest bool
	seen   fs.FileInfo // what the content was when it was last looked at
	sum    []byte      // its SHA-256, where that is sent along
	last   *lateBody   // of the last attempt
}

// New returns the body of an item's requests. The item's Fingerprint follows its content. If form
// is not empty, it is the name of a form's field, and the content is that. With a digest each
// request has a Content-Digest.
func New(it *item.Item, form string, digest bool) *Body {
	return &Body{item: it, form: form, digest: digest}
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
			if !b.digest {
				return "", nil
			}
			open := func() (io.ReadCloser, error) { return b.item.Open(ctx) }
			field, err := b.contentDigest(ctx, open)
			if !errors.Is(err, item.ErrChanged) {
				return field, err
			}
		}
		return "", nil
	})
}

func (b *Body) looking(look func() (digest string, err error)) (Look, error) {
	was, sum := b.item.Fingerprint, b.sum
	field, err := look()
	l := Look{Changed: !b.item.Equal(was), Digest: field}
	if sum != nil && b.sum != nil {
		l.Changed = !bytes.Equal(sum, b.sum)
	} else {
		l.Alike = l.Changed && b.item.Size == was.Size
	}
	return l, err
}

// maxLooks bounds how often a content is looked at that changes while it is opened or hashed.
const maxLooks = 3

// meet records what the content is now.
func (b *Body) meet(info fs.FileInfo) {
	if b.seen == nil || b.item.Changed(info) || filebody.Replaced(b.seen, info) {
		b.sum = nil
	}
	b.item.Fingerprint = item.FingerprintOf(info)
	b.seen = info
}

// SHA256 returns the content's SHA-256; nil if that is not sent along or not known.
func (b *Body) SHA256() []byte {
	if b == nil {
		return nil
	}
	return b.sum
}

// contentDigest reads the content, records its SHA-256 and returns the Content-Digest of the
// request's body (RFC 9530), which for a form is another.
func (b *Body) contentDigest(
	ctx context.Context, open func() (io.ReadCloser, error),
) (string, error) {
	content, err := digest.SHA256(ctx, open)
	if err != nil {
		return "", err
	}
	sum := content
	if b.form != "" {
		sum, err = digest.SHA256(ctx, func() (io.ReadCloser, error) { return b.wrapped(open()) })
		if err != nil {
			return "", err
		}
	}
	b.sum = content[:]
	return digest.Field(sum), nil
}

// wrapped makes a form of the content if it is sent in one.
func (b *Body) wrapped(content io.ReadCloser, err error) (io.ReadCloser, error) {
	if err != nil || b.form == "" {
		return content, err
	}
	return b.newForm().Body(content), nil
}

// newForm returns the form around the item's content. All bodies of an item have the same for as
// long as the process lives.
func (b *Body) newForm() form.Form {
	it := b.item
	return form.New(boundaryKey()+it.Method+" "+it.URL+" "+it.Path, b.form, it.Path, nil)
}

// boundaryKey is what nobody else knows of a boundary.
var boundaryKey = sync.OnceValue(rand.Text)

// Attach makes b the body of a request, and returns its media type.
func (b *Body) Attach(req *http.Request) (contentType string) {
	req.Body = b.newBody()
	req.GetBody = func() (io.ReadCloser, error) { return b.newBody(), nil }
	req.ContentLength = b.item.Size
	if b.form == "" {
		return form.ContentType(b.item.Path)
	}
	f := b.newForm()
	req.ContentLength = f.Length(b.item.Size)
	return f.ContentType // it must win over a Content-Type in the item's Header
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
	if out.ContentLength = b.item.Size; b.form != "" {
		out.ContentLength = b.newForm().Length(b.item.Size)
	}
	if out.ContentLength == 0 { // no other body has that length for net/http
		out.Body = body
		out.GetBody = func() (io.ReadCloser, error) { return http.NoBody, nil }
		return out, look, nil
	}
	b.last.content, _ = b.wrapped(body, nil)
	small, inMemory := b.last.content.(*filebody.Small)
	if inMemory && req.Body == io.ReadCloser(b.last) {
		out.Body = small.InMemory()
	}
	if out.GetBody = nil; req.GetBody == nil { // net/http must not send it once more by itself
		return out, look, nil
	}
	seen := b.seen
	out.GetBody = func() (io.ReadCloser, error) {
		again, err := req.GetBody()
		if err != nil {
			return nil, err
		}
		if b.last.content, err = b.wrapped(b.reopen(ctx, seen)); err != nil {
			return nil, attemptError(err)
		}
		return again, nil
	}
	return out, look, nil
}

// open opens the content and records what that is now. If its digest is sent along and not known
// yet, it returns the Content-Digest. A content that changes meanwhile is opened again.
func (b *Body) open(ctx context.Context) (body io.ReadCloser, field string, err error) {
	for range maxLooks {
		var info fs.FileInfo
		body, info, err = b.item.Content.Open(ctx, b.seen)
		if errors.Is(err, item.ErrChanged) {
			b.seen = nil
			continue
		}
		if err != nil {
			return nil, "", item.ReadError(err)
		}
		b.meet(info)
		if !b.digest || b.sum != nil {
			return body, "", nil
		}
		again := func() (io.ReadCloser, error) { return b.reopen(ctx, info) }
		field, err = b.contentDigest(ctx, again)
		if err == nil {
			return body, field, nil
		}
		body.Close()
		if !errors.Is(err, item.ErrChanged) {
			return nil, "", err
		}
	}
	return nil, "", errChanging
}

// reopen opens the content once more. If that is no longer what it was when it was seen, it fails
// with [item.ErrChanged].
func (b *Body) reopen(ctx context.Context, seen fs.FileInfo) (io.ReadCloser, error) {
	body, info, err := b.item.Content.Open(ctx, seen)
	if err == nil && (item.FingerprintOf(seen).Changed(info) || filebody.Replaced(seen, info)) {
		body.Close()
		err = item.ErrChanged
	}
	return body, err
}

// ChangedInPlace reports whether a file that goes out by sendfile was written to before its answer
// came: the kernel may have sent the new bytes. One that was replaced or removed meanwhile went out
// as it was opened.
func (b *Body) ChangedInPlace() bool {
	if _, byKernel := b.last.content.(syscall.Conn); !byKernel {
		return false
	}
	info, err := b.item.Content.Stat()
	return err == nil && !filebody.Replaced(b.seen, info) && b.item.Changed(info)
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
