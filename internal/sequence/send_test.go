package sequence

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/test"
)

// A conn notes what it is given, and how.
type conn struct {
	bytes.Buffer
	how  []string
	fail error // of Write
}

func (c *conn) Write(p []byte) (int, error) {
	if c.fail != nil {
		return 0, c.fail
	}
	c.how = append(c.how, "write")
	return c.Buffer.Write(p)
}

func (c *conn) ReadFrom(r io.Reader) (int64, error) {
	c.how = append(c.how, "file")
	return c.Buffer.ReadFrom(r)
}

// A file may have changed when it is closed.
type file struct {
	*os.File
	changed error
}

func (f file) Close() error { return cmp.Or(f.changed, f.File.Close()) }

func opened(t *testing.T, content string, changed error) file {
	t.Helper()
	name := filepath.Join(t.TempDir(), "f")
	test.OK(t, os.WriteFile(name, []byte(content), 0o600))
	f, err := os.Open(name)
	test.OK(t, err)
	return file{f, changed}
}

func TestSendTo(t *testing.T) {
	changed, broken := errors.New("changed"), errors.New("broken")
	for _, c := range []struct {
		name    string
		size    int64 // that the file had, of 4 bytes
		changed error
		fail    error
		want    string
		err     error
	}{
		{"as it was", 4, nil, nil, "head" + "file" + "YWI=" + "tail", nil},
		{"grown, and known", 3, changed, nil, "headfil", changed},
		{"cut short", 5, changed, nil, "headfile", changed},
		{"cut short, and not noticed", 5, nil, nil, "headfile", io.ErrUnexpectedEOF},
		{"connection broken", 4, changed, broken, "", broken},
	} {
		b := New(Piece{Text: []byte("head")},
			Piece{Content: opened(t, "file", c.changed), Size: c.size},
			Piece{Content: io.NopCloser(strings.NewReader("ab")), Size: 2, Base64: true},
			Piece{Text: []byte("tail")})
		if !b.SendsFiles() {
			t.Fatal("there is no file in it")
		}
		w := &conn{fail: c.fail}
		n, ok, err := b.SendTo(w, 100)
		if w.String() != c.want || n != int64(len(c.want)) || !ok || err != c.err {
			t.Errorf("%s: %q, %d, %t, %v", c.name, w, n, ok, err)
		}
		if got := strings.Join(w.how, " "); c.err == nil && got != "write file write write" {
			t.Errorf("%s: %s", c.name, got)
		}
		if m, err := b.Read(make([]byte, 9)); m != 0 || err != c.err && err != io.EOF {
			t.Errorf("%s: then %d, %v", c.name, m, err)
		}
		b.Close()
	}
}

// A body that has no file, is too long, or goes to what reads no files is left to its reader.
func TestSendToLeaves(t *testing.T) {
	text := Piece{Text: []byte("head")}
	of := func() Piece { return Piece{Content: opened(t, "file", nil), Size: 4} }
	encoded := of()
	encoded.Base64 = true
	for name, c := range map[string]struct {
		w    io.Writer
		most int64
		body *Body
	}{
		"no file":   {new(conn), 9, New(text)},
		"base64":    {new(conn), 9, New(encoded)},
		"too long":  {new(conn), 7, New(text, of())},
		"no reader": {struct{ io.Writer }{new(conn)}, 9, New(text, of())},
	} {
		if n, ok, err := c.body.SendTo(c.w, c.most); n != 0 || ok || err != nil {
			t.Errorf("%s: %d, %t, %v", name, n, ok, err)
		}
		got, err := io.ReadAll(c.body)
		if len(got) == 0 || err != nil {
			t.Errorf("%s: then %q, %v", name, got, err)
		}
	}
}
