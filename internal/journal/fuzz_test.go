package journal

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/test"
)

// Whatever is in the files, a journal opens and works, or fails with an error that names it.
func FuzzOpen(f *testing.F) {
	dir := f.TempDir()
	path := filepath.Join(dir, "seed.db")
	j := mustOpen(f, path)
	for i := range uint64(30) {
		it := full(i)
		it.Error = strings.Repeat("e", int(i*i)) // some of it on overflow pages
		mustPut(f, j, it)
	}
	read := func(name string) []byte {
		data, err := os.ReadFile(name)
		test.OK(f, err)
		return data
	}
	early, wal := read(path), read(path+"-wal")
	mustClose(f, j)
	seed := read(path)
	f.Add(seed, []byte(nil), uint32(0), []byte(nil))
	f.Add(early, wal, uint32(0), []byte(nil))
	f.Add(early, wal[:len(wal)/2], uint32(0), []byte(nil))
	f.Add(seed, wal, uint32(0), []byte(nil))
	f.Add(seed[:len(seed)/2], []byte(nil), uint32(0), []byte(nil))
	f.Add([]byte(nil), []byte(nil), uint32(0), []byte(nil))
	f.Add([]byte("SQLite format 3\x00"), []byte("x"), uint32(0), []byte(nil))
	for at := uint32(0); at < uint32(len(seed)); at += 4001 {
		f.Add(seed, []byte(nil), at, []byte("\xff\x00\x10\x05"))
	}
	for at := uint32(16); at < 112; at += 12 { // the header of the file and of its first page
		f.Add(seed, []byte(nil), at, []byte("\x7f\xff"))
	}

	f.Fuzz(func(t *testing.T, data, wal []byte, at uint32, patch []byte) {
		if len(data) > 0 {
			data = append([]byte(nil), data...)
			copy(data[int(at)%len(data):], patch)
		}
		path := filepath.Join(t.TempDir(), "j.db")
		test.OK(t, os.WriteFile(path, data, 0o600))
		if len(wal) > 0 {
			test.OK(t, os.WriteFile(path+"-wal", wal, 0o600))
		}
		check := func(what string, err error) {
			var e *Error
			if err != nil && (!errors.As(err, &e) || !strings.Contains(err.Error(), path)) {
				t.Errorf("%s: %v", what, err)
			}
		}
		look := func() {
			r, err := OpenReader(path)
			check("OpenReader", err)
			if err != nil {
				return
			}
			_, err = r.Info()
			check("Info", err)
			_, err = r.Runs()
			check("Runs", err)
			for _, err := range r.Items(0) {
				check("Items", err)
			}
			check("Close", r.Close())
		}
		look()
		j, err := Open(t.Context(), Options{Path: path})
		check("Open", err)
		if err == nil {
			var rows int64
			for _, n := range j.Earlier().Counts {
				rows += n
			}
			if rows < 0 || rows > int64(len(data)+len(wal)) {
				t.Errorf("%d rows", rows)
			}
			for id := range uint64(50) {
				j.Claim(id, Fingerprint{})
				_, err := j.Load(id)
				if !errors.Is(err, os.ErrNotExist) {
					check("Load", err)
				}
				j.Put(full(id), func(err error) { check("Put", err) })
			}
			check("Begin", j.Begin(t.Context(), full(1)))
			check("Close", j.Close(0))
		}
		look()
		_, err = Forget(path, func(it Item) bool { return it.State == item.Failed })
		check("Forget", err)
	})
}

// Any bytes come back as they were.
func FuzzItem(f *testing.F) {
	path := filepath.Join(f.TempDir(), "j.db")
	j := mustOpen(f, path)
	f.Add("a.json", "a.json", "https://h/a", "PUT", "", "", []byte(nil), uint64(1), int64(5))
	f.Add("\xff\xfe/../\n\x00x", strings.Repeat("é", 2048), "https://h/%00?***", "P\x00ST", `"k"`,
		"500: \x1b[31m", []byte{0}, uint64(1<<63), int64(-1))
	f.Fuzz(func(t *testing.T, p, rel, url, method, key, failure string, digest []byte, id uint64,
		n int64) {
		it := full(id)
		it.Path, it.Rel, it.URL, it.Method, it.Key, it.Error = p, rel, url, method, key, failure
		it.Digest, it.Size, it.HTTPStatus, it.Attempts = digest, n, int(int32(n)), int(int32(n>>32))
		if len(digest) == 0 {
			it.Digest = nil
			it.Size = int64(len(p)) ^ n ^ 1 // a nil digest leaves that of the same fingerprint
		}
		it.Doubt = n%2 == 0
		mustPut(t, j, Item{ID: id, Fingerprint: Fingerprint{Size: ^it.Size}, State: item.Deferred})
		mustPut(t, j, it)
		got, err := j.Load(id)
		test.OK(t, err)
		equal(t, "item", got, it)
		if c := j.Claim(id, it.Fingerprint); c.State != item.Failed || !c.Same {
			t.Errorf("%+v", c)
		}
	})
}
