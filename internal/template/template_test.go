package template

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/test"
)

// sample has values of all kinds.
func sample(name string) (Value, bool) {
	v, ok := map[string]Value{
		"name":   {Text: "a\"b\\ä.csv"},
		"empty":  {},
		"size":   {Text: "12", Kind: JSON},
		"object": {Text: `{"a":[1,"b"]}`, Kind: JSON},
		"null":   {Text: "null", Kind: JSON},
		"xml":    {Text: "<&>\"'\t"},
		"lines":  {Text: "a\nb"},
		"nul":    {Text: "a\x00b"},
		"bytes":  {Text: "\xff"},
		"tmpl":   {Text: "{name}"},
		"base64": {Kind: Content},
		"later":  {Kind: Later},
	}[name]
	return v, ok
}

func TestExpand(t *testing.T) {
	for _, c := range []struct {
		place    Place
		in, want string // holes are shown as #
	}{
		{PlaceRaw, "", ""},
		{PlaceRaw, "{name}-{size}", "a\"b\\ä.csv-12"},
		{PlaceRaw, "{}{ {a b}{1}{-}}{", "{}{ {a b}{1}{-}}{"},
		{PlaceRaw, "{{name}{{{name}{{ {{x y}{{", "{name}{{name}{{ {{x y}{{"},
		{PlaceRaw, "{{name}}", "{name}}"},
		{PlaceRaw, "{tmpl}", "{name}"},
		{PlaceRaw, "{bytes}{lines}{nul}{object}", "\xffa\nba\x00b{\"a\":[1,\"b\"]}"},
		{PlaceRaw, "a{base64}b{base64}", "a#b#"},
		{PlaceRaw, "{null}", "error: {null}: null has no text"},
		{PlaceJSON, `"{null}"`, "error: {null}: null has no text"},
		{PlaceRaw, "{nope}", "error: unknown variable {nope}"},
		{PlaceRaw, "{later}", "error: unknown variable {later}"},

		{PlaceHeader, "v={name}; {size}", "v=a\"b\\ä.csv; 12"},
		{PlaceHeader, "{lines}", "error: {lines}: a newline"},
		{PlaceHeader, "{nul}", "error: {nul}: a newline"},
		{PlaceHeader, "a\rb", "error: a newline"},
		{PlaceHeader, "{base64}", "error: too long for a header"},
		{PlaceHeader, "{bytes}\t", "\xff\t"},

		{PlaceJSON, `{"n":"{name}","s":{size},"t":"{size}"}`,
			`{"n":"a\"b\\ä.csv","s":12,"t":"12"}`},
		{PlaceJSON, `{name}`, `"a\"b\\ä.csv"`},
		{PlaceJSON, `{"a":{object},"b":[{null},{empty}],"c":"{object}"}`,
			`{"a":{"a":[1,"b"]},"b":[null,""],"c":"{\"a\":[1,\"b\"]}"}`},
		{PlaceJSON, `{"{name}\"{size}":1}`, `{"a\"b\\ä.csv\"12":1}`},
		{PlaceJSON, `{"a":{"b":{size}},"c":{"d":{}}}`, `{"a":{"b":12},"c":{"d":{}}}`},
		{PlaceJSON, `{"i":"{base64}","j":{base64}}`, `{"i":"#","j":"#"}`},
		{PlaceJSON, `["{{name}","{lines}{nul}"]`, `["{name}","a\nba\u0000b"]`},
		{PlaceJSON, `["{bytes}"]`, "error: {bytes}: not valid UTF-8"},
		{PlaceJSON, `[{bytes}]`, "error: {bytes}: not valid UTF-8"},
		{PlaceJSON, ``, "error: not valid JSON"},
		{PlaceJSON, `{"a":1`, "error: not valid JSON, with its variables filled in: at byte 6: "},
		{PlaceJSON, `{a:{name}}`, "error: not valid JSON, with its variables filled in: at byte 2: "},
		{PlaceJSON, `{"a":"{name}",b}`, "error: not valid JSON, with its variables filled in: " +
			"at byte 15: "},
		{PlaceJSON, `{"a":{name},"b":{size}]`, "error: not valid JSON, with its variables filled " +
			"in: at byte 23: "},
		{PlaceJSON, `{{name}:1}`, "error: not valid JSON"},
		{PlaceJSON, `{"a":1{size}}`, "error: not valid JSON"},
		{PlaceJSON, `{"a":-{size}}`, "error: not valid JSON"},
		{PlaceJSON, `{ {name}:1}`, "error: not valid JSON"},
		{PlaceJSON, `"\{name}"`, "error: not valid JSON"},
		{PlaceJSON, `"\u00{name}41"`, "error: not valid JSON"},
		{PlaceJSON, `"\{name}n"`, "error: not valid JSON"},
		{PlaceJSON, "\"\xff\"", "error: not valid UTF-8"},

		{PlaceXML, "<a b=\"{xml}\">{name}{base64}</a>",
			"<a b=\"&lt;&amp;&gt;&#34;&#39;&#x9;\">a&#34;b\\ä.csv#</a>"},
		{PlaceXML, "{nul}", "error: {nul}: XML does not have the character U+0000"},
		{PlaceXML, "{bytes}", "error: {bytes}: not valid UTF-8"},
		{PlaceXML, "<![CDATA[x]]>{size}<![CDATA[y]]>", "<![CDATA[x]]>12<![CDATA[y]]>"},
		{PlaceXML, "<![CDATA[x {size}]]>", "error: {size} is in a CDATA section"},
		{PlaceXML, "<![CDATA[x]]>{size}<![CDATA[y{size}", "error: {size} is in a CDATA section"},

		{PlaceForm, "a={name}&b={size}&c={lines}{bytes}", "a=a%22b%5C%C3%A4.csv&b=12&c=a%0Ab%FF"},
		{PlaceForm, "a+b=%20&c={base64}", "a+b=%20&c=#"},
	} {
		got, err := "", error(nil)
		if tmpl, perr := Parse(c.in, c.place); perr != nil {
			err = perr
		} else {
			got, err = show(tmpl)
		}
		if err != nil {
			got = "error: " + err.Error()
		}
		if want, bad := strings.CutPrefix(c.want, "error: "); got != c.want &&
			(!bad || err == nil || !strings.Contains(got, want)) {
			t.Errorf("%d %s: %s, want %s", c.place, c.in, got, c.want)
		}
	}
}

// show expands a template with samples behind a text, and marks its holes.
func show(tmpl *Template) (string, error) {
	const before = "before"
	text, holes, err := tmpl.Expand([]byte(before), sample)
	if err != nil {
		return "", err
	}
	out, from := "", 0
	for _, at := range append(holes, len(text)) {
		out += string(text[from:at]) + "#"
		from = at
	}
	return strings.TrimSuffix(strings.TrimPrefix(out, before), "#"), nil
}

func TestVars(t *testing.T) {
	tmpl, err := Parse("{b}{a}{b}{{c}{d e}", PlaceRaw)
	test.OK(t, err)
	if got := fmt.Sprint(tmpl.Vars()); got != "[b a]" {
		t.Error(got)
	}
	_, _, err = tmpl.Expand(nil, sample)
	var unknown *UnknownVarError
	if !errors.As(err, &unknown) || unknown.Name != "b" {
		t.Errorf("%v", err)
	}
}

func TestPlaceOf(t *testing.T) {
	for in, want := range map[string]Place{
		"application/json": PlaceJSON, "Application/LD+JSON; charset=utf-8": PlaceJSON,
		"text/xml": PlaceXML, "application/soap+xml": PlaceXML, "image/svg+xml": PlaceXML,
		"application/x-www-form-urlencoded": PlaceForm, "text/plain": PlaceRaw, "": PlaceRaw,
		"application/x-ndjson": PlaceRaw, "application/json-seq": PlaceRaw,
	} {
		if got := PlaceOf(in); got != want {
			t.Errorf("%s: %d", in, got)
		}
	}
}

// Variables that are left in a URL get their values later, as if they had been known.
func TestComplete(t *testing.T) {
	const text = "https://h/{a}/{{b}{b}/{path}?x={a}&y={c}"
	u, err := ParseURL(text)
	test.OK(t, err)
	all := values("a", "{b}", "b", "+/=", "c", "", "path", "d/é")
	got, err := u.Expand(func(name string) (Value, bool) {
		if name == "b" || name == "c" {
			return Value{Kind: Later}, true
		}
		return all(name)
	})
	test.OK(t, err)
	if want := "https://h/%7Bb%7D/%7Bb%7D{b}/d/%C3%A9?x=%7Bb%7D&y={c}"; got != want ||
		!Incomplete(got) {
		t.Errorf("%s, want %s", got, want)
	}
	partly, err := Complete(got, func(name string) (Value, bool) {
		if name == "c" {
			return Value{Kind: Later}, true
		}
		return all(name)
	})
	if want := "https://h/%7Bb%7D/%7Bb%7D%2B%2F%3D/d/%C3%A9?x=%7Bb%7D&y={c}"; partly != want ||
		err != nil {
		t.Errorf("%s, %v, want %s", partly, err, want)
	}
	want, err := u.Expand(all)
	test.OK(t, err)
	if got, err = Complete(got, all); got != want || err != nil || Incomplete(got) {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
	if _, err := Complete("http://h/{nope}", all); err == nil {
		t.Error("an unknown variable has a value")
	}
}

// A known variable left behind two dots still makes no segment that servers resolve.
func TestDotsBeforeLater(t *testing.T) {
	later := func(string) (Value, bool) { return Value{Kind: Later}, true }
	for text, want := range map[string]bool{
		"http://h/..{a}": true, "http://h/{a}": true, "http://h/x/{a}/..": false,
	} {
		u, err := ParseURL(text)
		if err == nil {
			_, err = u.Expand(later)
		}
		if (err == nil) != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// Whatever the values are, they come out of their places as they went in, and are all that does.
func FuzzExpand(f *testing.F) {
	for place := range 5 {
		for _, text := range []string{`{"a":"{x}","b":{x},"{x}":[{y},"\"{y}"]}`, "<a>{x}</a>",
			"a={x}&b={y}", "{{x}{x}{y}", `"\u00{x}41"`, `{"a":-{y}}`, "{base64}", `1{y}`} {
			f.Add(place, text, "a\"\\\x00\xff<&é", `{"n":1}`)
			f.Add(place, text, "", "-1e5")
		}
	}
	f.Fuzz(func(t *testing.T, place int, text, x, y string) {
		if place < 0 || place > 4 || !json.Valid([]byte(y)) {
			return
		}
		tmpl, err := Parse(text, Place(place))
		if err != nil {
			if strings.ContainsAny(err.Error(), "\r\n") {
				t.Fatalf("not one line: %q", err)
			}
			return
		}
		vars := func(name string) (Value, bool) {
			switch name {
			case "y":
				return Value{Text: y, Kind: JSON}, true
			case "base64":
				return Value{Kind: Content}, true
			}
			return Value{Text: x}, true
		}
		out, holes, err := tmpl.Expand(nil, vars)
		if err != nil {
			return
		}
		for _, at := range holes {
			if at < 0 || at > len(out) {
				t.Fatalf("%q: a hole at %d of %d", text, at, len(out))
			}
		}
		switch plain, _, _ := tmpl.Expand(nil, plainly); Place(place) {
		case PlaceJSON:
			if !json.Valid(out) {
				t.Fatalf("%q with %q and %q is no JSON: %q", text, x, y, out)
			}
			want := tokens(plain)
			for _, p := range tmpl.parts {
				if p.bare && p.name == "y" {
					want += tokens([]byte(y)) - 1
				}
			}
			if n := tokens(out); n != want {
				t.Fatalf("%q with %q and %q has %d tokens, want %d: %q", text, x, y, n, want, out)
			}
		case PlaceHeader:
			if badInHeader(string(out)) {
				t.Fatalf("%q with %q: %q", text, x, out)
			}
		case PlaceForm:
			if n, m := strings.Count(string(out), "&"), strings.Count(string(plain), "&"); n != m {
				t.Fatalf("%q with %q: %q", text, x, out)
			}
			if a, err := url.QueryUnescape(string(plain)); err == nil {
				if b, err := url.QueryUnescape(string(out)); err != nil ||
					len(tmpl.Vars()) == 0 && a != b {
					t.Fatalf("%q with %q: %q, %v", text, x, out, err)
				}
			}
		case PlaceXML:
			if strings.Count(string(out), "<") != strings.Count(string(plain), "<") {
				t.Fatalf("%q with %q: %q", text, x, out)
			}
			if wellFormed(plain) && !wellFormed(out) {
				t.Fatalf("%q with %q is no XML: %q", text, x, out)
			}
		}
	})
}

func plainly(name string) (Value, bool) {
	switch name {
	case "y":
		return Value{Text: "1", Kind: JSON}, true
	case "base64":
		return Value{Kind: Content}, true
	}
	return Value{Text: "a"}, true
}

// tokens counts the tokens of JSON.
func tokens(text []byte) (n int) {
	for d := json.NewDecoder(bytes.NewReader(text)); ; n++ {
		if _, err := d.Token(); err != nil {
			return n
		}
	}
}

func wellFormed(text []byte) bool {
	d := xml.NewDecoder(strings.NewReader(string(text)))
	for {
		if _, err := d.Token(); err != nil {
			return err.Error() == "EOF"
		}
	}
}

func BenchmarkExpandJSON(b *testing.B) {
	tmpl, err := Parse(`{"sku":"{name}","size":{size},"image":"{base64}"}`, PlaceJSON)
	test.OK(b, err)
	b.ReportAllocs()
	var room [256]byte
	for b.Loop() {
		_, _, err := tmpl.Expand(room[:0], sample)
		test.OK(b, err)
	}
}
