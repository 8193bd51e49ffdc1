package sequence

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/penstock/penstock/internal/test"
)

// content counts how often it is closed.
type content struct {
	io.Reader
	closed   int
	closeErr error
}

func (c *content) Close() error { c.closed++; return c.closeErr }

// However it is read, a body is its pieces one after another, and each content is closed once.
func TestBody(t *testing.T) {
	readers := []func(io.Reader) io.Reader{
		func(r io.Reader) io.Reader { return r }, iotest.OneByteReader, iotest.HalfReader,
	}
	rapid.Check(t, func(t *rapid.T) {
		var pieces []Piece
		var want []byte
		var contents []*content
		for range rapid.IntRange(0, 6).Draw(t, "pieces") {
			size := rapid.SampledFrom([]int{0, 1, 2, 3, 4, 100, chunk - 1, chunk, chunk + 1,
				3 * chunk}).Draw(t, "size")
			data := bytes.Repeat([]byte{0xfb, 'a', 0}, size/3+1)[:size]
			kind := rapid.IntRange(0, 2).Draw(t, "kind")
			if kind == 0 {
				pieces = append(pieces, Piece{Text: data})
				want = append(want, data...)
				continue
			}
			wrap := rapid.SampledFrom(append(readers, iotest.DataErrReader)).Draw(t, "content")
			c := &content{Reader: wrap(bytes.NewReader(data))}
			contents = append(contents, c)
			pieces = append(pieces, Piece{Content: c, Base64: kind == 2})
			before := len(want)
			if kind == 1 {
				want = append(want, data...)
				continue
			}
			want = base64.StdEncoding.AppendEncode(want, data)
			if n := Base64Len(int64(size)); n != int64(len(want)-before) {
				t.Fatalf("Base64Len(%d) is %d, want %d", size, n, len(want)-before)
			}
		}
		b := New(pieces...)
		got, err := io.ReadAll(rapid.SampledFrom(readers).Draw(t, "body")(b))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes, want %d; %v", len(got), len(want), err)
		}
		if err := errors.Join(b.Close(), b.Close()); err != nil {
			t.Fatal(err)
		}
		for i, c := range contents {
			if c.closed != 1 {
				t.Fatalf("content %d was closed %d times", i, c.closed)
			}
		}
		if n := len(b.Contents()); n != len(contents) {
			t.Fatalf("%d contents, want %d", n, len(contents))
		}
	})
}

// The last bytes of a body must not be returned if a content is not what it was.
func TestBodyOfChangedContent(t *testing.T) {
	changed := errors.New("changed")
	for _, c := range []struct {
		name    string
		content io.Reader
		close   error
	}{
		{"same length", strings.NewReader("12345"), changed},
		{"shorter, and known", strings.NewReader("1234"), changed},
		{"unreadable", iotest.ErrReader(changed), nil},
		{"unreadable at its end",
			io.MultiReader(strings.NewReader("12345"), iotest.ErrReader(changed)), nil},
	} {
		for _, encoded := range []bool{false, true} {
			f := &content{Reader: c.content, closeErr: c.close}
			last := &content{Reader: strings.NewReader("last")}
			b := New(Piece{Text: []byte("head")}, Piece{Content: f, Base64: encoded},
				Piece{Content: last}, Piece{Text: []byte("tail")})
			got, err := io.ReadAll(b)
			if err != changed || !bytes.HasPrefix(got, []byte("head")) ||
				bytes.Contains(got, []byte("t")) {
				t.Errorf("%s, base64 %t: %q, %v", c.name, encoded, got, err)
			}
			if n, again := b.Read(make([]byte, 1)); n != 0 || again != err {
				t.Errorf("%s: then %d, %v", c.name, n, again)
			}
			if b.Close(); f.closed != 1 || last.closed != 1 {
				t.Errorf("%s: closed %d and %d times", c.name, f.closed, last.closed)
			}
		}
	}
}

// What has been encoded of a content that cannot be read on is no whole content: it has no padding.
func TestBase64CutOff(t *testing.T) {
	torn := errors.New("torn")
	r := io.MultiReader(strings.NewReader("12345"), iotest.ErrReader(torn))
	got, err := io.ReadAll(New(Piece{Content: io.NopCloser(r), Base64: true}))
	if err != torn || string(got) != "MTIz" {
		t.Errorf("%q, %v", got, err)
	}
}

// net/http closes a body from another goroutine where it ends a request.
func TestCloseWhileRead(t *testing.T) {
	f := &content{Reader: strings.NewReader(strings.Repeat("x", 1<<20))}
	b := New(Piece{Content: f, Base64: true})
	done := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, b)
		done <- err
	}()
	test.Check(t, b.Close())
	test.Check(t, <-done)
	if f.closed != 1 {
		t.Errorf("closed %d times", f.closed)
	}
}

func TestReadsFillTheBuffer(t *testing.T) {
	b := New(Piece{Text: []byte("head")}, Piece{Content: io.NopCloser(strings.NewReader("content"))},
		Piece{Text: []byte("tail")})
	p := make([]byte, 100)
	if n, _ := b.Read(p); string(p[:n]) != "headcontenttail" {
		t.Errorf("one read returns %q", p[:n])
	}
}
