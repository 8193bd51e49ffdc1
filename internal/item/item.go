// Package item has the types that sources, the engine, the journal and results share. It neither
// makes items nor sends them.
package item

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"

	"github.com/penstock/penstock/internal/filebody"
	"github.com/penstock/penstock/internal/template"
)

// An Item is one thing to send, and where it goes. A file is one kind of item.
type Item struct {
	Line   int         // its line in a manifest, from 1; 0 if there is none
	Path   string      // its name for people; of a file as the user knows it
	Rel    string      // {path}: relative, with slashes on every system
	URL    string      // without credentials; perhaps [template.Incomplete]
	Method string      // upper case
	Header http.Header // mostly nil; shared between items: not to be changed
	Key    string      // the idempotency key that came with it, or empty

	// Fields are those of its line that templates may ask for; shared like Header.
	Fields template.Fields

	// Hash is that of the line of a manifest that names no file. If empty, the item is a file, or
	// one is named for people.
	Hash string

	Fingerprint         // what the content was when the item was made
	Content     Content // what is sent
}

// NoFile reports whether the item comes from a line that names no file.
func (it *Item) NoFile() bool { return it.Hash != "" }

// Content is what an item's requests carry, such as a file. It may change until they are sent.
type Content interface {
	// Stat returns what the content is now.
	Stat() (fs.FileInfo, error)

	// Open returns a body with the content as it is now, and what that is. If seen is not nil, it
	// is what the content was when it was last looked at, and may save another look. If the content
	// is something else by the time that it is read or closed, that fails with [ErrChanged].
	Open(ctx context.Context, seen fs.FileInfo) (io.ReadCloser, fs.FileInfo, error)
}

// Held returns how many bytes of its body an item holds in memory, as lines of a manifest bring
// them along.
func (it *Item) Held() int {
	if c, ok := it.Content.(interface{ Held() int }); ok {
		return c.Held()
	}
	return 0
}

// ErrChanged is in the error of a content that is no longer what it was.
var ErrChanged = filebody.ErrChanged

// Open opens the content. If that is not what the item says, then or when it is closed, that fails
// with [ErrChanged].
func (it *Item) Open(ctx context.Context) (io.ReadCloser, error) {
	info, err := it.Content.Stat()
	if err != nil {
		return nil, err
	}
	if it.Changed(info) {
		return nil, ErrChanged
	}
	body, info, err := it.Content.Open(ctx, info)
	if err == nil && it.Changed(info) {
		body.Close()
		return nil, ErrChanged
	}
	return body, err
}

// ReadError returns the error for a content that cannot be opened or read. It does not name the
// path, which may have newlines in it: the item that fails has it anyway.
func ReadError(err error) error {
	var at *fs.PathError
	switch {
	case errors.Is(err, ErrChanged):
		return ErrChanged
	case errors.As(err, &at):
		return fmt.Errorf("the file cannot be read: %w", at.Err)
	}
	return err
}
