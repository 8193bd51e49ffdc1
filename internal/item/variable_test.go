package item

import (
	"testing"
	"time"

	"github.com/penstock/penstock/internal/template"
)

func TestValue(t *testing.T) {
	it := &Item{Path: "data/2026/a.tar.gz", Rel: "2026/a.tar.gz", Key: "k",
		Fingerprint: Fingerprint{Size: 7,
			ModTime: time.Date(2026, 7, 1, 2, 3, 4, 5, time.FixedZone("", 3600))},
		Fields: template.Fields{"sku": {Text: "1.0", Kind: template.JSON}, "ext": {Text: "own"}}}
	later := template.Value{Kind: template.Later}
	for name, want := range map[string]template.Value{
		"name": {Text: "a.tar.gz"}, "stem": {Text: "a.tar"}, "ext": {Text: "own"},
		"path": {Text: "2026/a.tar.gz"}, "dir": {Text: "2026"}, "key": {Text: "k"},
		"size": {Text: "7", Kind: template.JSON}, "mtime": {Text: "2026-07-01T01:03:04Z"},
		"sku": {Text: "1.0", Kind: template.JSON}, "sha256": later, "md5_base64": later,
		"base64": later, "uuid": later,
	} {
		if v, ok := it.Value(name); v != want || !ok {
			t.Errorf("{%s} is %+v, %v, want %+v", name, v, ok, want)
		}
	}
	it = &Item{Path: "x."}
	for name, known := range map[string]bool{"sku": false, "key": false, "stem": true} {
		if v, ok := it.Value(name); ok != known || v.Text != map[bool]string{true: "x"}[known] {
			t.Errorf("{%s} is %+v, %v", name, v, ok)
		}
	}
	for base, want := range map[string][2]string{
		"x.": {"x", ""}, ".bashrc": {".bashrc", ""}, "README": {"README", ""},
		"a.b.c": {"a.b", "c"},
	} {
		if stem, ext := part(base, "stem"), part(base, "ext"); stem != want[0] || ext != want[1] {
			t.Errorf("%s is %q and %q", base, stem, ext)
		}
	}
}
