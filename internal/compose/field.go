package compose

import (
	"errors"
	"fmt"
	"strings"

	"github.com/penstock/penstock/internal/human"
)

// A spec is a field of a form as a user spells it.
type spec struct {
	name  string
	kind  kind
	value string // the value, or the file's path

	typ, filename        string
	hasType, hasFilename bool
}

// A kind is what a field holds.
type kind uint8

const (
	valueField kind = iota
	fileField       // a file, under its name
	textField       // the text of a file
	itemField       // the item's own file, under its name
)

// readField reads a field as curl's --form does: NAME=VALUE, NAME=@FILE or NAME=<FILE, and then
// perhaps ;type=TYPE and ;filename=NAME. A value, path or name that has a semicolon, or blanks at
// its ends, stands in quotes, in which a backslash escapes a quote or a backslash. A NAME alone
// holds the item's file.
//
// Where curl warns and leaves out what it does not know, or sends something that is not a field,
// it fails.
func readField(s string) (f spec, err error) {
	var found bool
	f.name, s, found = strings.Cut(s, "=")
	switch {
	case f.name == "":
		return f, errors.New("a field needs a name: NAME=VALUE, NAME=@FILE or NAME=<FILE")
	case !found:
		f.kind = itemField
		return f, nil
	case strings.HasPrefix(s, "("):
		return f, f.error(`a form within a form ("=(") is not supported; a value that begins ` +
			`so stands in quotes, NAME="(…)"`)
	case strings.HasPrefix(s, "@"):
		f.kind, s = fileField, s[1:]
	case strings.HasPrefix(s, "<"):
		f.kind, s = textField, s[1:]
	}
	if f.value, s, err = word(s, f.kind == fileField); err != nil {
		return f, fieldError(f.name, err)
	}
	if f.kind != valueField {
		switch f.value {
		case "":
			return f, f.error("no file is named")
		case "-":
			return f, f.error("standard input cannot be a part of each request: name a file")
		}
	}
	if strings.HasPrefix(s, ",") {
		return f, f.error("several files in one field: give the field once for each file, " +
			`or quote a name that has a comma, NAME=@"a,b"`)
	}
	return f, f.parameters(s)
}

// parameters reads what follows a value.
func (f *spec) parameters(s string) (err error) {
	for s != "" {
		s = trimLeft(s[1:]) // the semicolon
		switch {
		case strings.HasPrefix(s, "type="):
			f.hasType = true
			f.typ, s = mediaType(s[len("type="):])
			if major, minor, ok := strings.Cut(f.typ, "/"); !strings.Contains(f.typ, "{") &&
				(!ok || major == "" || minor == "") {
				return f.error("the type " + human.Quote(f.typ) +
					" is none such as image/jpeg")
			}
		case strings.HasPrefix(s, "filename="):
			f.hasFilename = true
			f.filename, s, err = word(s[len("filename="):], false)
		case strings.HasPrefix(s, "headers="), strings.HasPrefix(s, "encoder="):
			name, _, _ := strings.Cut(s, "=")
			return f.error(";" + name + "= is not supported")
		case s == "": // curl ignores it as well
		default:
			return f.error("a semicolon stands before neither type= nor filename=: a value that " +
				`has one stands in quotes, NAME="a;b"`) // and may be a secret
		}
		if err != nil {
			return fieldError(f.name, err)
		}
	}
	return nil
}

// mediaType reads a type, which may have parameters of its own: it ends before one of a field.
func mediaType(s string) (typ, rest string) {
	end := 0
	for {
		n := strings.IndexByte(s[end:], ';')
		if n < 0 {
			return trim(s), ""
		}
		end += n
		next := trimLeft(s[end+1:])
		for _, name := range []string{"filename=", "headers=", "encoder="} {
			if strings.HasPrefix(next, name) {
				return trim(s[:end]), s[end:]
			}
		}
		end++
	}
}

// word reads a word, perhaps in quotes, up to a semicolon, or a comma where that ends it too.
func word(s string, comma bool) (value, rest string, err error) {
	ends := ";"
	if comma {
		ends = ";,"
	}
	s = trimLeft(s)
	value, rest, isQuoted := quoted(s)
	if !isQuoted {
		rest = s
	}
	end := strings.IndexAny(rest, ends)
	if end < 0 {
		end = len(rest)
	}
	outside := trim(rest[:end])
	switch {
	case !isQuoted:
		value = outside
	case outside != "":
		err = errors.New("there is text behind the closing quote of its value")
	}
	return value, rest[end:], err
}

// quoted reads what stands in quotes at the beginning. Without the second one there are none.
func quoted(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		return "", "", false
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:], true
		case s[i] == '\\' && i+1 < len(s) && (s[i+1] == '\\' || s[i+1] == '"'):
			i++
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}

func (f *spec) error(why string) error { return fieldError(f.name, errors.New(why)) }

const space = " \t\n\v\f\r"

func trim(s string) string     { return strings.Trim(s, space) }
func trimLeft(s string) string { return strings.TrimLeft(s, space) }

func fieldError(name string, err error) error {
	return fmt.Errorf("the field %s: %w", human.Quote(name), err)
}

// readString reads a field as curl's --form-string does.
func readString(s string) (f spec, err error) {
	var found bool
	if f.name, f.value, found = strings.Cut(s, "="); f.name == "" || !found {
		err = errors.New("want NAME=VALUE")
	}
	return f, err
}
