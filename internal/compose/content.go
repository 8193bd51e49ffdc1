package compose

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/penstock/penstock/internal/filebody"
	"github.com/penstock/penstock/internal/form"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/sequence"
	"github.com/penstock/penstock/internal/template"
)

// A Content is the content of an item that is sent in a body of a Template. As an [item.Content] it
// is the item's own file, or without one the text of the body; the other files that are sent are a
// part of its [item.Fingerprint]. It is immutable.
type Content struct {
	template *Template
	files    []string // each once; the item's own is the first
	isFile   bool     // the item has a file of its own
	fields   []int    // of a form, which file each field holds; -1 if none
	text     []byte   // of an item without a file: all but the files, without what changes
}

// Content returns the content of an item. Relative paths that a field of the item's line gives are
// relative to folder. It opens nothing.
func (t *Template) Content(it *item.Item, folder string) (*Content, error) {
	c := &Content{template: t, isFile: !it.NoFile()}
	if c.isFile {
		c.files = []string{it.Path}
	} else if err := t.checkNoFile(it); err != nil {
		return nil, err
	}
	for _, f := range t.fields {
		file := -1
		if f.kind == itemField {
			file = 0
		} else if f.path() != nil {
			path, err := f.filePath(it, folder)
			if err != nil {
				return nil, err
			}
			if file = slices.Index(c.files, path); file < 0 {
				file = len(c.files)
				c.files = append(c.files, path)
			}
		}
		c.fields = append(c.fields, file)
	}
	p, err := c.plan(unfilled(it), "")
	if err != nil {
		return nil, err
	}
	if !c.isFile {
		c.text = p.text
	}
	return c, nil
}

// ErrNoFile is in the error of an item without a file whose body is to have something of one.
var ErrNoFile = errors.New("the item has no file")

func (t *Template) checkNoFile(it *item.Item) error {
	if t.HoldsFile() {
		return ErrNoFile
	}
	for _, use := range t.Uses() {
		for _, name := range use.Vars {
			if _, own := it.Fields[name]; !own && template.Volatile(name) && name != "uuid" {
				return ErrNoFile
			}
		}
	}
	return nil
}

// unfilled returns the values of an item, with those that depend on its content left as they are
// written.
func unfilled(it *item.Item) template.Values {
	return func(name string) (template.Value, bool) {
		if _, own := it.Fields[name]; !own && template.Volatile(name) {
			return template.Value{Text: "{" + name + "}"}, true
		}
		return it.Value(name)
	}
}

// filePath returns the path of a field's file. {path} and {dir} are those of the item's file as it
// was named, which can be opened.
func (f field) filePath(it *item.Item, folder string) (string, error) {
	text, _, err := f.path().Expand(nil, func(name string) (template.Value, bool) {
		v, ok := it.Fields[name]
		switch {
		case ok:
			return v, true
		case name == "path":
			return template.Value{Text: it.Path}, !it.NoFile()
		case name == "dir":
			return template.Value{Text: filepath.Dir(it.Path)}, !it.NoFile()
		}
		return it.Value(name)
	})
	if err != nil {
		return "", fieldError(f.name, err)
	}
	path := filepath.FromSlash(string(text))
	if _, own := it.Fields[f.leading]; own && !filepath.IsAbs(path) {
		path = filepath.Join(folder, path)
	}
	if path == it.Path || filepath.Clean(path) == filepath.Clean(it.Path) {
		return it.Path, nil
	}
	return path, nil
}

// A state is what the files of a content are. As a [fs.FileInfo] it is the item's own.
type state struct {
	fs.FileInfo
	files []fs.FileInfo
	rest  uint64
}

// Rest returns a hash of the files but the item's own file; see [item.Fingerprint].
func (s *state) Rest() uint64 { return s.rest }

// Replaced reports whether there is another file now in the place of one of them.
func (s *state) Replaced(now fs.FileInfo) bool {
	n, ok := now.(*state)
	if !ok || len(n.files) != len(s.files) {
		return true
	}
	for i, was := range s.files {
		if filebody.Replaced(was, n.files[i]) {
			return true
		}
	}
	return false
}

// Stat returns what the files are now.
func (c *Content) Stat() (fs.FileInfo, error) {
	files, err := c.stat(0)
	if err != nil {
		return nil, err
	}
	return c.state(files), nil
}

// Complete returns the fingerprint of an item by that of its own file, if it has one.
func (c *Content) Complete(f item.Fingerprint) (item.Fingerprint, error) {
	first := 0
	if c.isFile {
		first = 1
	}
	files, err := c.stat(first)
	if err != nil {
		return f, err
	}
	if !c.isFile {
		f.Size = c.size(files)
	}
	f.Rest = rest(files[first:])
	return f, nil
}

// stat looks at the files from the given one on.
func (c *Content) stat(first int) (files []fs.FileInfo, err error) {
	files = make([]fs.FileInfo, len(c.files))
	for i := first; i < len(files); i++ {
		files[i], err = os.Stat(c.files[i])
		if i > 0 || !c.isFile {
			err = checkRegular(c.files[i], files[i], err)
		}
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

// checkRegular returns an error if a file that is not the item's own cannot be sent.
func checkRegular(path string, info fs.FileInfo, err error) error {
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is no regular file")
	}
	if err != nil {
		return &FileError{path, err}
	}
	return nil
}

func (c *Content) state(files []fs.FileInfo) *state {
	if c.isFile {
		return &state{files[0], files, rest(files[1:])}
	}
	return &state{made(c.size(files)), files, rest(files)}
}

// size returns the size of what an item sends that has no file of its own.
func (c *Content) size(files []fs.FileInfo) int64 {
	size := int64(len(c.text))
	for _, info := range files {
		size += info.Size()
	}
	return size
}

// rest returns a hash of the files that are not the item's own; 0 if there are none. The template
// is no part of it, as that may have a date or a secret: with another one, items stay what they
// are.
func rest(others []fs.FileInfo) uint64 {
	if len(others) == 0 {
		return 0
	}
	b := make([]byte, 0, 256)
	for _, info := range others {
		b = append(append(b, info.Name()...), 0)
		b = binary.BigEndian.AppendUint64(b, uint64(info.Size()))
		b = binary.BigEndian.AppendUint64(b, uint64(info.ModTime().UnixNano()))
	}
	sum := sha256.Sum256(b)
	return binary.BigEndian.Uint64(sum[:])
}

// Open opens the item's own file, or without one the text of the body.
func (c *Content) Open(ctx context.Context, seen fs.FileInfo) (io.ReadCloser, fs.FileInfo, error) {
	s, ok := seen.(*state)
	if !ok {
		now, err := c.Stat()
		if err != nil {
			return nil, nil, err
		}
		s = now.(*state)
	}
	if !c.isFile {
		return sequence.Bytes(c.text), s, nil
	}
	body, info, err := filebody.File(c.files[0]).Open(ctx, s.files[0])
	if err != nil {
		return nil, nil, err
	}
	files := slices.Clone(s.files)
	files[0] = info
	return body, c.state(files), nil
}

// Held returns how many bytes are in memory.
func (c *Content) Held() int { return len(c.text) }

// made is what a content is that is no file, by its size.
type made int64

func (m made) Name() string     { return "" }
func (m made) Size() int64      { return int64(m) }
func (made) Mode() fs.FileMode  { return 0 }
func (made) ModTime() time.Time { return time.Time{} }
func (made) IsDir() bool        { return false }
func (made) Sys() any           { return nil }

// A plan is a body whose files are not open yet.
type plan struct {
	text   []byte
	pieces []piece
}

// A piece is a file within a plan.
type piece struct {
	at     int // where it is in the text
	file   int
	base64 bool
}

// plan returns a body, with values in place.
func (c *Content) plan(values template.Values, boundary form.Boundary) (p plan, err error) {
	if t := c.template.text; t != nil {
		return p, p.expand(t, values)
	}
	for i, f := range c.template.fields {
		head, err := f.head(c, i, values)
		if err == nil {
			p.text = boundary.AppendHead(p.text, head, i == 0)
			if c.fields[i] >= 0 {
				p.pieces = append(p.pieces, piece{at: len(p.text), file: c.fields[i]})
			} else {
				err = p.expand(f.value, values)
			}
		}
		if err != nil {
			return plan{}, fieldError(f.name, err)
		}
	}
	p.text = boundary.AppendEnd(p.text)
	return p, nil
}

// head returns the head of a field, the i-th of a form.
func (f field) head(c *Content, i int, values template.Values) (h form.Head, err error) {
	expand := func(t *template.Template, or string) string {
		if t == nil || err != nil {
			return or
		}
		var text []byte
		text, _, err = t.Expand(nil, values)
		return string(text)
	}
	h = form.Head{Name: f.name, IsFile: f.filename != nil, Filename: expand(f.filename, "")}
	if file := c.fields[i]; file >= 0 && f.kind != textField {
		base := filepath.Base(c.files[file])
		if !h.IsFile {
			h.IsFile, h.Filename = true, base
		}
		if h.Type = form.ContentType(h.Filename); h.Type == form.UnknownType {
			h.Type = form.ContentType(base)
		}
	}
	h.Type = expand(f.typ, h.Type)
	return h, err
}

func (p *plan) expand(t *template.Template, values template.Values) error {
	text, holes, err := t.Expand(p.text, values)
	if err != nil {
		return err
	}
	p.text = text
	for _, at := range holes {
		p.pieces = append(p.pieces, piece{at: at, base64: true}) // of the item's own file
	}
	return nil
}

// length returns the length of a body with files of that state.
func (p plan) length(s *state) int64 {
	n := int64(len(p.text))
	for _, piece := range p.pieces {
		if size := s.files[piece.file].Size(); piece.base64 {
			n += sequence.Base64Len(size)
		} else {
			n += size
		}
	}
	return n
}
