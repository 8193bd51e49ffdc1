package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/penstock/penstock/internal/servers"
	"github.com/penstock/penstock/internal/test"
)

// smallSizes are those of records and thumbnails, one of them empty.
func smallSizes(i int) int { return i * 199 % 16384 }

// always is one size for all.
func always(size int) func(int) int { return func(int) int { return size } }

// content returns size bytes that no other name has.
func content(name string, size int) []byte {
	h := fnv.New64a()
	h.Write([]byte(name))
	var seed [32]byte
	h.Sum(seed[:0])
	b := make([]byte, size)
	rand.NewChaCha8(seed).Read(b)
	return b
}

// writeFiles writes files 0000 … n-1 and returns their directory.
func writeFiles(t *testing.T, n int, size func(i int) int) string {
	t.Helper()
	dir := t.TempDir()
	for i := range n {
		name := fmt.Sprintf("%04d", i)
		test.OK(t, os.WriteFile(filepath.Join(dir, name), content(name, size(i)),
			0o644))
	}
	return dir
}

// sums returns the SHA-256 of each file in dir, by its name.
func sums(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	test.OK(t, err)
	all := make(map[string]string, len(entries))
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		test.OK(t, err)
		sum := sha256.Sum256(b)
		all[e.Name()] = hex.EncodeToString(sum[:])
	}
	return all
}

// stored returns how many files nginx has. It fails the test if one is not as in dir, byte for
// byte.
func stored(t *testing.T, s *servers.Nginx, dir string) (n int) {
	t.Helper()
	err := filepath.WalkDir(s.Files, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		n++
		got, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		want, err := os.ReadFile(filepath.Join(dir, d.Name()))
		if err != nil {
			return err
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes stored, which are not the file's %d", d.Name(), len(got),
				len(want))
		}
		return nil
	})
	test.OK(t, err)
	return n
}
