// Package template fills variables such as {name} into URLs, headers and bodies, each value encoded
// for its place, so that no value can change the structure of what it is put into. What a variable
// stands for is its callers' business.
//
// A variable is an identifier in braces: a letter or '_', and then letters, digits, '_', '-' and
// '.'. All other braces are text. Where a variable would stand, one more opening brace before it
// makes it text: {{name} is the text {name}.
package template

import (
	"errors"
	"fmt"
	"mime"
	"slices"
	"strings"
)

// A Place is what a template's text is, which says how values are encoded in it. URLs have a type
// of their own, [URL].
type Place uint8

// The places.
const (
	PlaceRaw    Place = iota // values stand as they are
	PlaceHeader              // likewise, but control characters are refused
	PlaceJSON                // within a string its text, elsewhere a JSON value
	PlaceXML                 // escaped; refused are characters that XML does not have
	PlaceForm                // application/x-www-form-urlencoded: percent-encoded
)

// PlaceOf returns the place of a body with a media type.
func PlaceOf(contentType string) Place {
	t, _, err := mime.ParseMediaType(contentType)
	switch {
	case err != nil:
		return PlaceRaw
	case strings.HasSuffix(t, "/json"), strings.HasSuffix(t, "+json"):
		return PlaceJSON
	case strings.HasSuffix(t, "/xml"), strings.HasSuffix(t, "+xml"):
		return PlaceXML
	case t == "application/x-www-form-urlencoded":
		return PlaceForm
	}
	return PlaceRaw
}

// A Template is a text with variables, such as a header's value or a body. It is immutable and safe
// for concurrent use.
type Template struct {
	place Place
	parts []part
}

// A part is text, ready to be sent, or a variable.
type part struct {
	text  string
	name  string // not empty: a variable
	query bool   // it is in a URL's query
	bare  bool   // it is in JSON, and in no string
}

// Parse reads a template. A text that is to be JSON must be that whatever the values are. {base64}
// is refused in headers, and any variable in a CDATA section of XML, where nothing can be escaped.
func Parse(text string, place Place) (*Template, error) {
	t := &Template{place: place}
	var lit []byte
	var json jsonState
	flush := func() {
		if len(lit) > 0 {
			t.parts = append(t.parts, part{text: string(lit)})
			lit = lit[:0]
		}
	}
	scan(text, func(s string) {
		lit = append(lit, s...)
		json.read(s)
	}, func(name string) {
		flush()
		t.parts = append(t.parts, part{name: name, bare: place == PlaceJSON && !json.quoted})
	})
	flush()
	return t, t.check()
}

func (t *Template) check() error {
	switch t.place {
	case PlaceHeader:
		for _, p := range t.parts {
			if p.name == contentVar {
				return errors.New("{base64} is the whole file, and too long for a header: it can " +
					"be in bodies and form fields")
			}
			if badInHeader(p.text) {
				return errBadInHeader
			}
		}
	case PlaceJSON:
		// With these samples each variable is once nothing and once a letter in its string, or once
		// a string and once a number: if all is JSON with both, it is with any other value.
		if err := t.checkJSON("", `""`); err != nil {
			return err
		}
		return t.checkJSON("x", "0")
	case PlaceXML:
		return t.checkXML()
	}
	return nil
}

// Vars returns the names of the variables, in order, each once.
func (t *Template) Vars() []string { return names(t.parts, func(part) bool { return true }) }

// Expand appends the text with vars' values in place to dst. Where the base64 of the item's content
// stands, holes has the offsets in the text; the caller fills them, in [PlaceForm] percent-encoded.
//
// It fails with an [*UnknownVarError] for a variable that vars does not know, and for a value that
// its place cannot have. No error quotes a value.
func (t *Template) Expand(dst []byte, vars Values) (text []byte, holes []int, err error) {
	for _, p := range t.parts {
		if p.name == "" {
			dst = append(dst, p.text...)
			continue
		}
		v, ok := vars(p.name)
		switch {
		case !ok || v.Kind == Later:
			return nil, nil, &UnknownVarError{Name: p.name}
		case v.Kind == Content && t.place == PlaceHeader:
			return nil, nil, fmt.Errorf("{%s} is too long for a header", p.name)
		case v.Kind == Content && p.bare:
			holes = append(holes, len(dst)+1)
			dst = append(dst, `""`...)
		case v.Kind == Content:
			holes = append(holes, len(dst))
		default:
			if dst, err = t.append(dst, p, v); err != nil {
				return nil, nil, fmt.Errorf("{%s}: %w", p.name, err)
			}
		}
	}
	return dst, holes, nil
}

// append appends a value, encoded for its place.
func (t *Template) append(dst []byte, p part, v Value) ([]byte, error) {
	if v.IsNull() && !p.bare {
		return nil, errNull
	}
	switch t.place {
	case PlaceHeader:
		if badInHeader(v.Text) {
			return nil, errBadInHeader
		}
	case PlaceJSON:
		if !p.bare || v.Kind != JSON {
			return appendJSON(dst, v.Text, p.bare)
		}
	case PlaceXML:
		return appendXML(dst, v.Text)
	case PlaceForm:
		return escape(dst, v.Text, false), nil
	}
	return append(dst, v.Text...), nil
}

// Has reports whether the template, which may be nil, has a variable.
func (t *Template) Has(name string) bool {
	return t != nil && slices.ContainsFunc(t.parts, func(p part) bool { return p.name == name })
}
