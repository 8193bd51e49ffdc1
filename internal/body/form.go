package body

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"mime/multipart"
	"path/filepath"
	"strings"
	"sync"

	"github.com/penstock/penstock/internal/item"
)

// A form is a multipart/form-data body (RFC 7578) with one part: an item's content. All bodies of
// an item have the same head and tail for as long as the process lives.
type form struct {
	head, tail  string
	contentType string // must win over a Content-Type in the item's Header
}

func newForm(field string, it *item.Item) form {
	// A boundary that can be worked out from the item would let the file's author forge further
	// fields.
	id := sha256.Sum256([]byte(boundaryKey() + it.Method + " " + it.URL + " " + it.Path))
	boundary := hex.EncodeToString(id[:24])
	name := strings.ToValidUTF8(filepath.Base(it.Path), "\ufffd")
	return form{
		head: "--" + boundary + "\r\n" +
			"Content-Disposition: " + multipart.FileContentDisposition(field, name) + "\r\n" +
			"Content-Type: " + ContentType(name) + "\r\n\r\n",
		tail:        "\r\n--" + boundary + "--\r\n",
		contentType: "multipart/form-data; boundary=" + boundary,
	}
}

var boundaryKey = sync.OnceValue(rand.Text)

// length returns the length of the form with a content of the given size.
func (f form) length(size int64) int64 { return int64(len(f.head)) + size + int64(len(f.tail)) }

// body returns the form with that content. The content is closed, which fails if it has changed,
// before the body's last bytes are given out: the server never gets a whole body of a file that
// changed.
func (f form) body(content io.ReadCloser) io.ReadCloser {
	return &formBody{head: f.head, tail: f.tail, content: content,
		close: sync.OnceValue(content.Close)}
}

// A formBody is read by one goroutine; Close may come from another meanwhile, as net/http does it.
type formBody struct {
	head, tail string // what is still to be given out
	content    io.Reader
	ended      bool // the content ended as it should
	err        error
	close      func() error
}

func (b *formBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n := copy(p, b.head)
	b.head = b.head[n:]
	if n > 0 || len(p) == 0 {
		return n, nil
	}
	if !b.ended {
		n, b.err = b.content.Read(p)
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
func (b *formBody) Close() error { return b.close() }
