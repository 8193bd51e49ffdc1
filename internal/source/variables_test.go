package source

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/compose"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/template"
	"github.com/penstock/penstock/internal/test"
)

// uses are those of a header and of a body.
var uses = []compose.Use{
	{Place: "the header X-Sku", Vars: []string{"sku", "name", "sha256"}},
	{Place: "the body", Vars: []string{"note"}, JSON: true},
}

// What depends on the content is left in the URL. Of two files the URLs are then taken for two.
func TestVolatileVariables(t *testing.T) {
	tree(t, "d/a", "d/b", "e/a")
	o := Options{Paths: []string{"d", "e"}, Template: to(t, "http://h/{sha256}/{name}?u={uuid}"),
		Uses: []compose.Use{{Place: "the header X-Sum", Vars: []string{"md5", "dir"}}}}
	s, err := scan(t, o)
	test.OK(t, err)
	if want := []string{"http://h/{sha256}/a?u={uuid}"}; len(s.URLs) == 0 || s.URLs[0] != want[0] {
		t.Errorf("shown as %q", s.URLs)
	}
	expectSent(t, o,
		"d/a PUT /{sha256}/a?u={uuid}",
		"d/b PUT /{sha256}/b?u={uuid}",
		"e/a PUT /{sha256}/a?u={uuid}")
	got := mustNew(t, o).Vars()
	if diff := cmp.Diff([]string{"sha256", "name", "uuid", "md5", "dir"}, got); diff != "" {
		t.Error(diff)
	}
	o.Paths = []string{"d", "d"}
	_, err = scan(t, o)
	expectError(t, err, `"d/a" is named twice`)
}

// A field of a line wins over what the content would say.
func TestFieldsOfHeadersAndBodies(t *testing.T) {
	tree(t, "a")
	writeManifest(t, "m", `{"path":"a","sku":7,"note":null,"sha256":"given","other":1}`+"\n")
	o := Options{Manifest: "m", Template: to(t, "http://h/{sha256}"), Uses: uses}
	expectSent(t, o, "a PUT /given")
	null := template.Value{Text: "null", Kind: template.JSON}
	want := template.Fields{"sku": {Text: "7", Kind: template.JSON}, "note": null,
		"sha256": {Text: "given"}}
	if diff := cmp.Diff(want, items(t, mustNew(t, o))[0].Fields); diff != "" {
		t.Error(diff)
	}
	o.Uses = nil
	if f := items(t, mustNew(t, o))[0].Fields; f != nil {
		t.Errorf("fields that nothing asks for: %v", f)
	}
}

// A form without the item's file has no digest that stays from run to run.
func TestDigestsOfFormsWithoutFiles(t *testing.T) {
	tree(t)
	form := new(compose.Template)
	test.OK(t, form.AddField("sku={sku}"))
	header := []compose.Use{{Place: "the header X-Sum", Vars: []string{"sha256"}}}
	for _, c := range []struct {
		line, url string
		uses      []compose.Use
		want      string
	}{
		{`{"sku":7}`, "http://h/", header, `{sha256} is that of a file: no "path"`},
		{`{"sku":7}`, "http://h/{md5}", nil, `{md5} is that of a file: no "path"`},
		{`{"sku":7,"sha256":"1"}`, "http://h/", header, ""},
		{`{"sku":7}`, "http://h/{size}/{uuid}", nil, ""},
		{`{"body":"7"}`, "http://h/{md5}", header, ""},
	} {
		writeManifest(t, "m", c.line+"\n")
		o := Options{Manifest: "m", Template: to(t, c.url), Uses: c.uses}
		if !strings.Contains(c.line, "body") { // else that is what is sent
			o.Body = form
		}
		_, err := mustNew(t, o).Scan(t.Context())
		if c.want == "" {
			test.OK(t, err)
		} else {
			expectError(t, err, c.want)
		}
	}
}

func TestUnknownVariables(t *testing.T) {
	tree(t, "a")
	o := Options{Paths: []string{"a"}, Template: to(t, "http://h/{name}"), Uses: uses}
	_, err := New(o)
	expectError(t, err, "unknown variable {sku} in the header X-Sku: there are {name},")
	o.Paths, o.Manifest = nil, "m"
	for lines, want := range map[string]string{
		`{"path":"a","note":1}`:             `line 1: no "sku", which the header X-Sku has as {sku}`,
		`{"path":"a","note":1,"sku":null}`:  `line 1: no "sku", which the header X-Sku has as {sku}`,
		`{"path":"a","sku":1}`:              `line 1: no "note", which the body has as {note}`,
		`{"path":"a","sku":1,"Note":"x"}`:   `line 1: no "note", which the body has as {note}`,
		`{"path":"a","sku":1,"note":{}}`:    "",
		`{"path":"a","sku":"","note":null}`: "",
	} {
		writeManifest(t, "m", lines+"\n")
		_, err := scan(t, o)
		if want == "" {
			test.OK(t, err)
			continue
		}
		expectError(t, err, want)
	}
}

// Results do not have the fields that a manifest had, and show URLs as the content was.
func TestVariablesOfResults(t *testing.T) {
	tree(t, "d/a")
	writeManifest(t, "r", `{"type":"item","path":"d/a","rel":"a","url":"http://h/1234/a",`+
		`"method":"PUT","status":"failed"}`+"\n")
	o := Options{Manifest: "r", Only: item.FatesOf(item.Failed)}
	expectSent(t, o, "d/a PUT /1234/a")
	o.Template = to(t, "http://h/{md5}/{name}")
	expectSent(t, o, "d/a PUT /{md5}/a")
	o.Uses = uses
	_, err := scan(t, o)
	expectError(t, err, "the results do not have {sku} of the header X-Sku")
}
