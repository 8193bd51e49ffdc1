// Package form makes multipart/form-data bodies (RFC 7578) with one file, which is streamed.
package form

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"maps"
	"mime/multipart"
	"net/textproto"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// A Form is a body without its file's content. It does not change.
type Form struct {
	head, tail  string
	ContentType string // of the body, with its boundary
}

// New returns a form with the given fields and, behind them, a file of the given path in the named
// field. Forms of one seed have the same boundary. The seed must hold something that those who
// write the file cannot know: otherwise they could forge further fields.
func New(seed, field, path string, fields url.Values) Form {
	id := sha256.Sum256([]byte(seed))
	boundary := hex.EncodeToString(id[:24])
	name := strings.ToValidUTF8(filepath.Base(path), "\ufffd")

	var head strings.Builder // whose writes do not fail
	w := multipart.NewWriter(&head)
	_ = w.SetBoundary(boundary)
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		for _, value := range fields[key] {
			_ = w.WriteField(key, value)
		}
	}
	_, _ = w.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {multipart.FileContentDisposition(field, name)},
		"Content-Type":        {ContentType(name)},
	})
	return Form{head: head.String(), tail: "\r\n--" + boundary + "--\r\n",
		ContentType: w.FormDataContentType()}
}

// Length returns the length of the form with a content of the given size.
func (f Form) Length(size int64) int64 { return int64(len(f.head)) + size + int64(len(f.tail)) }

// Body returns the form with that content. The content is closed before the last bytes are
// returned, and closing fails if it has changed. So a server never gets the whole body of a changed
// file.
func (f Form) Body(content io.ReadCloser) *Body {
	return &Body{Content: content, head: f.head, tail: f.tail, close: sync.OnceValue(content.Close)}
}

// A Body is read by one goroutine; Close may come from another meanwhile, as net/http does it.
type Body struct {
	Content io.ReadCloser

	head, tail string // what is still to be given out
	ended      bool   // the content ended as it should
	err        error
	close      func() error
}

func (b *Body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n := copy(p, b.head)
	b.head = b.head[n:]
	if n > 0 || len(p) == 0 {
		return n, nil
	}
	if !b.ended {
		n, b.err = b.Content.Read(p)
		if b.err == io.EOF {
			b.ended, b.err = true, b.close()
		}
		if n > 0 || b.err != nil || !b.ended {
			return n, b.err
		}
	}
	n = copy(p, b.tail)
	if b.tail = b.tail[n:]; b.tail == "" {
		b.err = io.EOF
	}
	return n, b.err
}

// Close closes the content, once.
func (b *Body) Close() error { return b.close() }
