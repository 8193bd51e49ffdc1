package item_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/filebody"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/test"
)

// What is read of an item is what it was when it was made, at its opening and at its closing.
func TestOpen(t *testing.T) {
	for _, size := range []int{0, 5, 100_000} {
		file := filepath.Join(t.TempDir(), "a\nb")
		content := bytes.Repeat([]byte("x"), size)
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Skip("this system has no such names")
		}
		info, err := os.Stat(file)
		test.OK(t, err)
		it := item.Item{Path: file, Fingerprint: item.FingerprintOf(info),
			Content: filebody.File(file)}
		read := func(it item.Item, meanwhile func()) (got []byte, err error) {
			body, err := it.Open(t.Context())
			if err != nil {
				return nil, err
			}
			meanwhile()
			got, err = io.ReadAll(body)
			return got, errors.Join(err, body.Close())
		}
		nothing := func() {}
		if got, err := read(it, nothing); !bytes.Equal(got, content) || err != nil {
			t.Errorf("%d bytes of %d, %v", len(got), size, err)
		}
		other := it
		other.Size++
		if _, err := read(other, nothing); !errors.Is(err, item.ErrChanged) {
			t.Errorf("of another size: %v", err)
		}
		other = it
		other.ModTime = it.ModTime.Add(time.Second)
		if _, err := read(other, nothing); !errors.Is(err, item.ErrChanged) {
			t.Errorf("of another time: %v", err)
		}
		if size > filebody.MaxSmall { // else it was read when it was opened
			got, err := read(it, func() {
				test.Check(t, os.WriteFile(file, make([]byte, 2*size), 0o600))
			})
			if len(got) > size+1<<10 || !errors.Is(err, item.ErrChanged) {
				t.Errorf("grows: %d read, %v", len(got), err)
			}
		}
		test.OK(t, os.Remove(file))
		_, err = read(it, nothing)
		if err = item.ReadError(err); !errors.Is(err, fs.ErrNotExist) ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("gone: %v", err)
		}
		it.Content = filebody.File(filepath.Dir(file))
		if _, err := read(it, nothing); !errors.Is(err, item.ErrChanged) {
			t.Errorf("a directory: %v", err)
		}
	}
}
