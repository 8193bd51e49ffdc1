package compose

import (
	"io"
	"mime"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/test"
)

// The forms are those that curl makes of the same arguments, but for the boundary.
func TestFormsAsCurl(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("there is no curl")
	}
	t.Chdir(t.TempDir())
	for name, content := range map[string]string{
		"a.png": "\x89PNG\r\n", "b.txt": "text\n", "d.html": "<p>", "data": "\x00\xff", "empty": "",
		"e f,g;h.pdf": "%PDF", `q"q.xml`: "<a/>", "large.bin": strings.Repeat("0123456789", 10_000),
	} {
		test.OK(t, os.WriteFile(name, []byte(content), 0o600))
	}
	test.OK(t, os.Mkdir("sub", 0o700))
	got := make(chan [2]string, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		test.Check(t, err)
		got <- [2]string{string(body), r.Header.Get("Content-Type")}
	}))
	defer srv.Close()
	for _, args := range [][]string{
		{"a=1"},
		{"a=", "b=two words", "c= trimmed ", `d=" kept "`},
		{"file=@a.png", "project=7"},
		{"z=1", "file=@a.png", "a=2", "file=@b.txt"},
		{"file=@a.png;type=image/x-png", "meta={\"a\":[1,2]};type=application/json"},
		{"file=@b.txt;filename=other.jpg", `file=@b.txt;filename="o;t \"h\" er"`},
		{`file=@"e f,g;h.pdf"`, `file=@q"q.xml`},
		{"text=<b.txt", "text=<b.txt;type=text/markdown; charset=utf-8"},
		{"file=@data;type=a/b; c=d; filename=x", "file=@empty", "file=@large.bin"},
		{`name"quoted=1`, "value=with\nnewline", "ü=ä"},
		{"value=as a file;filename=v.json;type=application/json"},
		{"page=@d.html", "a=b;"},
		{"file=@./sub/../a.png"},
		{"a=b; type= text/x; a=b ;", "c=d;type=text/y;"},
	} {
		command := []string{"-sS", "--max-time", "60", srv.URL}
		form := new(Template)
		for _, arg := range args {
			command = append(command, "-F", arg)
			if err := form.AddField(arg); err != nil {
				t.Errorf("%q: %v", args, err)
			}
		}
		if out, err := exec.Command(curl, command...).CombinedOutput(); err != nil {
			t.Fatalf("curl %q: %v: %s", args, err, out)
		}
		said := <-got
		it := &item.Item{Path: "line 1", Hash: "1"}
		c, err := form.Content(it, "")
		test.OK(t, err)
		body, contentType := sentBody(t, c, it)
		want, have := normal(t, said[0], said[1]), normal(t, body, contentType)
		if want != have {
			t.Errorf("%q: sent\n%s\nand curl sends\n%s", args, have, want)
		}
	}
}

// normal returns a form with a fixed boundary.
func normal(t *testing.T, body, contentType string) string {
	t.Helper()
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil || params["boundary"] == "" {
		t.Fatalf("%s: %v", contentType, err)
	}
	return strings.ReplaceAll(body, params["boundary"], "BOUNDARY")
}

// read returns a body, which has to be as long as it says.
func read(t *testing.T, b *Body) string {
	t.Helper()
	r, err := b.Open(t.Context())
	test.OK(t, err)
	data, err := io.ReadAll(r)
	if err != nil || int64(len(data)) != b.Length() {
		t.Errorf("%d bytes, want %d; %v", len(data), b.Length(), err)
	}
	test.Check(t, r.Close())
	return string(data)
}
