// Package sequence makes one body of several pieces: bytes, contents such as files, and contents in
// base64. The contents are streamed.
package sequence

import (
	"bytes"
	"cmp"
	"io"
	"net/http"
	"slices"
	"sync"
	"syscall"
)

// A Piece is a part of a body.
type Piece struct {
	Text    []byte        // must not change; not used where there is a Content
	Content io.ReadCloser // read to its end
	Size    int64         // of the Content
	Base64  bool          // the Content goes out in base64
}

// A Body is its pieces, one after another. A content is closed when it was read to its end, before
// anything behind it is returned, and closing fails if the content has changed. So a server never
// gets the whole body of a changed file.
//
// A Body is read by one goroutine; Close may come from another meanwhile, as net/http does it.
type Body struct {
	pieces []Piece
	at     int       // the piece that is being read
	piece  io.Reader // what is left of it
	err    error

	mu     sync.Mutex // protects closed
	closed []bool     // by piece
}

// New returns the body of these pieces.
func New(pieces ...Piece) *Body {
	b := &Body{pieces: pieces, closed: make([]bool, len(pieces)), at: -1}
	b.next()
	return b
}

// Contents returns the contents of all pieces.
func (b *Body) Contents() (contents []io.ReadCloser) {
	for _, p := range b.pieces {
		if p.Content != nil {
			contents = append(contents, p.Content)
		}
	}
	return contents
}

// next begins the next piece.
func (b *Body) next() {
	if b.at++; b.at == len(b.pieces) {
		b.err = io.EOF
		return
	}
	switch p := b.pieces[b.at]; {
	case p.Content == nil:
		b.piece = &text{p.Text}
	case p.Base64:
		b.piece = &encoder{from: p.Content}
	default:
		b.piece = p.Content
	}
}

// Read fills p as far as there is something left: each piece by itself would go out in a write of
// its own.
func (b *Body) Read(p []byte) (n int, err error) {
	for n < len(p) && b.err == nil {
		m, err := b.piece.Read(p[n:])
		n += m
		switch {
		case err == io.EOF:
			if b.err = b.close(b.at); b.err == nil {
				b.next()
			}
		case err != nil:
			b.err = err
		case m == 0:
			return n, nil // as a reader may that has nothing just now
		}
	}
	if n == len(p) {
		return n, nil
	}
	return n, b.err
}

// SendsFiles reports whether the body has files that the system can send by itself.
func (b *Body) SendsFiles() bool { return slices.ContainsFunc(b.pieces, Piece.isFile) }

// isFile reports whether the system can send the piece by itself: package net takes whatever is a
// syscall.Conn.
func (p Piece) isFile() bool {
	_, ok := p.Content.(syscall.Conn)
	return ok && !p.Base64
}

// SendTo writes the body, which must not have been read, if it has at most so many bytes. It lets
// w read files, so that they go out by sendfile.
func (b *Body) SendTo(w io.Writer, most int64) (n int64, ok bool, err error) {
	from, canSend := w.(io.ReaderFrom)
	if !canSend || !b.SendsFiles() || b.length() > most {
		return 0, false, nil
	}
	for b.err == nil {
		var m int64
		switch p := b.pieces[b.at]; {
		case p.Content == nil:
			var written int
			written, err = w.Write(p.Text)
			m = int64(written)
		case p.isFile():
			if m, err = from.ReadFrom(&io.LimitedReader{R: p.Content, N: p.Size}); m < p.Size {
				err = cmp.Or(err, io.ErrUnexpectedEOF) // unless its closing says why
			}
		default:
			m, err = copyTo(w, b.piece)
		}
		n += m
		closeErr := b.close(b.at)
		if err == nil || err == io.ErrUnexpectedEOF {
			err = cmp.Or(closeErr, err)
		}
		if b.err = err; err == nil {
			b.next()
		}
	}
	return n, true, err
}

// length returns the length of the whole body.
func (b *Body) length() (n int64) {
	for _, p := range b.pieces {
		switch {
		case p.Content == nil:
			n += int64(len(p.Text))
		case p.Base64:
			n += Base64Len(p.Size)
		default:
			n += p.Size
		}
	}
	return n
}

// copyTo is io.Copy by Write alone.
func copyTo(w io.Writer, r io.Reader) (int64, error) {
	buf := buffers.Get().(*buffer)
	defer buffers.Put(buf)
	return io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, buf.out[:])
}

// Close closes the contents that are not closed yet.
func (b *Body) Close() (err error) {
	for i := range b.pieces {
		if closeErr := b.close(i); err == nil {
			err = closeErr
		}
	}
	return err
}

// close closes a piece, once.
func (b *Body) close(i int) error {
	b.mu.Lock()
	was := b.closed[i]
	b.closed[i] = true
	b.mu.Unlock()
	if was || b.pieces[i].Content == nil {
		return nil
	}
	return b.pieces[i].Content.Close()
}

type text struct{ left []byte }

func (t *text) Read(p []byte) (int, error) {
	n := copy(p, t.left)
	if t.left = t.left[n:]; len(t.left) == 0 {
		return n, io.EOF
	}
	return n, nil
}

// Bytes returns a body of bytes, which must not change.
func Bytes(b []byte) io.ReadCloser {
	if len(b) == 0 { // with any other body, a length of 0 means "not known" to net/http
		return http.NoBody
	}
	m := new(Memory)
	m.Reset(b)
	return m
}

// A Memory is a body in memory.
type Memory struct{ bytes.Reader }

// Close does nothing.
func (m *Memory) Close() error { return nil }

// InMemory returns the body as net/http knows it best: it sends a header together with the body
// only where it can see that the body is in memory.
func (m *Memory) InMemory() io.ReadCloser { return io.NopCloser(&m.Reader) }
