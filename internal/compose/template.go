// Package compose makes the bodies of requests that are more than one file: forms with several
// fields, JSON and other texts with values of the item in them, and the bodies that lines of a
// manifest bring along. Files in them are streamed.
package compose

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/template"
)

// A Template is what the bodies of all items are made of. It is immutable once it is complete, and
// then safe for concurrent use.
type Template struct {
	fields []field            // of a form
	text   *template.Template // of a body that is no form
	place  template.Place     // what that is
	typ    string             // its media type
}

// A field is a field of a form.
type field struct {
	name     string
	kind     kind
	value    *template.Template // the value, or the path of the file
	filename *template.Template // if nil, the base name of the file's path
	typ      *template.Template // if nil, that of a file's extension, and none for a value
	leading  string             // the variable that the path begins with, if it does with one
}

// ParseText reads the template of a body of that media type, whose text is what place says.
func ParseText(text string, place template.Place, contentType string) (*Template, error) {
	t, err := template.Parse(text, place)
	if err != nil {
		return nil, err
	}
	if place == template.PlaceForm && t.Has("base64") {
		return nil, errors.New("{base64} in application/x-www-form-urlencoded has a length that " +
			"is not known before it is read: send it in JSON, or in a field of a form")
	}
	return &Template{text: t, place: place, typ: contentType}, nil
}

// AddField adds a field to a form, as [readField] reads it. To begin with, t is the zero value.
func (t *Template) AddField(s string) error {
	f, err := readField(s)
	if err == nil {
		err = t.add(f)
	}
	return err
}

// AddString adds a field of the form NAME=VALUE whose value is taken as it is, but for variables.
func (t *Template) AddString(s string) error {
	f, err := readString(s)
	if err == nil {
		err = t.add(f)
	}
	return err
}

func (t *Template) add(f spec) (err error) {
	parsed := field{kind: f.kind}
	parse := func(s string, place template.Place) *template.Template {
		p, parseErr := template.Parse(s, place)
		err = cmp.Or(err, parseErr)
		return p
	}
	name := parse(f.name, template.PlaceRaw)
	parsed.value = parse(f.value, template.PlaceRaw)
	if f.hasFilename {
		parsed.filename = parse(f.filename, template.PlaceRaw)
	}
	if f.hasType {
		parsed.typ = parse(f.typ, template.PlaceHeader)
	}
	switch {
	case err != nil:
	case len(name.Vars()) > 0:
		err = fmt.Errorf("its name has the variable {%s}: only its value, file name and type can",
			name.Vars()[0])
	case parsed.filename.Has("base64"), parsed.path().Has("base64"):
		err = errors.New("{base64} is the whole file: it can be the value of a field")
	}
	if err != nil {
		return fieldError(f.name, err)
	}
	literal, _, _ := name.Expand(nil, nil)
	parsed.name = string(literal)
	if path := parsed.path(); path != nil {
		for _, name := range path.Vars() {
			if strings.HasPrefix(f.value, "{"+name+"}") {
				parsed.leading = name
			}
		}
	}
	t.fields = append(t.fields, parsed)
	return nil
}

// path returns the path of the field's file; nil if it has none, or the item's.
func (f field) path() *template.Template {
	if f.kind == fileField || f.kind == textField {
		return f.value
	}
	return nil
}

// IsForm reports whether the bodies are forms, whose media type has a boundary of its own.
func (t *Template) IsForm() bool { return t.text == nil }

// A Use is where variables are used.
type Use struct {
	Place string // such as `the field "id"`
	Vars  []string
	JSON  bool // it takes a null, too

	// Secret says that what looks like a variable may be a part of a credential.
	Secret bool
}

// Uses returns where variables are used.
func (t *Template) Uses() (uses []Use) {
	if t.text != nil {
		json := t.place == template.PlaceJSON
		return []Use{{Place: "the body", Vars: t.text.Vars(), JSON: json}}
	}
	for _, f := range t.fields {
		use := Use{Place: "the field " + human.Quote(f.name)}
		for _, p := range []*template.Template{f.value, f.filename, f.typ} {
			if p != nil {
				use.Vars = append(use.Vars, p.Vars()...)
			}
		}
		uses = append(uses, use)
	}
	return uses
}

// HoldsFile reports whether the bodies hold the items' files without naming them by a variable.
func (t *Template) HoldsFile() bool {
	return slices.ContainsFunc(t.fields, func(f field) bool { return f.kind == itemField })
}

// PathAsText returns the name of a field whose text has the path of the item's file, where no field
// has a file: probably an @ was forgotten.
func (t *Template) PathAsText() (name string, ok bool) {
	for _, f := range t.fields {
		if f.kind != valueField {
			return "", false
		}
		if !ok && slices.Contains(f.value.Vars(), "path") {
			name, ok = f.name, true
		}
	}
	return name, ok
}

// CheckFiles returns an error if a file that is a part of all bodies cannot be read.
func (t *Template) CheckFiles() error {
	for _, f := range t.fields {
		p := f.path()
		if p == nil || len(p.Vars()) > 0 {
			continue
		}
		path, _, _ := p.Expand(nil, nil)
		if err := checkReadable(string(path)); err != nil {
			return fieldError(f.name, err)
		}
	}
	return nil
}

func checkReadable(path string) error {
	info, err := os.Stat(path)
	if err := checkRegular(path, info, err); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return &FileError{path, err}
	}
	return f.Close()
}

// A FileError says why a file that is a part of a body cannot be read. It names the file, which is
// not the item's.
type FileError struct {
	Path string
	Err  error
}

// Error names the path, quoted.
func (e *FileError) Error() string {
	err := e.Err
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		err = at.Err
	}
	return fmt.Sprintf("the file %s cannot be read: %v", human.Quote(e.Path), err)
}
