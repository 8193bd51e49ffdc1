package digest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
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

func TestSHA256(t *testing.T) {
	for _, size := range []int{0, 1, 128<<10 - 1, 128 << 10, 128<<10 + 1, 1 << 20} {
		content := bytes.Repeat([]byte{'x', 0, 0xff}, size)[:size]
		for _, wrap := range []func(io.Reader) io.Reader{
			func(r io.Reader) io.Reader { return r }, iotest.HalfReader, iotest.DataErrReader,
		} {
			f := &closing{Reader: wrap(bytes.NewReader(content))}
			sum, err := SHA256(t.Context(), opening(f))
			if err != nil || sum != sha256.Sum256(content) || f.closed != 1 {
				t.Errorf("%d bytes: %x, %v, closed %d times", size, sum, err, f.closed)
			}
		}
	}
}

func TestFails(t *testing.T) {
	broken, changed := errors.New("broken"), errors.New("changed")
	for _, c := range []struct {
		f    closing
		want error
	}{
		{closing{Reader: iotest.ErrReader(broken)}, broken},
		{closing{Reader: io.MultiReader(strings.NewReader("a"), iotest.ErrReader(broken)),
			err: changed}, broken},
		{closing{Reader: strings.NewReader("a"), err: changed}, changed},
	} {
		if sum, err := SHA256(t.Context(), opening(&c.f)); err != c.want || sum != [32]byte{} ||
			c.f.closed != 1 {
			t.Errorf("%x, %v, want %v, closed %d times", sum, err, c.want, c.f.closed)
		}
	}
	fails := func() (io.ReadCloser, error) { return nil, broken }
	if _, err := SHA256(t.Context(), fails); err != broken {
		t.Errorf("not opened: %v", err)
	}
}

// zeros never end.
type zeros struct{ read func() }

func (z zeros) Read(p []byte) (int, error) { z.read(); clear(p); return len(p), nil }

func TestEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	reads := 0
	f := &closing{Reader: zeros{func() {
		if reads++; reads == 3 {
			cancel(enough)
		}
	}}}
	if _, err := SHA256(ctx, opening(f)); err != enough || reads != 3 || f.closed != 1 {
		t.Errorf("%d reads, %v", reads, err)
	}
}

// The examples of RFC 9530, sections 2 and 3 and appendix B.
func TestField(t *testing.T) {
	for content, want := range map[string]string{
		"{\"hello\": \"world\"}\n": "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:",
		"{\"hello\": \"world\"}":   "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:",
		"":                         "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:",
	} {
		if got := Field(sha256.Sum256([]byte(content))); got != want {
			t.Errorf("%q: %s, want %s", content, got, want)
		}
	}
}

func TestIn(t *testing.T) {
	short := sha256.Sum256([]byte("{\"hello\": \"world\"}\n"))
	long := sha512.Sum512([]byte("{\"hello\": \"world\"}\n"))
	const sha256Member = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"
	const sha512Member = "sha-512=:YMAam51Jz/jOATT6/zvHrLVgOYTGFy1d6GJiOHTohq4yP+pgk4vf2aCsyRZOtw8M" +
		"jkM7iw7yZ/WkppmM44T3qg==:"
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
		h := http.Header{"Repr-Digest": c.field}
		if got := In(h, "Repr-Digest", c.algorithm); !bytes.Equal(got, c.want) {
			t.Errorf("%q %s: %x, want %x", c.field, c.algorithm, got, c.want)
		}
	}
}
