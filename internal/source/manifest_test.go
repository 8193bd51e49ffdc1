package source

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/filebody"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/lines"
	"github.com/penstock/penstock/internal/template"
	"github.com/penstock/penstock/internal/test"
)

func writeManifest(t testing.TB, name, text string) {
	t.Helper()
	test.OK(t, os.MkdirAll(filepath.Dir(name), 0o777))
	if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

func TestManifest(t *testing.T) {
	tree(t, "m/a b.csv", "m/sub/ü.csv", "out.csv")
	abs, err := filepath.Abs("m/sub/ü.csv")
	test.OK(t, err)
	writeManifest(t, "m/list.ndjson", "\ufeff"+
		`{"path":"a b.csv","id":17,"big":12345678901234567890,"key":"k-1"}`+"\r\n\r\n  \n"+
		`{"path":"./sub/../sub/ü.csv","id":"x/y","method":"post",`+
		`"headers":{"x-a":"1","Content-Type":"text/plain","n":5},"url":null}`+"\n"+
		`{"path":"../out.csv","id":1e3,`+
		`"url":"https://u:pw@Other.example/up?sig=a%2Fb+c&x=%7By%7D"}`+"\n"+
		`{"path":"a b.csv","id":"p","name":"own","headers":{"Authorization":"mine"},`+
		`"url":"https://u:pw@h/q"}`+"\n"+
		`{"path":`+quoteJSON(abs)+`,"id":"..."}`)
	o := Options{Manifest: "m/list.ndjson", Template: to(t, "http://v:pw@h/{id}/{path}?{name}")}
	s := mustNew(t, o)
	var got []item.Item
	for _, it := range items(t, s) {
		if it.Size == 0 || it.ModTime.IsZero() || it.Content != filebody.File(it.Path) {
			t.Errorf("%+v lacks what its file says", it)
		}
		it.Fingerprint, it.Content = item.Fingerprint{}, nil
		got = append(got, it)
	}
	v := http.Header{"Authorization": {"Basic djpwdw=="}}
	p := filepath.FromSlash
	want := []item.Item{
		{Path: p("m/a b.csv"), Rel: "a b.csv", Method: "PUT",
			URL: "http://h/17/a%20b.csv?a%20b.csv", Key: "k-1", Header: v},
		{Path: p("m/sub/ü.csv"), Rel: "sub/ü.csv", Method: "POST",
			URL: "http://h/x%2Fy/sub/%C3%BC.csv?%C3%BC.csv",
			Header: http.Header{"X-A": {"1"}, "N": {"5"}, "Content-Type": {"text/plain"},
				"Authorization": v["Authorization"]}},
		{Path: "out.csv", Rel: "../out.csv", Method: "PUT",
			URL:    "https://other.example/up?sig=a%2Fb+c&x=%7By%7D",
			Header: http.Header{"Authorization": {"Basic dTpwdw=="}}},
		{Path: p("m/a b.csv"), Rel: "a b.csv", Method: "PUT", URL: "https://h/q",
			Header: http.Header{"Authorization": {"mine"}}},
		{Path: abs, Rel: "sub/ü.csv", Method: "PUT", URL: "http://h/.../sub/%C3%BC.csv?%C3%BC.csv",
			Header: v},
	}
	for i, line := range []int{1, 4, 5, 6, 7} {
		want[i].Line = line
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	sum, err := s.Scan(t.Context())
	if err != nil || sum.Items != 5 || sum.URLs[2] != "https://other.example/up?sig=***&x=***" ||
		sum.Partial {
		t.Errorf("%+v, %v", sum, err)
	}
}

func quoteJSON(s string) string { return `"` + strings.ReplaceAll(s, `\`, `\\`) + `"` }

func TestManifestRefuses(t *testing.T) {
	missing := "no such file"
	if runtime.GOOS == "windows" {
		missing = "cannot find"
	}
	tree(t, "a.csv", "d/", "b.csv")
	path := to(t, "http://h/{path}")
	for _, c := range []struct {
		tmpl       *template.URL
		line, want string
	}{
		{path, `{"path":"a.csv"`, "no JSON"},
		{path, `a.csv`, "no JSON"},
		{path, `{"path":"a.csv"}{"path":"b.csv"}`, "no JSON"},
		{path, `["a.csv"]`, "no JSON object"},
		{path, `"a.csv"`, "no JSON object"},
		{path, `null`, "no JSON object"},
		{path, `{}`, `no "path"`},
		{path, `{"path":null}`, `no "path"`},
		{path, `{"path":""}`, `no "path"`},
		{path, `{"Path":"a.csv"}`, `no "path"`},
		{path, `{"path":["a.csv"]}`, `"path": neither a string nor a number`},
		{path, `{"path":"nope.csv"}`, missing},
		{path, `{"path":"d"}`, "is a directory"},
		{path, `{"path":"../a.csv"}`, missing},
		{path, "{\"path\":\"\xff.csv\"}", "UTF-8"},
		{path, `{"path":"\udcff.csv"}`, `\u escape`},
		{path, `{"path":"a.csv","url":"ftp://h/"}`, "http://"},
		{path, `{"path":"a.csv","url":"https:///x"}`, "no host"},
		{path, `{"path":"a.csv","url":"https://h/a/../b"}`, ". or .."},
		{path, `{"path":"a.csv","method":"PU T"}`, "no HTTP method"},
		{path, `{"path":"a.csv","key":"a\nb"}`, "newline"},
		{path, `{"path":"a.csv","headers":[]}`, "headers"},
		{path, `{"path":"a.csv","headers":{"X":"a\r\nY: b"}}`, "newline"},
		{path, `{"path":"a.csv","headers":{"X\n":"a"}}`, "not a valid header name"},
		{path, `{"path":"a.csv","headers":{"X Y":"a"}}`, "not a valid header name"},
		{path, `{"path":"a.csv","headers":{"":"a"}}`, "not a valid header name"},
		{path, `{"path":"a.csv","headers":{"X":["a"]}}`, "neither a string nor a number"},
		{path, `{"path":"a.csv","headers":{"x-a":"a","X-A":"b"}}`, "twice"},
		{path, `{"path":"a.csv","headers":{"content-length":"5"}}`, "Content-Length"},
		{path, `{"path":"a.csv","x":"` + strings.Repeat("x", lines.MaxLen) + `"}`, "1 MiB"},
		{path, `{"path":"a.csv","x":"` + strings.Repeat("x", 3*lines.MaxLen) + `"}`, "1 MiB"},
		{nil, `{"path":"a.csv"}`, `no "url"`},
		{to(t, "http://h/{id}"), `{"path":"a.csv"}`, `no "id", which the URL has as {id}`},
		{to(t, "http://h/{id}"), `{"path":"a.csv","id":".."}`, ". or .."},
		{to(t, "http://h/{id}"), `{"path":"a.csv","id":""}`, "no value"},
		{to(t, "http://h/{id}"), `{"path":"a.csv","id":"b"}`, `"b.csv" and "a.csv"`},
	} {
		writeManifest(t, "m.ndjson",
			`{"path":"b.csv","id":"b","url":"http://h/b"}`+"\n\n"+c.line+"\n")
		err := refusal(t, Options{Manifest: "m.ndjson", Template: c.tmpl})
		expectError(t, err, c.want)
		if err != nil && !strings.Contains(err.Error(), `manifest "m.ndjson" line 3: `) &&
			!strings.Contains(err.Error(), "would both") {
			t.Errorf("no line number: %v", err)
		}
		if err != nil && len(err.Error()) > 500 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	}
	// What concerns one item fails that item; a line that cannot be read ends the run.
	writeManifest(t, "m.ndjson",
		"{\"path\":\"nope\"}\n{\"path\":\"a.csv\"}\nx\n{\"path\":\"b.csv\"}\n")
	got := sent(t, Options{Manifest: "m.ndjson", Template: path})
	if len(got) != 3 || !strings.HasPrefix(got[0], `nope! manifest "m.ndjson" line 1: `) ||
		got[1] != "a.csv PUT /a.csv" ||
		!strings.HasPrefix(got[2], `! source: manifest "m.ndjson" line 3: no JSON`) {
		t.Errorf("%q", got)
	}
	writeManifest(t, "m.ndjson", "\n\r\n")
	if sum, err := scan(t, Options{Manifest: "m.ndjson"}); err != nil || sum.Items != 0 {
		t.Errorf("%+v, %v", sum, err)
	}
}

func TestCheckHeader(t *testing.T) {
	for _, c := range []struct {
		name, value string
		ok          bool
	}{
		{"X-Api-Key", "s3cret", true},
		{"X", "", true},
		{"X", "tab\tis fine", true},
		{"X", "grüße", true},
		{"", "v", false},
		{"X:", "v", false},
		{"X Y", "v", false},
		{"Ü", "v", false},
		{"X", "s3cret\n", false},
		{"X", "s3cret\x00", false},
		{"X", "s3cret\x7f", false},
		{"host", "h", false},
		{"transfer-encoding", "chunked", false},
	} {
		err := CheckHeader(c.name, c.value)
		if (err == nil) != c.ok {
			t.Errorf("%q: %q: %v", c.name, c.value, err)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("shows the value: %v", err)
		}
	}
}

// The fields of a line that are not its own affair are variables, as JSON says them.
func TestFields(t *testing.T) {
	e, err := parseEntry([]byte(`{"path":"a","key":"k","s":"\u00e9\n","n":1.50,"b":true,"z":null,`+
		`"o": { "x" : [1, "y"] } }`), true)
	test.OK(t, err)
	for name, want := range map[string]template.Value{
		"key": {Text: "k"}, "s": {Text: "é\n"}, "n": {Text: "1.50", Kind: template.JSON},
		"b": {Text: "true", Kind: template.JSON}, "z": {Text: "null", Kind: template.JSON},
		"o": {Text: `{ "x" : [1, "y"] }`, Kind: template.JSON},
	} {
		if got := e.fields[name]; got != want {
			t.Errorf("%s is %+v, want %+v", name, got, want)
		}
	}
	if len(e.fields) != 6 {
		t.Errorf("%+v", e.fields)
	}
}

func FuzzManifest(f *testing.F) {
	for _, s := range []string{
		`{"path":"a.csv","url":"https://h/x?y","method":"PUT",` +
			`"headers":{"X-A":"b"},"key":"k","id":17}`,
		`{"path":"\ud83d\ude00","headers":{"x":"a\nb"}}`, `{"path":"\udcff"}`,
		`{"path":null,"x":[1]}`, `[]`, `null`, ``, "\xff",
		`{"path":"a","url":"http://h/{x}#y"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := parseEntry(text, true)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") {
				t.Fatalf("not one line: %q", err)
			}
			return
		}
		if (e.path == "") == (e.hash == "") || strings.ContainsAny(e.key, "\r\n\x00") ||
			e.method != "" && checkMethod(e.method) != nil {
			t.Fatalf("%q was accepted as %+v", text, e)
		}
		// What net/http writes is what was asked for, and nothing more.
		var wire bytes.Buffer
		if err := e.header.Write(&wire); err != nil ||
			bytes.Count(wire.Bytes(), []byte("\n")) != len(e.header) {
			t.Fatalf("%q becomes the header %q, %v", text, wire.Bytes(), err)
		}
		if e.target != nil {
			u, err := e.target.Expand(new(item.Item).Value)
			test.OK(t, err)
			if _, err := http.NewRequest("PUT", u, nil); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
		}
	})
}
