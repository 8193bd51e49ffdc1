package form

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/penstock/penstock/internal/test"
)

type testFile struct {
	io.Reader
	closed   int
	closeErr error
}

func (f *testFile) Close() error { f.closed++; return f.closeErr }

func TestFormBody(t *testing.T) {
	for _, c := range []struct {
		path, name, contentType string
		content                 string
	}{
		{"data/a.csv", "a.csv", "text/csv", "a,b\n1,2\n"},
		{"empty", "empty", "application/octet-stream", ""},
		{`übel "q" \ x.JSON`, `übel %22q%22 \ x.JSON`, "application/json", "{}"},
		{`ends in \`, `ends in %5C`, "application/octet-stream", strings.Repeat("x", 100_000)},
		{"new\r\nline", "new%0D%0Aline", "application/octet-stream", "\r\n--"},
		{"\xff.png", "\ufffd.png", "image/png", "x"},
		{"100%22", "100%22", "application/octet-stream", "x"},
	} {
		if os.PathSeparator == '\\' && strings.Contains(c.path, `\`) {
			continue
		}
		fields := url.Values{"b": {"2", ""}, "a\r\n": {c.content}}
		f := New("seed", "file", c.path, fields)
		var bodies [2]string
		for i, slow := range []bool{false, true} {
			var r io.Reader = strings.NewReader(c.content)
			if slow {
				r = iotest.DataErrReader(iotest.HalfReader(r))
			}
			content := &testFile{Reader: r}
			var body io.ReadCloser = f.Body(content)
			length := f.Length(int64(len(c.content)))
			if slow {
				body = struct {
					io.Reader
					io.Closer
				}{iotest.OneByteReader(body), body}
			}
			b, err := io.ReadAll(body)
			if err != nil || int64(len(b)) != length {
				t.Fatalf("%q: %d bytes, %v, want %d", c.path, len(b), err, length)
			}
			bodies[i] = string(b)
			if err := errors.Join(body.Close(), body.Close()); err != nil || content.closed != 1 {
				t.Errorf("closed %d times, %v", content.closed, err)
			}
			mt, params, err := mime.ParseMediaType(f.ContentType)
			if mt != "multipart/form-data" || err != nil {
				t.Fatalf("%s: %v", f.ContentType, err)
			}
			mr := multipart.NewReader(bytes.NewReader(b), params["boundary"])
			for _, want := range [][2]string{{"a%0D%0A", c.content}, {"b", "2"}, {"b", ""}} {
				part, err := mr.NextRawPart()
				test.OK(t, err)
				value, err := io.ReadAll(part)
				if part.FormName() != want[0] || string(value) != want[1] || err != nil {
					t.Errorf("%q: field %q has %q, %v", c.path, part.FormName(), value, err)
				}
			}
			part, err := mr.NextRawPart()
			test.OK(t, err)
			got, err := io.ReadAll(part)
			if err != nil || string(got) != c.content || part.FormName() != "file" ||
				part.FileName() != c.name || part.Header.Get("Content-Type") != c.contentType {
				t.Errorf("%q: got %q as %q %q, %v", c.path, got, part.FileName(), part.Header, err)
			}
			if _, err := mr.NextRawPart(); err != io.EOF {
				t.Errorf("after the part: %v", err)
			}
		}
		if bodies[0] != bodies[1] {
			t.Errorf("%q: two attempts differ", c.path)
		}
	}
}

func TestOtherSeedOtherBoundary(t *testing.T) {
	a, b := New("a", "f", "a", nil), New("b", "f", "a", nil)
	if a.ContentType == b.ContentType {
		t.Errorf("both %s", a.ContentType)
	}
}

// The last bytes of a body are the boundary's end: a server must not see them if the file is not
// what it was.
func TestFormBodyOfChangedFile(t *testing.T) {
	changed := errors.New("changed")
	form := New("", "file", "a\n.csv", nil)
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
		f := &testFile{Reader: c.content, closeErr: c.close}
		body := form.Body(f)
		b, err := io.ReadAll(body)
		if !errors.Is(err, changed) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", c.name, err)
		}
		if bytes.HasSuffix(b, []byte("--\r\n")) {
			t.Errorf("%s: the body is whole", c.name)
		}
		if n, again := body.Read(make([]byte, 1)); n != 0 || again != err {
			t.Errorf("%s: then %d, %v", c.name, n, again)
		}
		if body.Close(); f.closed != 1 {
			t.Errorf("%s: closed %d times", c.name, f.closed)
		}
	}
}

func TestFormBodyOverHTTP(t *testing.T) {
	got := make(chan string, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, h, err := r.FormFile("file")
		if err != nil {
			got <- err.Error()
			return
		}
		b, _ := io.ReadAll(f)
		got <- h.Filename + " " + string(b)
	}))
	defer srv.Close()
	form := New("", "file", "d/ä.csv", nil)
	req, err := http.NewRequest("POST", srv.URL, nil)
	test.OK(t, err)
	req.Body = form.Body(io.NopCloser(strings.NewReader("1,2")))
	req.ContentLength = form.Length(3)
	req.Header.Set("Content-Type", form.ContentType)
	resp, err := srv.Client().Do(req)
	test.OK(t, err)
	resp.Body.Close()
	if g := <-got; g != "ä.csv 1,2" {
		t.Error(g)
	}
}

func TestContentType(t *testing.T) {
	const other = "application/octet-stream"
	for name, want := range map[string]string{
		"a.csv": "text/csv", "A.CSV": "text/csv", "a.tar.gz": "application/gzip",
		".json": "application/json", "a": other, "a.nope": other, "": other, "a.": other,
	} {
		if got := ContentType(name); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
	for ext, ct := range contentTypes {
		if mt, _, err := mime.ParseMediaType(ct); err != nil || mt != ct ||
			strings.ToLower(ext) != ext {
			t.Errorf("%s: %q, %v", ext, ct, err)
		}
	}
}
