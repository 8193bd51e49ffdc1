package source

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstock/penstock/internal/template"
	"github.com/penstock/penstock/internal/test"
)

// hostile are what names and fields of a manifest may try.
var hostile = []string{
	"..", ".", "/", "//", `\`, "%", "%2e", "%2E%2e", "%2f", "%5c", "%00", "%0d%0a", "@", ":", "?",
	"#", "&", "=", ";", "+", " ", "\t", "\r\n", "\n", "\x00", "\x7f",
	"http://", "evil.example", "u:p@evil.example", ":443", "[::1]", "{path}", "{name}", "*", "***",
	"\xff", "\xc0\xae", "．．", "。", "／", "＠", "？", "＃", "ﬀ", "ß", "K", "İ",
	"xn--", "\u202e", "\u200b", "\ufeff", "a", "Z", "-", "_", "~", "ä", "😀",
}

// Whatever a value is, it stays where the template has its variable, and the server reads it there.
func TestHostileValues(t *testing.T) {
	tmpl := to(t, "https://u:p@h.example:8443/v1/{a}/x{b}y/{path}?q={a}&r=1{b}&s={path}")
	value := rapid.Map(rapid.SliceOfN(rapid.OneOf(rapid.SampledFrom(hostile), rapid.String()), 1,
		6), func(s []string) string { return strings.Join(s, "") })
	rapid.Check(t, func(t *rapid.T) {
		a, b, path := value.Draw(t, "a"), value.Draw(t, "b"), value.Draw(t, "path")
		got, err := tmpl.Expand(func(name string) (template.Value, bool) {
			text := map[string]string{"a": a, "b": b, "path": path}[name]
			return template.Value{Text: text}, true
		})
		if err != nil {
			if strings.ContainsAny(err.Error(), "\r\n") {
				t.Fatalf("not one line: %q", err)
			}
			return
		}
		req, err := http.NewRequest(http.MethodPut, got, nil)
		if err != nil {
			t.Fatalf("%q: %v", got, err)
		}
		if u := req.URL; u.Scheme != "https" || u.Host != "h.example:8443" || u.User != nil ||
			u.Fragment != "" {
			t.Fatalf("goes to %q", got)
		}
		var wire bytes.Buffer
		test.OK(t, req.Write(&wire))
		read, err := http.ReadRequest(bufio.NewReader(&wire))
		if err != nil {
			t.Fatalf("%q: %v", got, err)
		}
		if got != "https://h.example:8443"+read.RequestURI || read.Host != "h.example:8443" {
			t.Fatalf("%q is sent as %q to %q", got, read.RequestURI, read.Host)
		}
		segments := strings.Split(read.URL.EscapedPath(), "/")
		if len(segments) != 5+strings.Count(path, "/") {
			t.Fatalf("%q has %d segments", got, len(segments))
		}
		for i, want := range append([]string{"", "v1", a, "x" + b + "y"},
			strings.Split(path, "/")...) {
			if v, err := url.PathUnescape(segments[i]); v != want || err != nil {
				t.Fatalf("%q: segment %d is %q, want %q", got, i, v, want)
			}
		}
		query, err := url.ParseQuery(read.URL.RawQuery)
		if err != nil || len(query) != 3 || query.Get("q") != a || query.Get("r") != "1"+b ||
			query.Get("s") != path {
			t.Fatalf("%q: the query is %q, %v", got, query, err)
		}
		for seg := range strings.FieldsFuncSeq(read.URL.Path,
			func(r rune) bool { return r == '/' || r == '\\' }) {
			if seg == "." || seg == ".." {
				t.Fatalf("%q has a dot segment", got)
			}
		}
	})
}

// A header of a manifest is sent as it is, or is an error: it never becomes two.
func TestHostileHeaders(t *testing.T) {
	tree(t, "a")
	text := rapid.Map(rapid.SliceOfN(rapid.OneOf(rapid.SampledFrom(hostile),
		rapid.SampledFrom([]string{"X-A", "Host", "content-length"}), rapid.String()), 0, 4),
		func(s []string) string { return strings.Join(s, "") })
	rapid.Check(t, func(t *rapid.T) {
		name, value, key := text.Draw(t, "name"), text.Draw(t, "value"), text.Draw(t, "key")
		line, err := json.Marshal(map[string]any{"path": "a", "key": key,
			"headers": map[string]string{name: value}})
		test.OK(t, err)
		e, err := parseEntry(line, true)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\r\n") {
				t.Fatalf("not one line: %q", err)
			}
			return
		}
		req, err := http.NewRequest(http.MethodPut, "http://h/", nil)
		test.OK(t, err)
		req.Header = e.header.Clone()
		req.Header.Set("Idempotency-Key", e.key)
		var wire bytes.Buffer
		test.OK(t, req.Write(&wire))
		read, err := http.ReadRequest(bufio.NewReader(&wire))
		test.OK(t, err)
		delete(read.Header, "User-Agent")
		delete(read.Header, "Content-Length")
		want := 2
		if http.CanonicalHeaderKey(name) == "Idempotency-Key" ||
			http.CanonicalHeaderKey(name) == "User-Agent" {
			want = 1
		}
		if len(read.Header) != want || read.Host != "h" {
			t.Fatalf("%s makes the headers %q of host %q", line, read.Header, read.Host)
		}
	})
}

func TestHostileManifests(t *testing.T) {
	tree(t, "a", "b")
	tmpl := to(t, "http://h/{path}")
	deep := func(open, shut string, n int) string {
		return strings.Repeat(open,
			n) + strings.Repeat(shut, n)
	}
	for _, c := range []struct{ name, text, want string }{
		{"a NUL", "{\"path\":\"a\x00\"}", "line 1: no JSON"},
		{"a NUL in a name", `{"path":"a\u0000"}`, `"a\x00": manifest "m" line 1: contains a NUL`},
		{"NULs at the end", "{\"path\":\"a\"}\n\x00\x00\x00\x00", "line 2: no JSON"},
		{"UTF-16", "\xff\xfe{\x00\"\x00p\x00a\x00t\x00h\x00\"\x00:\x00\"\x00a\x00\"\x00}\x00",
			"line 1: the file is UTF-16: save it as UTF-8"},
		{"UTF-16, big endian", "\xfe\xff\x00{\x00}", "line 1: the file is UTF-16"},
		{"Latin 1", "{\"path\":\"\xfc.csv\"}", "line 1: not valid UTF-8"},
		{"deep arrays", `{"path":"a","x":` + deep("[", "]", 100_000) + `}`, "max depth"},
		{"deep objects", `{"path":"a","x":` + deep(`{"x":`, "}", 100_000) + `}`, "line 1: no JSON"},
		{"deep, and allowed by JSON", `{"path":` + deep("[", "]", 5_000) + `}`,
			`"path": neither a string nor a number`},
		{"a field twice", `{"path":"a","path":"b"}`, `line 1: "path" is given twice`},
		{"a field twice, spelled differently", `{"path":"a","\u0070ath":"b"}`,
			`line 1: "path" is given twice`},
		{"a field twice, once null", `{"path":null,"path":"b"}`, `line 1: "path" is given twice`},
		{"a variable twice", `{"path":"a","id":1,"id":1}`, `line 1: "id" is given twice`},
		{"a header twice", `{"path":"a","headers":{"X":"1","X":"2"}}`, `is given twice`},
		{"all headers twice", `{"path":"a","headers":{},"headers":{}}`, `"headers" is given twice`},
		{"two keys alike", `{"path":"a","key":"k"}` + "\n" + `{"path":"b","key":"k"}`,
			`"a" and "b" have the same key "k"`},
		{"two keys alike, both POST", `{"path":"a","key":"k","method":"POST"}` + "\n" +
			`{"path":"a","key":"k","method":"POST"}`, `"a" and "a" have the same key "k"`},
		{"a name too long", `{"path":"` + strings.Repeat("x", 5000) + `"}`, "xxx…xxx"},
		{"nothing but a mark", "\ufeff", ""},
		{"a name that is a number", `{"path":1e999}`, `"1e999"`},
	} {
		writeManifest(t, "m", c.text)
		_, err := scan(t, Options{Manifest: "m", Template: tmpl})
		if c.want == "" && err == nil {
			continue
		}
		expectError(t, err, c.want)
		if err != nil && len(err.Error()) > 700 {
			t.Errorf("%s: an error of %d bytes", c.name, len(err.Error()))
		}
	}
	// Numbers are text, whatever they are worth.
	writeManifest(t, "m", `{"path":"a","id":1e999,"n":-0.000}`+"\n"+
		`{"path":"b","id":123456789012345678901234567890,"n":1E+2}`)
	expectSent(t, Options{Manifest: "m", Template: to(t, "http://h/{id}/{n}/{path}")},
		"a PUT /1e999/-0.000/a", "b PUT /123456789012345678901234567890/1E%2B2/b")
	// The later of two keys fails when the manifest became so after it was looked at.
	writeManifest(t, "m", `{"path":"a","key":"k"}`+"\n"+`{"path":"b","key":"k"}`+"\n"+
		`{"path":"b","key":"l"}`)
	expectSent(t, Options{Manifest: "m", Template: tmpl}, "a PUT /a",
		"b! another item of this run has the same key", "b PUT /b")
	// Without keys a file may be posted twice.
	writeManifest(t, "m", strings.Repeat(`{"path":"a"}`+"\n", 2))
	expectSent(t, Options{Manifest: "m", Template: tmpl, Method: "POST"}, "a POST /a", "a POST /a")
	if _, err := scan(t, Options{Manifest: "m", Template: tmpl, Method: "POST"}); err != nil {
		t.Error(err)
	}
}
