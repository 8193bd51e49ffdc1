package send

import (
	"cmp"
	"context"
	"crypto/sha256"
	"hash"
	"io"
	"net/http"
	"sync"

	"github.com/dunglas/httpsfv"
)

var hashBuffers = sync.Pool{New: func() any { return new([128 << 10]byte) }}

// digestOf reads a file to its end and returns its SHA-256 and length in bytes.
// It fails with ctx's cause, or with what open, reading or closing fails with: a
// body of the package retry says at its closing that the file has changed.
func digestOf(ctx context.Context, open func() (io.ReadCloser, error)) (sum [sha256.Size]byte, n int64, err error) {
	h := sha256.New()
	if n, err = hashFile(ctx, h, open); err == nil {
		h.Sum(sum[:0])
	}
	return sum, n, err
}

// hashFile is digestOf for any hash.
func hashFile(ctx context.Context, h hash.Hash, open func() (io.ReadCloser, error)) (n int64, err error) {
	f, err := open()
	if err != nil {
		return 0, err
	}
	n, err = hashAll(ctx, h, f)
	return n, cmp.Or(err, f.Close())
}

// hashAll is io.Copy, except that ctx can end it and that nothing is allocated.
func hashAll(ctx context.Context, h hash.Hash, r io.Reader) (n int64, err error) {
	buf := hashBuffers.Get().(*[128 << 10]byte)
	defer hashBuffers.Put(buf)
	for ctx.Err() == nil {
		m, err := r.Read(buf[:])
		h.Write(buf[:m])
		n += int64(m)
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
	return n, context.Cause(ctx)
}

// contentDigest returns the field of RFC 9530 for a body with that SHA-256.
func contentDigest(sum [sha256.Size]byte) string {
	d := httpsfv.NewDictionary()
	d.Add("sha-256", httpsfv.NewItem(sum[:]))
	field, _ := httpsfv.Marshal(d) // bytes can always be written
	return field
}

// digestIn returns what a field of RFC 9530, such as Repr-Digest, says for an
// algorithm; nil where it says nothing that can be read.
func digestIn(h http.Header, field, algorithm string) []byte {
	d, err := httpsfv.UnmarshalDictionary(h[field])
	if err != nil {
		return nil
	}
	m, _ := d.Get(algorithm)
	item, _ := m.(httpsfv.Item)
	digest, _ := item.Value.([]byte)
	return digest
}
