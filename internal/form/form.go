// Package form writes multipart/form-data bodies (RFC 7578), as curl and browsers do.
package form

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/penstock/penstock/internal/sequence"
)

// A Boundary separates the parts of a form.
type Boundary string

// NewBoundary returns the boundary of a seed, which must hold something that those who write what
// is sent cannot know: otherwise they could forge further fields.
func NewBoundary(seed string) Boundary {
	id := sha256.Sum256([]byte(seed))
	return Boundary(hex.EncodeToString(id[:24]))
}

// ContentType returns the form's media type.
func (b Boundary) ContentType() string { return "multipart/form-data; boundary=" + string(b) }

// A Head is what a form says of a part before its content.
type Head struct {
	Name     string // of the field
	IsFile   bool   // it has a Filename
	Filename string
	Type     string // the media type; not sent if empty
}

// AppendHead appends the beginning of a part. If it is not the first, it ends the one before.
func (b Boundary) AppendHead(dst []byte, h Head, first bool) []byte {
	if !first {
		dst = append(dst, "\r\n"...)
	}
	dst = append(append(append(dst, "--"...), b...), "\r\nContent-Disposition: form-data; name="...)
	dst = appendQuoted(dst, h.Name)
	if h.IsFile {
		dst = append(dst, "; filename="...)
		dst = appendQuoted(dst, strings.ToValidUTF8(h.Filename, "\ufffd"))
	}
	if h.Type != "" {
		dst = append(append(dst, "\r\nContent-Type: "...), h.Type...)
	}
	return append(dst, "\r\n\r\n"...)
}

// AppendEnd appends what comes after the last part.
func (b Boundary) AppendEnd(dst []byte) []byte {
	return append(append(append(dst, "\r\n--"...), b...), "--\r\n"...)
}

// appendQuoted escapes as the WHATWG's standard of HTML says. A backslash at the end is escaped as
// well: some servers would take it to escape the quote behind it.
func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			dst = append(dst, "%22"...)
		case c == '\r':
			dst = append(dst, "%0D"...)
		case c == '\n':
			dst = append(dst, "%0A"...)
		case c == '\\' && i == len(s)-1:
			dst = append(dst, "%5C"...)
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// A Form is a form with one file, without that file's content. It does not change.
type Form struct {
	head, tail  []byte
	ContentType string // of the body, with its boundary
}

// New returns a form with the given fields and, behind them, a file of the given path in the named
// field. The seed is that of [NewBoundary].
func New(seed, field, path string, fields url.Values) Form {
	b := NewBoundary(seed)
	var head []byte
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		for _, value := range fields[key] {
			head = append(b.AppendHead(head, Head{Name: key}, len(head) == 0), value...)
		}
	}
	name := filepath.Base(path)
	head = b.AppendHead(head, Head{field, true, name, ContentType(name)}, len(head) == 0)
	return Form{head, b.AppendEnd(nil), b.ContentType()}
}

// Length returns the length of the form with a content of the given size.
func (f Form) Length(size int64) int64 { return int64(len(f.head)) + size + int64(len(f.tail)) }

// Body returns the form with that content.
func (f Form) Body(content io.ReadCloser) *sequence.Body {
	return sequence.New(sequence.Piece{Text: f.head}, sequence.Piece{Content: content},
		sequence.Piece{Text: f.tail})
}
