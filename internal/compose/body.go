package compose

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"sync"

	"github.com/penstock/penstock/internal/filebody"
	"github.com/penstock/penstock/internal/form"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/sequence"
	"github.com/penstock/penstock/internal/template"
)

// A Body is the body of an item's requests as it is sent.
type Body struct {
	content  *Content
	boundary form.Boundary // of a form
	state    *state
	plan     plan
}

// Boundary returns the boundary of an item's forms, as long as the process lives; empty if they are
// none. The item's method, URL and path distinguish it.
func (c *Content) Boundary(it *item.Item) form.Boundary {
	if !c.template.IsForm() {
		return ""
	}
	return form.NewBoundary(boundaryKey() + it.Method + " " + it.URL + " " + it.Path)
}

// boundaryKey is what nobody else knows of a boundary.
var boundaryKey = sync.OnceValue(rand.Text)

// ContentType returns the media type of the bodies.
func (c *Content) ContentType(b form.Boundary) string {
	if c.template.IsForm() {
		return b.ContentType()
	}
	return c.template.typ
}

// IsForm reports whether the bodies are forms, whose media type is not to be replaced.
func (c *Content) IsForm() bool { return c.template.IsForm() }

// Body returns the body of files that were seen, by [Content.Stat] or [Content.Open].
func (c *Content) Body(
	seen fs.FileInfo, values template.Values, boundary form.Boundary,
) (*Body, error) {
	s, ok := seen.(*state)
	if !ok {
		return nil, errors.New("the content was not looked at")
	}
	p, err := c.plan(values, boundary)
	return &Body{c, boundary, s, p}, err
}

// Length returns the length of the body.
func (b *Body) Length() int64 { return b.plan.length(b.state) }

// Open opens the body. If a file is no longer what was seen, it fails with [item.ErrChanged].
func (b *Body) Open(ctx context.Context) (_ io.ReadCloser, err error) {
	if len(b.plan.pieces) == 0 || b.Length() == 0 {
		return sequence.Bytes(b.plan.text), nil
	}
	pieces := make([]sequence.Piece, 0, 2*len(b.plan.pieces)+1)
	from := 0
	for _, p := range b.plan.pieces {
		content, openErr := b.openFile(ctx, p.file)
		if openErr != nil {
			for _, p := range pieces {
				if p.Content != nil {
					p.Content.Close()
				}
			}
			return nil, openErr
		}
		pieces = append(pieces, sequence.Piece{Text: b.plan.text[from:p.at]},
			sequence.Piece{Content: content, Size: b.state.files[p.file].Size(),
				Base64: p.base64})
		from = p.at
	}
	pieces = append(pieces, sequence.Piece{Text: b.plan.text[from:]})
	return sequence.New(pieces...), nil
}

func (b *Body) openFile(ctx context.Context, i int) (io.ReadCloser, error) {
	was, path := b.state.files[i], b.content.files[i]
	body, info, err := filebody.File(path).Open(ctx, was)
	switch {
	case errors.Is(err, item.ErrChanged), err != nil && i == 0 && b.content.isFile:
		return nil, err
	case err != nil:
		return nil, &FileError{path, err}
	case filebody.FingerprintOf(was).Changed(info) || filebody.Replaced(was, info):
		body.Close()
		return nil, item.ErrChanged
	}
	return body, nil
}

// A Text is a content that a manifest's line has in itself.
type Text struct {
	Data []byte // not empty
	Type string // its media type
}

// Stat returns what the text is.
func (t *Text) Stat() (fs.FileInfo, error) {
	sum := sha256.Sum256(append([]byte(t.Type+"\n"), t.Data...))
	return &state{FileInfo: made(len(t.Data)), rest: binary.BigEndian.Uint64(sum[:])}, nil
}

// Open returns the text as a body.
func (t *Text) Open(context.Context, fs.FileInfo) (io.ReadCloser, fs.FileInfo, error) {
	info, err := t.Stat()
	return sequence.Bytes(t.Data), info, err
}

// Held returns how many bytes are in memory.
func (t *Text) Held() int { return len(t.Data) }
