package compose

import (
	"encoding/base64"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/filebody"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/sequence"
	"github.com/penstock/penstock/internal/template"
	"github.com/penstock/penstock/internal/test"
)

var old = time.Now().Add(-24 * time.Hour).Truncate(time.Second)

func write(t *testing.T, name, content string) {
	t.Helper()
	test.OK(t, errors.Join(os.WriteFile(name, []byte(content), 0o600), os.Chtimes(name, old, old)))
}

func formOf(t *testing.T, fields ...string) *Template {
	t.Helper()
	form := new(Template)
	for _, f := range fields {
		test.OK(t, form.AddField(f))
	}
	return form
}

// inDir makes files in a new working directory, and an item of the first.
func inDir(t *testing.T, names ...string) *item.Item {
	t.Helper()
	t.Chdir(t.TempDir())
	for _, name := range names {
		test.OK(t, os.MkdirAll(filepath.Dir(name), 0o700))
		write(t, name, "of "+name)
	}
	return &item.Item{Path: filepath.FromSlash(names[0]), Rel: filepath.Base(names[0]),
		Method: "POST", URL: "http://h/"}
}

// values are those of an item, with what a look at its content gives.
func values(it *item.Item) template.Values {
	return func(name string) (template.Value, bool) {
		if _, ok := it.Fields[name]; !ok && name == "base64" {
			return template.Value{Kind: template.Content}, true
		}
		return it.Value(name)
	}
}

func bodyOf(t *testing.T, c *Content, it *item.Item) *Body {
	t.Helper()
	info, err := c.Stat()
	test.OK(t, err)
	b, err := c.Body(info, values(it), c.Boundary(it))
	test.OK(t, err)
	return b
}

// Files of a body are found where they are named: by the file as it was named, by a line relative
// to its manifest, and else relative to the working directory.
func TestFilesOfFields(t *testing.T) {
	it := inDir(t, "d/sub/a.jpg", "d/sub/a.json", "d/front.png", "common.json")
	it.Fields = template.Fields{"front": {Text: "front.png"}, "side": {Text: "sub/a.json"}}
	for field, want := range map[string]string{
		"f=@{path}":             "d/sub/a.jpg",
		"f=@{dir}/{stem}.json":  "d/sub/a.json",
		"f=<{dir}/{stem}.json":  "d/sub/a.json",
		"f=@{front}":            "d/front.png",
		"f=@d/{front}":          "d/front.png",
		"f=@common.json":        "common.json",
		"f=@./d/sub/../{front}": "d/front.png",
		"f":                     "d/sub/a.jpg",
		"f={base64}":            "base64",
	} {
		c, err := formOf(t, field).Content(it, "d")
		test.OK(t, err)
		body, _ := sentBody(t, c, it)
		if want == "base64" {
			want = base64.StdEncoding.EncodeToString([]byte("of d/sub/a.jpg"))
		} else {
			want = "of " + want
		}
		_, content, _ := strings.Cut(body, "\r\n\r\n")
		if !strings.HasPrefix(content, want+"\r\n") {
			t.Errorf("%s: %q, want %q", field, content, want)
		}
	}
}

func sentBody(t *testing.T, c *Content, it *item.Item) (body, contentType string) {
	t.Helper()
	return read(t, bodyOf(t, c, it)), c.ContentType(c.Boundary(it))
}

// Other files that are sent count in the fingerprint. The template does not, nor does what depends
// on the file itself.
func TestRest(t *testing.T) {
	it := inDir(t, "a.jpg", "a.json", "b.json")
	it.Fields = template.Fields{"side": {Text: "a.json"}}
	rest := func(form *Template) uint64 {
		t.Helper()
		c, err := form.Content(it, "")
		test.OK(t, err)
		own, err := os.Stat("a.jpg")
		test.OK(t, err)
		f, err := c.Complete(item.FingerprintOf(own))
		test.OK(t, err)
		info, err := c.Stat()
		test.OK(t, err)
		if now := item.FingerprintOf(info); !now.Equal(f) {
			t.Errorf("%+v by looking, and %+v", now, f)
		}
		return f.Rest
	}
	if rest(formOf(t, "file")) != 0 || rest(formOf(t, "image=@{path}", "a=1", "b={name}")) != 0 {
		t.Error("a form with the file alone is marked, so earlier journals do not know it")
	}
	form := formOf(t, "file", "sum={sha256}", "side=@{side}")
	was := rest(form)
	if was == 0 || was != rest(form) {
		t.Errorf("%d", was)
	}
	seen := map[uint64]bool{was: true}
	for i, change := range []func(){
		func() { write(t, "a.json", "longer than it was") },
		func() { test.OK(t, os.Chtimes("a.json", old, old.Add(time.Second))) },
		func() { it.Fields["side"] = template.Value{Text: "b.json"} },
	} {
		change()
		now := rest(form)
		if seen[now] {
			t.Errorf("change %d does not count", i)
		}
		seen[now] = true
	}
	now := rest(form)
	form = formOf(t, "x=1", "file", "sum={md5}", "side=@{side};type=a/b")
	if rest(form) != now {
		t.Error("the template counts")
	}
	write(t, "a.jpg", "longer than it was")
	if rest(form) != now {
		t.Error("a change of the file counts twice")
	}
}

// [bodies] A file that changes after it was seen fails the opening, or the reading before the body
// is whole.
func TestChanged(t *testing.T) {
	const large = filebody.MaxSmall + 1
	for _, size := range []int{5, large} {
		for _, field := range []string{"f=@{path}", "f=@side", "f=<side", "f={base64}"} {
			for _, name := range []string{"a", "side"} {
				used := strings.Contains(field, "side") == (name == "side")
				it := inDir(t, "a", "side")
				write(t, "a", strings.Repeat("a", size))
				write(t, "side", strings.Repeat("b", size))
				c, err := formOf(t, field, "after=1").Content(it, "")
				test.OK(t, err)
				b := bodyOf(t, c, it)
				write(t, name, strings.Repeat("c", size+1))
				r, err := b.Open(t.Context())
				var got []byte
				if err == nil {
					got, err = io.ReadAll(r)
					r.Close()
				}
				if errors.Is(err, item.ErrChanged) != used ||
					used && strings.Contains(string(got), "after") {
					t.Errorf("%s, %d bytes, %s changed: %v, %d bytes sent", field, size, name, err,
						len(got))
				}
				info, err := c.Stat()
				test.OK(t, err)
				was := b.state
				noticed := item.FingerprintOf(was).Changed(info)
				if noticed != (used || name == "a") || item.Replaced(was, info) {
					t.Errorf("%s, %s changed: noticed %t", field, name, noticed)
				}
			}
		}
	}
}

func TestReplaced(t *testing.T) {
	it := inDir(t, "a", "side")
	c, err := formOf(t, "f=@{path}", "g=@side").Content(it, "")
	test.OK(t, err)
	was, err := c.Stat()
	test.OK(t, err)
	write(t, "new", "of side")
	test.OK(t, os.Rename("new", "side"))
	now, err := c.Stat()
	test.OK(t, err)
	if item.FingerprintOf(was).Changed(now) || !item.Replaced(was, now) || item.Replaced(now, now) {
		t.Error("not noticed")
	}
	if _, err := bodyOf(t, c, it).Open(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestMissing(t *testing.T) {
	it := inDir(t, "a", "d/b")
	for field, want := range map[string]string{
		"f=@none\n{name}": `the file "none\na" cannot be read: no such file or directory`,
		"f=@d":            `the file "d" cannot be read: it is no regular file`,
		"f=<{name}/b":     `the file "a/b" cannot be read: not a directory`,
	} {
		c, err := formOf(t, field).Content(it, "")
		test.OK(t, err)
		_, completing := c.Complete(item.Fingerprint{})
		_, looking := c.Stat()
		for _, err := range []error{completing, looking} {
			if err == nil || item.ReadError(err).Error() != want {
				t.Errorf("%q: %v, want %s", field, err, want)
			}
		}
	}
	c, err := formOf(t, "f").Content(it, "")
	test.OK(t, err)
	test.OK(t, os.Remove("a"))
	if _, err := c.Stat(); err == nil || errors.As(err, new(*FileError)) {
		t.Errorf("of the item's own: %v", err)
	}
}

// What an item alone does not have is its failure.
func TestItemsOwnFailures(t *testing.T) {
	parse := func(text string, place template.Place) *Template {
		tmpl, err := ParseText(text, place, "a/b")
		test.OK(t, err)
		return tmpl
	}
	latin1 := &item.Item{Path: "\xfc.jpg", Rel: "\xfc.jpg"}
	pathless := &item.Item{Path: "line 1", Hash: "1"}
	for _, c := range []struct {
		of   *item.Item
		tmpl *Template
		want string
	}{
		{latin1, parse(`{"a":"{name}"}`, template.PlaceJSON), "{name}: not valid UTF-8"},
		{latin1, parse(`{"a":{name}}`, template.PlaceJSON), "{name}: not valid UTF-8"},
		{latin1, parse(`<a>{name}</a>`, template.PlaceXML), "{name}: not valid UTF-8"},
		{latin1, parse(`{name}`, template.PlaceRaw), ""},
		{latin1, formOf(t, "f={name}"), ""},
		{&item.Item{Path: "a\nb"}, formOf(t, "f=x;type={name}/b"),
			`the field "f": {name}: a newline`},
		{pathless, parse(`{name}`, template.PlaceRaw), "unknown variable {name}"},
		{pathless, parse(`{sha256}`, template.PlaceRaw), "the item has no file"},
		{pathless, parse(`{uuid}`, template.PlaceRaw), ""},
		{pathless, formOf(t, "f"), "the item has no file"},
		{pathless, formOf(t, "f=@{path}"), "unknown variable {path}"},
	} {
		_, err := c.tmpl.Content(c.of, "")
		if c.want == "" && err != nil || c.want != "" &&
			(err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q: %v, want %q", c.of.Path, err, c.want)
		}
	}
}

// An item without a file is as large as what it sends, and has no time.
func TestNoFile(t *testing.T) {
	inDir(t, "a", "b")
	it := &item.Item{Path: "line 1", Hash: "1", Fields: template.Fields{"x": {Text: "a"}}}
	tmpl, err := ParseText(`{"x":"{x}"}`, template.PlaceJSON, "application/json")
	test.OK(t, err)
	c, err := tmpl.Content(it, "")
	test.OK(t, err)
	f, err := c.Complete(item.Fingerprint{})
	if f.Size != 9 || !f.ModTime.IsZero() || f.Rest != 0 || err != nil {
		t.Errorf("%+v, %v", f, err)
	}
	r, info, err := c.Open(t.Context(), nil)
	test.OK(t, err)
	own, err := io.ReadAll(r)
	if string(own) != `{"x":"a"}` || !item.FingerprintOf(info).Equal(f) || err != nil {
		t.Errorf("%q, %+v, %v", own, info, err)
	}
	if got, _ := sentBody(t, c, it); got != `{"x":"a"}` {
		t.Error(got)
	}
	if c, err = formOf(t, "f=@{x}", "g=@b").Content(it, ""); err != nil {
		t.Fatal(err)
	}
	body, _ := sentBody(t, c, it)
	if !strings.Contains(body, "of a\r\n") || !strings.Contains(body, "of b\r\n") {
		t.Errorf("%q", body)
	}
	if f, _ := c.Complete(item.Fingerprint{}); f.Size < 8 || f.Size > int64(len(body)) {
		t.Errorf("%d bytes of %d", f.Size, len(body))
	}
}

func TestText(t *testing.T) {
	rest := func(c *Text) uint64 {
		info, err := c.Stat()
		f := item.FingerprintOf(info)
		if f.Size != int64(len(c.Data)) || !f.ModTime.IsZero() || err != nil || f.Changed(info) ||
			item.Replaced(info, info) {
			t.Errorf("%+v, %v", f, err)
		}
		return f.Rest
	}
	a, b := &Text{[]byte("ab"), "text/plain"}, &Text{[]byte("ac"), "text/plain"}
	if rest(a) == rest(b) || rest(a) == rest(&Text{a.Data, "a/b"}) || rest(a) == 0 {
		t.Error("two texts look the same")
	}
	r, _, err := a.Open(t.Context(), nil)
	test.OK(t, err)
	if got, err := io.ReadAll(r); string(got) != "ab" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestParseText(t *testing.T) {
	for text, place := range map[string]template.Place{
		`{"a":`: template.PlaceJSON, "a={base64}": template.PlaceForm,
	} {
		if _, err := ParseText(text, place, "a/b"); err == nil {
			t.Errorf("%s is accepted", text)
		}
	}
}

func TestCheckFiles(t *testing.T) {
	inDir(t, "a", "d/b")
	for field, want := range map[string]string{
		"f=@a": "", "f=@{path}": "", "f=none": "", "f": "", "f=@{{a}": "no such file",
		"f=@none": "no such file", "f=<d": "no regular file",
	} {
		err := formOf(t, field).CheckFiles()
		if want == "" && err != nil || want != "" && (err == nil ||
			!strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", field, err, want)
		}
	}
}

// A body without files is sent together with its header.
func TestInMemory(t *testing.T) {
	it := inDir(t, "a")
	for field, want := range map[string]bool{"f=1": true, "f=@{path}": false} {
		c, err := formOf(t, field).Content(it, "")
		test.OK(t, err)
		r, err := bodyOf(t, c, it).Open(t.Context())
		test.OK(t, err)
		if _, is := r.(*sequence.Memory); is != want {
			t.Errorf("%s: %T", field, r)
		}
		r.Close()
	}
}

// Of many items that wait, the memory does not depend on what their template has.
func TestContentIsSmall(t *testing.T) {
	it := inDir(t, "a")
	large, err := ParseText(`"`+strings.Repeat("x", 1<<20)+`{name}"`, template.PlaceJSON,
		"application/json")
	test.OK(t, err)
	c, err := large.Content(it, "")
	test.OK(t, err)
	if cap(c.text) > 0 {
		t.Errorf("an item keeps %d bytes", cap(c.text))
	}
	it.Content = c
	if _, _, text := Show(it); len(text) != 1<<20+3 {
		t.Errorf("%d bytes are shown", len(text))
	}
}
