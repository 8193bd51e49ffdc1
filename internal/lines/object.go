package lines

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/penstock/penstock/internal/human"
)

var (
	errNoObject = errors.New(`no JSON object such as {"path":"a.csv"}`)
	errNoUTF8   = errors.New("not valid UTF-8")
	errUTF16    = errors.New("the file is UTF-16: save it as UTF-8")
)

// A parser is reused, for lines are many and short.
type parser struct {
	text bytes.Buffer
	dec  jsontext.Decoder
}

var parsers = sync.Pool{New: func() any { return new(parser) }}

// Object calls field for each field of the JSON object that a line holds. The value is as it is
// written. Both are valid until field returns. An error of field ends the object.
//
// Two fields with one name and escapes of half a surrogate pair, which is how Python writes names
// that are not UTF-8, are errors. The package encoding/json would take the last field, and replace
// the half, and so name another file.
func Object(text []byte, field func(name []byte, value jsontext.Value) error) error {
	switch {
	case bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")):
		return errUTF16
	case !utf8.Valid(text):
		return errNoUTF8
	}
	p := parsers.Get().(*parser)
	defer parsers.Put(p)
	p.text = *bytes.NewBuffer(text)
	dec := &p.dec
	dec.Reset(&p.text)
	switch first, err := dec.ReadToken(); {
	case err != nil:
		return syntaxError(text, err)
	case first.Kind() != '{':
		return errNoObject
	}
	for dec.PeekKind() != '}' {
		name, err := dec.ReadValue()
		if err != nil {
			return syntaxError(text, err)
		}
		name = unquoted(name)
		value, err := dec.ReadValue()
		if err != nil {
			return syntaxError(text, err)
		}
		if err := field(name, value); err != nil {
			return err
		}
	}
	if _, err := dec.ReadToken(); err != nil {
		return syntaxError(text, err)
	}
	// A decoder takes what follows for the next value.
	if rest := bytes.TrimLeft(text[dec.InputOffset():], " \t\r\n"); len(rest) > 0 {
		r, _ := utf8.DecodeRune(rest)
		return syntaxError(text, fmt.Errorf("invalid character %q after top-level value", r))
	}
	return nil
}

// syntaxError words an error that package jsontext has found in a text.
func syntaxError(text []byte, err error) error {
	var se *jsontext.SyntacticError
	var where string
	if errors.As(err, &se) {
		err = se.Err
		var names []string
		for name := range se.JSONPointer.Tokens() {
			names = append(names, human.Quote(name))
		}
		where = strings.Join(names, ": ")
	}
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return errors.New(where + " is given twice")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		err = errors.New("unexpected end of JSON input")
	case json.Valid(text): // jsontext refuses nothing else that JSON allows
		return fmt.Errorf(`%s: has a \u escape that is no character`, cmp.Or(where, "a name"))
	}
	return fmt.Errorf("no JSON, one object a line: %w", err)
}

// unquoted returns what a JSON string says. Without escapes that is a part of it.
func unquoted(text jsontext.Value) []byte {
	if bytes.IndexByte(text, '\\') < 0 {
		return text[1 : len(text)-1]
	}
	name, _ := jsontext.AppendUnquote(nil, text) // which was read without an error
	return name
}

// Scalar returns the value of a string, or a number as it is written.
func Scalar(value jsontext.Value) (string, error) {
	switch value.Kind() {
	case '"':
		return string(unquoted(value)), nil
	case '0':
		return string(value), nil
	}
	return "", errors.New("neither a string nor a number")
}
