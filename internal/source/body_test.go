package source

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/iotest"
)

type testFile struct {
	io.Reader
	closed   int
	closeErr error
}

func (f *testFile) Close() error { f.closed++; return f.closeErr }

func form(item Item, content io.Reader, closeErr error) (*testFile, func() (io.ReadCloser, error), int64, string) {
	f := &testFile{Reader: content, closeErr: closeErr}
	open, n, ct := FormBody("file", item, func() (io.ReadCloser, error) { return f, nil })
	return f, open, n, ct
}

func TestFormBody(t *testing.T) {
	for _, c := range []struct {
		path, name, contentType string
		content                 string
	}{
		{"data/a.csv", "a.csv", "text/csv", "a,b\n1,2\n"},
		{"empty", "empty", "application/octet-stream", ""},
		{`übel "q" \ x.JSON`, `übel "q" \ x.JSON`, "application/json", "{}"},
		{`ends in \`, `ends in \`, "application/octet-stream", strings.Repeat("x", 100_000)},
		{"new\r\nline", "new%0D%0Aline", "application/octet-stream", "\r\n--"},
		{"\xff.png", "\ufffd.png", "image/png", "x"},
		{"100%22", "100%22", "application/octet-stream", "x"},
	} {
		if os.PathSeparator == '\\' && strings.Contains(c.path, `\`) {
			continue
		}
		item := Item{Path: c.path, URL: "http://h/", Method: "POST", Size: int64(len(c.content))}
		var bodies [2]string
		for i, slow := range []bool{false, true} {
			var r io.Reader = strings.NewReader(c.content)
			if slow {
				r = iotest.DataErrReader(iotest.HalfReader(r))
			}
			f, open, length, contentType := form(item, r, nil)
			body, err := open()
			if err != nil {
				t.Fatal(err)
			}
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
			if err := errors.Join(body.Close(), body.Close()); err != nil || f.closed != 1 {
				t.Errorf("closed %d times, %v", f.closed, err)
			}
			mt, params, err := mime.ParseMediaType(contentType)
			if mt != "multipart/form-data" || err != nil {
				t.Fatalf("%s: %v", contentType, err)
			}
			mr := multipart.NewReader(bytes.NewReader(b), params["boundary"])
			part, err := mr.NextRawPart()
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(part)
			if err != nil || string(got) != c.content || part.FormName() != "file" || part.FileName() != c.name || part.Header.Get("Content-Type") != c.contentType {
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

func TestFormBodyOfOtherItemHasOtherBoundary(t *testing.T) {
	_, _, _, a := form(Item{Path: "a"}, nil, nil)
	_, _, _, b := form(Item{Path: "b"}, nil, nil)
	if a == b {
		t.Errorf("both %s", a)
	}
}

// The last bytes of a body are the boundary's end: a server must not see them if the file is not what it was.
func TestFormBodyOfChangedFile(t *testing.T) {
	changed := errors.New("changed")
	item := Item{Path: "a\n.csv", Size: 5}
	for _, c := range []struct {
		name    string
		content io.Reader
		close   error
		want    error
	}{
		{"shorter", strings.NewReader("1234"), nil, nil},
		{"longer", strings.NewReader("123456"), nil, nil},
		{"longer, read slowly", iotest.OneByteReader(strings.NewReader("123456")), nil, nil},
		{"same length", strings.NewReader("12345"), changed, changed},
		{"shorter, and known", strings.NewReader("1234"), changed, changed},
		{"unreadable", iotest.ErrReader(changed), nil, changed},
		{"unreadable at its end", io.MultiReader(strings.NewReader("12345"), iotest.ErrReader(changed)), nil, changed},
	} {
		f, open, _, _ := form(item, c.content, c.close)
		body, err := open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(body)
		if err == nil || c.want != nil && !errors.Is(err, c.want) || strings.Contains(err.Error(), "\n") {
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
	open, _, _ := FormBody("f", item, func() (io.ReadCloser, error) { return nil, changed })
	if _, err := open(); err != changed {
		t.Errorf("%v", err)
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
	_, open, length, contentType := form(Item{Path: "d/ä.csv", Size: 3}, strings.NewReader("1,2"), nil)
	req, err := http.NewRequest("POST", srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if req.Body, err = open(); err != nil {
		t.Fatal(err)
	}
	req.ContentLength = length
	req.Header.Set("Content-Type", contentType)
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if g := <-got; g != "ä.csv 1,2" {
		t.Error(g)
	}
}

func TestContentType(t *testing.T) {
	for name, want := range map[string]string{
		"a.csv": "text/csv", "A.CSV": "text/csv", "a.tar.gz": "application/gzip", "a": "application/octet-stream",
		"a.nope": "application/octet-stream", "": "application/octet-stream", ".json": "application/json", "a.": "application/octet-stream",
	} {
		if got := ContentType(name); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
	for ext, ct := range contentTypes {
		if mt, _, err := mime.ParseMediaType(ct); err != nil || mt != ct || strings.ToLower(ext) != ext {
			t.Errorf("%s: %q, %v", ext, ct, err)
		}
	}
}
