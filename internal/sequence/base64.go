package sequence

import (
	"encoding/base64"
	"io"
	"sync"
)

// Base64Len returns the length in base64 of a content of the given size.
func Base64Len(size int64) int64 { return (size + 2) / 3 * 4 }

// chunk is how many bytes are encoded at a time. It is a multiple of three, and what comes of it is
// as large as what net/http reads at a time.
const chunk = 24 << 10

type buffer struct {
	in  [chunk]byte
	out [chunk / 3 * 4]byte
}

var buffers = sync.Pool{New: func() any { return new(buffer) }}

// An encoder reads a content in base64.
type encoder struct {
	from io.Reader
	buf  *buffer // nil before the first read, and after the last one
	left []byte  // of buf, encoded and not yet read
	err  error
}

func (e *encoder) Read(p []byte) (int, error) {
	if len(e.left) == 0 && e.err == nil {
		e.fill()
	}
	n := copy(p, e.left)
	if e.left = e.left[n:]; len(e.left) > 0 {
		return n, nil
	}
	if e.err != nil && e.buf != nil {
		buffers.Put(e.buf)
		e.buf = nil
	}
	return n, e.err
}

// fill encodes the next chunk. Padding comes after the last one only.
func (e *encoder) fill() {
	if e.buf == nil {
		e.buf = buffers.Get().(*buffer)
	}
	n, err := io.ReadFull(e.from, e.buf.in[:])
	switch err {
	case io.ErrUnexpectedEOF:
		err = io.EOF
	case nil, io.EOF:
	default:
		n = n / 3 * 3 // so that what is sent is no whole content
	}
	e.err = err
	base64.StdEncoding.Encode(e.buf.out[:], e.buf.in[:n])
	e.left = e.buf.out[:base64.StdEncoding.EncodedLen(n)]
}
