package item

import (
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/template"
)

// Value returns the value of a variable: a field of the item's line, else what is known without a
// look at the content. Of what depends on that there are the size and the time, as the Fingerprint
// has them; the others are [template.Later].
//
// {ext} is without its dot; {stem} and {ext} split at the last dot that is not the first character,
// so .bashrc has no {ext}. An item without a file has none of these, nor {path} and {dir}.
func (it *Item) Value(name string) (v template.Value, ok bool) {
	if v, ok := it.Fields[name]; ok {
		return v, true
	}
	if it.NoFile() && (!template.Volatile(name) || name == "mtime") {
		return template.Value{Text: it.Key}, name == "key" && it.Key != ""
	}
	switch name {
	case template.PathVar:
		v.Text = it.Rel
	case "dir":
		v.Text = path.Dir(it.Rel)
	case "name", "stem", "ext":
		v.Text = part(filepath.Base(it.Path), name)
	case "key":
		return template.Value{Text: it.Key}, it.Key != ""
	case "size":
		v = template.Value{Text: strconv.FormatInt(it.Size, 10), Kind: template.JSON}
	case "mtime":
		v.Text = it.ModTime.UTC().Format(time.RFC3339)
	default:
		return template.Value{Kind: template.Later}, template.Volatile(name)
	}
	return v, true
}

// part returns a part of a file's name.
func part(base, name string) string {
	dot := strings.LastIndexByte(base, '.')
	if dot <= 0 {
		dot = len(base)
	}
	switch name {
	case "stem":
		return base[:dot]
	case "ext":
		return strings.TrimPrefix(base[dot:], ".")
	}
	return base
}
