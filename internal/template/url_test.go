package template

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/test"
)

func values(kv ...string) Values {
	return func(name string) (Value, bool) {
		for i := 0; i < len(kv); i += 2 {
			if kv[i] == name {
				return Value{Text: kv[i+1]}, true
			}
		}
		return Value{}, false
	}
}

func TestParseURL(t *testing.T) {
	for _, c := range []struct {
		in, want string // want: shown; or "error: " and a part of it
	}{
		{"https://h/files/{name}", "https://h/files/{name}"},
		{"HTTPS://Host.Example:8443/Files/{name}", "https://host.example:8443/Files/{name}"},
		{"http://[::1]:80/{path}", "http://[::1]:80/{path}"},
		{"http://h", "http://h/"},
		{"http://h?x={name}", "http://h/?x={name}"},
		{"http://münchen.example/ä b", "http://münchen.example/%C3%A4%20b"},
		{"http://h/\xff", "http://h/%FF"},
		{"http://h/a%2Fb%20c", "http://h/a%2Fb%20c"},
		{"http://h/a[1]|\"<>^`?a[]={name}", "http://h/a%5B1%5D%7C%22%3C%3E%5E%60?a[]={name}"},
		{"http://h/!$&'()*+,;=:@-._~?!$'()*+,;:@/?", "http://h/!$&'()*+,;=:@-._~?***"},
		{"http://h//x", "http://h//x"},
		{"http://u:secret@h/{name}?token=secret&n={name}&x=a{stem}secret&flag",
			"http://h/{name}?token=***&n={name}&x=***{stem}***&***"},
		{"http://u:se%40cret%2F@h/", "http://h/"},
		{"http://h/}{?a=}{&b={name}", "http://h/%7D%7B?a=***&b={name}"},
		{"https://h/{name", "https://h/%7Bname"},
		{"https://h/name}", "https://h/name%7D"},
		{"https://h/{a{b}}", "https://h/%7Ba{b}%7D"},
		{"https://h/{}", "https://h/%7B%7D"},
		{"https://h/{a b}", "https://h/%7Ba%20b%7D"},
		{"https://h/{0}/{-a}/{_.-0}", "https://h/%7B0%7D/%7B-a%7D/{_.-0}"},
		{"https://h/{{name}/{{{stem}/{{x y}", "https://h/%7Bname%7D/%7B%7Bstem%7D/%7B%7Bx%20y%7D"},
		{"https://h/?token={{stem}&x=1", "https://h/?token=***&x=***"},

		{"", "error: begin with http://"},
		{"h/files/{name}", "error: begin with http://"},
		{"ftp://h/", "error: begin with http://"},
		{"{scheme}://h/", "error: begin with http://"},
		{"https:///files/{name}", "error: no host"},
		{"https://:80/{name}", "error: no host"},
		{"https://u:p@/{name}", "error: no host"},
		{"https://{host}/x", "error: variable cannot stand"},
		{"https://h{name}/x", "error: variable cannot stand"},
		{"https://h:{port}/x", "error: variable cannot stand"},
		{"https://a b/x", "error: host or port"},
		{"https://h:port/x", "error: host or port"},
		{"https://h:0/x", "error: between 1 and 65535"},
		{"https://h:65536/x", "error: between 1 and 65535"},
		{"https://u:sec/ret@h/", "error: host or port"},
		{"https://u:%zz@h/", "error: user or password"},
		{"https://h/{na\nme}", "error: control character"},
		{"https://h/{base64}", "error: too long for a URL"},
		{"https://h/{{base64}", "https://h/%7Bbase64%7D"},
		{"https://h/x#y", "error: a #"},
		{"https://h/100%", "error: percent sign"},
		{"https://h/%zz", "error: percent sign"},
		{`https://h/a\b`, "error: backslash"},
		{"https://h/a\nb", "error: control character"},
		{"https://h/../{name}", "error: . or .."},
		{"https://h/a/./b", "error: . or .."},
		{"https://h/a/%2E%2e/b", "error: . or .."},
		{"https://h/a/.%2e?x", "error: . or .."},
	} {
		tmpl, err := ParseURL(c.in)
		if want, ok := strings.CutPrefix(c.want, "error: "); ok {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: error %v, want one with %q", c.in, err, want)
			}
			if err != nil &&
				(strings.Contains(err.Error(), "sec") || strings.Contains(err.Error(), "\n")) {
				t.Errorf("%q: error %q", c.in, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", c.in, err)
		} else if got := tmpl.String(); got != c.want {
			t.Errorf("%q: shown as\n%s, want\n%s", c.in, got, c.want)
		}
	}
}

func TestExpandHostileNames(t *testing.T) {
	long := strings.Repeat("ä", 2048)
	for _, c := range []struct{ tmpl, value, want string }{
		{"http://h/v1/{name}", "a.csv", "http://h/v1/a.csv"},
		// nginx decodes before it resolves: this would be sent to http://h/x.
		{"http://h/v1/{name}", "../x", "error"},
		{"http://h/v1/{name}", "a/../b", "error"},
		{"http://h/v1/{name}", "a/..", "error"},
		{"http://h/v1/{name}", "a/./b", "error"},
		{"http://h/v1/{name}", `..\x`, "error"},
		{"http://h/v1/{name}", `a/..\..`, "error"},
		{"http://h/v1%2F{name}", "..", "error"},
		{"http://h/v1/{name}", "a/.../b", "http://h/v1/a%2F...%2Fb"},
		{"http://h/v1/{name}", `a\..b/.c`, "http://h/v1/a%5C..b%2F.c"},
		{"http://h/v1/{name}", "．．", "http://h/v1/%EF%BC%8E%EF%BC%8E"},
		{"http://h/v1/{name}", "//evil.example", "http://h/v1/%2F%2Fevil.example"},
		{"http://h/{path}", `a/..\../b`, "error"},
		{"http://h/?n={name}", "../x", "http://h/?n=..%2Fx"},
		{"http://h/v1/{name}", "%2e%2e", "http://h/v1/%252e%252e"},
		{"http://h/v1/{name}", "a?b", "http://h/v1/a%3Fb"},
		{"http://h/v1/{name}", "a#b", "http://h/v1/a%23b"},
		{"http://h/v1/{name}", "100%", "http://h/v1/100%25"},
		{"http://h/v1/{name}", "a b+c", "http://h/v1/a%20b%2Bc"},
		{"http://h/v1/{name}", "Übergröße", "http://h/v1/%C3%9Cbergr%C3%B6%C3%9Fe"},
		{"http://h/v1/{name}", "\xff\xfe", "http://h/v1/%FF%FE"},
		{"http://h/v1/{name}", "a\nb\x00", "http://h/v1/a%0Ab%00"},
		{"http://h/v1/{name}", "{name}", "http://h/v1/%7Bname%7D"},
		{"http://h/v1/{name}", `a\b;c=d@e:f`, "http://h/v1/a%5Cb%3Bc%3Dd%40e%3Af"},
		{"http://h/v1/{name}", "...", "http://h/v1/..."},
		{"http://h/v1/{name}", long, "http://h/v1/" + strings.Repeat("%C3%A4", 2048)},
		{"http://h/v1/{name}", "..", "error"},
		{"http://h/v1/{name}", ".", "error"},
		{"http://h/v1/{name}", "", "error"},
		{"http://h/v1/{name}x", "", "error"},
		{"http://h/.{name}", ".", "error"},
		{"http://h/%2E{name}", ".", "error"},
		{"http://h/x{name}", "..", "http://h/x.."},
		{"http://h/{path}", "a b/ü/c#.csv", "http://h/a%20b/%C3%BC/c%23.csv"},
		{"http://h/{path}", "a/../b", "error"},
		{"http://h/{path}", "../b", "error"},
		{"http://h/x{path}", "../b", "error"},
		{"http://h/{path}", "./b", "error"},
		{"http://h/{path}", "a//b", "error"},
		{"http://h/{path}", "/a", "error"},
		{"http://h/{path}", "a/", "error"},
		{"http://h/{path}", "%2e%2e/b", "http://h/%252e%252e/b"},
		{"http://h/?n={name}&m=1", "a&b=c?#%+ /ä",
			"http://h/?n=a%26b%3Dc%3F%23%25%2B%20%2F%C3%A4&m=1"},
		{"http://h/?n={name}", "", "http://h/?n="},
		{"http://h/?n={name}", "..", "http://h/?n=.."},
		{"http://h/?n={path}", "a/b c", "http://h/?n=a%2Fb%20c"},
		{"http://h/{nope}", "a", "error"},
	} {
		tmpl, err := ParseURL(c.tmpl)
		test.OK(t, err)
		got, err := tmpl.Expand(values("name", c.value, "path", c.value))
		if err != nil {
			got = "error"
			if strings.ContainsAny(err.Error(), "\n\x00") {
				t.Errorf("%s with %q: not one line: %q", c.tmpl, c.value, err)
			}
		}
		if got != c.want {
			t.Errorf("%s with %q: %s (%v), want %s", c.tmpl, c.value, got, err, c.want)
		}
	}
}

func TestCredentials(t *testing.T) {
	tmpl, err := ParseURL("https://us%40er:pa%3Ass@h/{name}")
	test.OK(t, err)
	got, err := tmpl.Expand(values("name", "a"))
	if got != "https://h/a" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	r := &http.Request{Header: tmpl.auth}
	if user, pass, ok := r.BasicAuth(); user != "us@er" || pass != "pa:ss" || !ok {
		t.Errorf("basic auth %q %q %v", user, pass, ok)
	}
}

func TestHasPathVar(t *testing.T) {
	for in, want := range map[string]bool{
		"http://h/{name}":          true,
		"http://h/x":               false,
		"http://h/x?n={name}":      false,
		"http://h/{a}?n={name}":    true,
		"http://h/x?n=/a/{name}":   false,
		"http://h/x?n=?{name}&{b}": false,
	} {
		tmpl, err := ParseURL(in)
		test.OK(t, err)
		if got := tmpl.HasPathVar(); got != want {
			t.Errorf("%s: %v", in, got)
		}
	}
}

func TestDoubtful(t *testing.T) {
	for in, want := range map[string]string{
		"http://h/{name}/{{stem}/{}/{1}":  "",
		"http://h/{name":                  "{name",
		"http://h/{name}/{na me}/x":       "{na me}",
		"http://h/{ name}?x={y":           "{ name}",
		"http://h/x?token={secret":        "",
		"http://h/x?q={\"a\":\"{name}\"}": "",
		"http://h/name}":                  "",
	} {
		if got := Doubtful(in); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

// Whatever a value is, and whatever template was accepted, the value cannot change where the
// request goes, and the server gets it back.
func FuzzTemplate(f *testing.F) {
	for _, name := range []string{"a.csv", "../x", "a/../b", "%2e%2e", "?", "#", "%", " ", "ä",
		"\xff", "\n", "{", strings.Repeat("x", 4096), "..", ""} {
		f.Add("https://h.example/v1/{name}?n={name}", name)
		f.Add("http://u:p@h/a/{path}", name)
		f.Add("http://h/"+name, name)
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		tmpl, err := ParseURL(text)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") {
				t.Fatalf("not one line: %q", err)
			}
			return
		}
		_ = tmpl.String()
		if _, err := ParseURL(tmpl.String()); err != nil {
			t.Fatalf("%q is shown as %q, which is none: %v", text, tmpl, err)
		}
		only := func(v string) Values {
			return func(string) (Value, bool) { return Value{Text: v}, true }
		}
		plain, err := tmpl.Expand(only("x"))
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		got, err := tmpl.Expand(only(value))
		if err != nil {
			return
		}
		want, err := url.Parse(plain)
		if err != nil {
			t.Fatalf("%q: %v", plain, err)
		}
		u, err := url.Parse(got)
		if err != nil {
			t.Fatalf("%q: %v", got, err)
		}
		if u.Scheme != want.Scheme || u.Host != want.Host || u.User != nil || u.Fragment != "" {
			t.Fatalf("%q with %q went to %q", text, value, got)
		}
		// net/http sends RequestURI: it must not be written anew.
		if got != tmpl.origin+u.RequestURI() {
			t.Fatalf("%q becomes %q on the wire", got, u.RequestURI())
		}
		extra := 0 // segments that {path} brings
		for _, p := range tmpl.parts {
			if p.name == PathVar && !p.query {
				extra += strings.Count(value, "/")
			}
		}
		slashes := func(u *url.URL) int { return strings.Count(u.EscapedPath(), "/") }
		if n, m := slashes(u), slashes(want); n != m+extra {
			t.Fatalf("%q with %q has %d segments in %q", text, value, n, got)
		}
		pairs := func(u *url.URL) int { return strings.Count(u.RawQuery, "&") + 1 }
		if n, m := pairs(u), pairs(want); n != m {
			t.Fatalf("%q with %q: the query is %q", text, value, u.RawQuery)
		}
		for seg := range strings.SplitSeq(strings.ReplaceAll(u.Path, `\`, "/"), "/") {
			if seg == "." || seg == ".." {
				t.Fatalf("%q with %q: a dot segment in %q", text, value, got)
			}
		}
		decoded, err := url.PathUnescape(strings.TrimPrefix(got, tmpl.origin))
		if err != nil || len(tmpl.Vars()) > 0 && !strings.Contains(decoded, value) {
			t.Fatalf("%q with %q: decodes to %q, %v", text, value, decoded, err)
		}
	})
}

func BenchmarkExpand(b *testing.B) {
	tmpl, err := ParseURL("https://api.example.com/v1/files/{path}")
	test.OK(b, err)
	b.ReportAllocs()
	for b.Loop() {
		_, err := tmpl.Expand(func(string) (Value, bool) {
			return Value{Text: "2026/11/Übersicht 1.csv"}, true
		})
		test.OK(b, err)
	}
}
