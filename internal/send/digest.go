package send

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/http"
	"os"
	"sync"

	"github.com/dunglas/httpsfv"

	"github.com/penstock/penstock/internal/openfiles"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/retry"
)

var hashBuffers = sync.Pool{New: func() any { return new([128 << 10]byte) }}

// digestOf reads a file to its end and returns its SHA-256 and length in bytes.
// It fails with ctx's cause, or with what open, reading or closing fails with: a
// body of the package filebody says at its closing that the file has changed.
func digestOf(ctx context.Context, open func() (io.ReadCloser, error)) (sum [sha256.Size]byte, n int64, err error) {
	h := sha256.New()
	if n, err = hashFile(ctx, h, open); err == nil {
		h.Sum(sum[:0])
	}
	return sum, n, err
}

// hashFile is digestOf for any hash.
func hashFile(ctx context.Context, h hash.Hash, open func() (io.ReadCloser, error)) (n int64, err error) {
	var f io.ReadCloser
	err = openfiles.Patiently(ctx, func() (err error) {
		f, err = open()
		return err
	})
	if err != nil {
		return 0, unreadable(err)
	}
	n, err = hashAll(ctx, h, f)
	return n, unreadable(cmp.Or(err, f.Close()))
}

// unreadable takes a path out of an error, which may have newlines in it: the item
// that fails has it anyway.
func unreadable(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) && !errors.Is(err, retry.ErrFileChanged) {
		return fmt.Errorf("the file cannot be read: %w", at.Err)
	}
	return err
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

// openItem opens an item's file. Unless it is what the item says, then and when it
// is closed, that fails with [retry.ErrFileChanged].
func openItem(it source.Item) (io.ReadCloser, error) {
	info, err := os.Stat(it.Path) // before opening: opening a pipe can block forever
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || changed(it) {
		return nil, retry.ErrFileChanged
	}
	f, err := os.Open(it.Path)
	if err != nil {
		return nil, err
	}
	// A file that grows while it is read would have no end.
	return &itemFile{Reader: io.LimitReader(f, it.Size+1), file: f, item: it}, nil
}

type itemFile struct {
	io.Reader
	file *os.File
	item source.Item
}

func (f *itemFile) Close() error {
	err := f.file.Close()
	if changed(f.item) {
		return retry.ErrFileChanged
	}
	return err
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
