package send

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/retry"
)

// closing is a reader whose Close returns err and is counted.
type closing struct {
	io.Reader
	err    error
	closed int
}

func (c *closing) Close() error { c.closed++; return c.err }

func opening(f io.ReadCloser) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return f, nil }
}

func TestDigestOf(t *testing.T) {
	for _, size := range []int{0, 1, 128<<10 - 1, 128 << 10, 128<<10 + 1, 1 << 20} {
		content := bytes.Repeat([]byte{'x', 0, 0xff}, size)[:size]
		for _, wrap := range []func(io.Reader) io.Reader{
			func(r io.Reader) io.Reader { return r }, iotest.HalfReader, iotest.DataErrReader,
		} {
			f := &closing{Reader: wrap(bytes.NewReader(content))}
			sum, n, err := digestOf(t.Context(), opening(f))
			if err != nil || n != int64(size) || sum != sha256.Sum256(content) || f.closed != 1 {
				t.Errorf("%d bytes: %x, %d, %v, closed %d times", size, sum, n, err, f.closed)
			}
		}
	}
}

func TestDigestOfFails(t *testing.T) {
	broken, changed := errors.New("broken"), errors.New("changed")
	for _, c := range []struct {
		f    closing
		want error
	}{
		{closing{Reader: iotest.ErrReader(broken)}, broken},
		{closing{Reader: io.MultiReader(strings.NewReader("a"), iotest.ErrReader(broken)), err: changed}, broken},
		{closing{Reader: strings.NewReader("a"), err: changed}, changed},
	} {
		if sum, _, err := digestOf(t.Context(), opening(&c.f)); err != c.want || sum != [32]byte{} || c.f.closed != 1 {
			t.Errorf("%x, %v, want %v, closed %d times", sum, err, c.want, c.f.closed)
		}
	}
	if _, _, err := digestOf(t.Context(), func() (io.ReadCloser, error) { return nil, broken }); err != broken {
		t.Errorf("not opened: %v", err)
	}
}

// zeros never end.
type zeros struct{ read func() }

func (z zeros) Read(p []byte) (int, error) { z.read(); clear(p); return len(p), nil }

func TestDigestOfEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	reads := 0
	f := &closing{Reader: zeros{func() {
		if reads++; reads == 3 {
			cancel(enough)
		}
	}}}
	if _, n, err := digestOf(ctx, opening(f)); err != enough || n != 3*128<<10 || f.closed != 1 {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// The bodies that are sent are the ones that are hashed, so that a change in
// between is noticed.
func TestDigestOfChangingFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(name, make([]byte, 100_000), 0o600); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest("PUT", "http://h/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := retry.SetFileBody(req, name); err != nil {
		t.Fatal(err)
	}
	req.Body.Close()
	if sum, n, err := digestOf(t.Context(), req.GetBody); err != nil || n != 100_000 || sum != sha256.Sum256(make([]byte, n)) {
		t.Errorf("%x, %d, %v", sum, n, err)
	}
	_, _, err = digestOf(t.Context(), func() (io.ReadCloser, error) {
		f, err := req.GetBody()
		if err == nil {
			err = os.WriteFile(name, make([]byte, 100_001), 0o600)
		}
		return f, err
	})
	if !errors.Is(err, retry.ErrFileChanged) {
		t.Errorf("changed while it was read: %v", err)
	}
}

// The examples of RFC 9530, sections 2 and 3 and appendix B.
func TestContentDigest(t *testing.T) {
	for content, want := range map[string]string{
		"{\"hello\": \"world\"}\n": "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:",
		"{\"hello\": \"world\"}":   "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:",
		"":                         "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:",
	} {
		if got := contentDigest(sha256.Sum256([]byte(content))); got != want {
			t.Errorf("%q: %s, want %s", content, got, want)
		}
	}
}

func TestDigestIn(t *testing.T) {
	short := sha256.Sum256([]byte("{\"hello\": \"world\"}\n"))
	long := sha512.Sum512([]byte("{\"hello\": \"world\"}\n"))
	const sha256Member = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"
	const sha512Member = "sha-512=:YMAam51Jz/jOATT6/zvHrLVgOYTGFy1d6GJiOHTohq4yP+pgk4vf2aCsyRZOtw8MjkM7iw7yZ/WkppmM44T3qg==:"
	for _, c := range []struct {
		field     []string
		algorithm string
		want      []byte
	}{
		{[]string{sha256Member}, "sha-256", short[:]},
		{[]string{sha256Member + "," + sha512Member}, "sha-512", long[:]},
		{[]string{sha512Member, sha256Member}, "sha-256", short[:]},
		{[]string{"unixsum=30637, " + sha256Member + ";q=1"}, "sha-256", short[:]},
		{[]string{sha256Member}, "sha-512", nil},
		{[]string{"sha-256=RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg="}, "sha-256", nil},
		{[]string{"sha-256=1"}, "sha-256", nil},
		{[]string{"sha-256=(:AA==:)"}, "sha-256", nil},
		{[]string{sha256Member + ","}, "sha-256", nil},
		{[]string{""}, "sha-256", nil},
		{nil, "sha-256", nil},
	} {
		if got := digestIn(http.Header{"Repr-Digest": c.field}, "Repr-Digest", c.algorithm); !bytes.Equal(got, c.want) {
			t.Errorf("%q %s: %x, want %x", c.field, c.algorithm, got, c.want)
		}
	}
}

func TestOpenItem(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a\nb")
	if err := os.WriteFile(name, []byte("hello"), 0o600); err != nil {
		t.Skip("this system has no such names")
	}
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	it := source.Item{Path: name, Size: 5, ModTime: info.ModTime()}
	digest := func(it source.Item, meanwhile func()) (int64, error) {
		_, n, err := digestOf(t.Context(), func() (io.ReadCloser, error) {
			f, err := openItem(it)
			if err == nil {
				meanwhile()
			}
			return f, err
		})
		return n, err
	}
	if n, err := digest(it, func() {}); n != 5 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	other := it
	other.Size = 6
	if _, err := digest(other, func() {}); !errors.Is(err, retry.ErrFileChanged) {
		t.Errorf("of another size: %v", err)
	}
	n, err := digest(it, func() { err = os.WriteFile(name, make([]byte, 1<<20), 0o600) })
	if n > 6 || !errors.Is(err, retry.ErrFileChanged) {
		t.Errorf("grows: %d read, %v", n, err)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if _, err := digest(it, func() {}); !errors.Is(err, os.ErrNotExist) || strings.Contains(err.Error(), "\n") {
		t.Errorf("gone: %v", err)
	}
	it.Path = filepath.Dir(name)
	if _, err := digest(it, func() {}); !errors.Is(err, retry.ErrFileChanged) {
		t.Errorf("a directory: %v", err)
	}
}

// A touching context writes to a file when something looks whether it has ended, as hashing does from time to time.
type touching struct {
	context.Context
	file  string
	times int // how often it still does
}

func (c *touching) Err() error {
	if c.times != 0 {
		c.times--
		info, err := os.Stat(c.file)
		if err == nil {
			err = os.WriteFile(c.file, make([]byte, info.Size()+1), 0o600)
		}
		if err != nil {
			panic(err)
		}
	}
	return c.Context.Err()
}

// A file that changes while its digest is computed is opened once more: nothing of it was sent.
func TestChangedWhileHashed(t *testing.T) {
	for _, form := range []string{"", "file"} {
		for _, size := range []int{1, large} {
			for _, times := range []int{0, 1, -1} {
				t.Run(fmt.Sprintf("form %q, %d bytes, %d times", form, size, times), func(t *testing.T) {
					onFakeTime(t, 1, func(http.ResponseWriter, *http.Request) {}, func(w *world) {
						if err := os.WriteFile(w.firstFile(), make([]byte, size), 0o600); err != nil {
							t.Fatal(err)
						}
						w.method("PUT")
						w.Digest, w.Form = true, form
						r := newRun(w.Options)
						defer func() { _ = r.pool.Drain(w.Context()) }()
						for it := range w.Source.Items() {
							j, _ := r.claim(it)
							req, err := r.request(w.Context(), j)
							if err != nil {
								t.Fatal(err)
							}
							j.digest = nil // as after a change since
							out, err := r.open(req.WithContext(&touching{w.Context(), it.Path, times}), j)
							if times < 0 && (size >= large || form != "") { // else it is in memory by then
								if !errors.As(err, new(*fileError)) || !strings.Contains(err.Error(), "the file changes faster than it can be read: ") {
									t.Errorf("of a file that changes all the time: %v", err)
								}
								continue
							}
							if err != nil {
								t.Fatal(err)
							}
							sum, n, err := digestOf(w.Context(), opening(out.Body))
							if err != nil || n != out.ContentLength {
								t.Errorf("%d bytes, %v, ContentLength %d", n, err, out.ContentLength)
							}
							if got := out.Header.Get("Content-Digest"); got != contentDigest(sum) {
								t.Errorf("Content-Digest: %s, want %s", got, contentDigest(sum))
							}
						}
					})
				})
			}
		}
	}
}
