// Package digest hashes what is sent, and reads and writes digests in header fields (RFC 9530).
package digest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"io"
	"net/http"
	"sync"

	"github.com/dunglas/httpsfv"

	"github.com/penstock/penstock/internal/filebody"
	"github.com/penstock/penstock/internal/item"
)

var buffers = sync.Pool{New: func() any { return new([128 << 10]byte) }}

// SHA256 returns the SHA-256 of what open gives, as [Hash] reads it.
func SHA256(
	ctx context.Context, open func() (io.ReadCloser, error),
) (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	if err = Hash(ctx, h, open); err == nil {
		h.Sum(sum[:0])
	}
	return sum, err
}

// Hash reads what open gives to its end, and closes it. It fails with ctx's cause, or with what
// opening, reading or closing fails with: the body of an item says at its closing that the content
// has changed.
func Hash(ctx context.Context, h io.Writer, open func() (io.ReadCloser, error)) error {
	body, err := open()
	if err != nil {
		return item.ReadError(err)
	}
	_, err = Read(ctx, h, body)
	err = item.ReadError(cmp.Or(err, body.Close()))
	filebody.Recycle(body)
	return err
}

// Read hashes what is read to its end, and returns its length. It is io.Copy, except that ctx can
// end it and that nothing is allocated. Hashes do not fail.
func Read(ctx context.Context, h io.Writer, r io.Reader) (length int64, err error) {
	buf := buffers.Get().(*[128 << 10]byte)
	defer buffers.Put(buf)
	for ctx.Err() == nil {
		n, err := r.Read(buf[:])
		_, _ = h.Write(buf[:n])
		length += int64(n)
		if err == io.EOF {
			return length, nil
		}
		if err != nil {
			return length, err
		}
	}
	return length, context.Cause(ctx)
}

// Field returns the Content-Digest or Repr-Digest with that SHA-256.
func Field(sum [sha256.Size]byte) string {
	d := httpsfv.NewDictionary()
	d.Add("sha-256", httpsfv.NewItem(sum[:]))
	field, _ := httpsfv.Marshal(d) // bytes can always be written
	return field
}

// In returns what a field such as Repr-Digest says for an algorithm; nil where it says nothing that
// can be read.
func In(h http.Header, field, algorithm string) []byte {
	d, err := httpsfv.UnmarshalDictionary(h[field])
	if err != nil {
		return nil
	}
	m, _ := d.Get(algorithm)
	value, _ := m.(httpsfv.Item)
	digest, _ := value.Value.([]byte)
	return digest
}
