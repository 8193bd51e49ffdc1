package source

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/penstock/penstock/internal/compose"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/lines"
	"github.com/penstock/penstock/internal/secret"
	"github.com/penstock/penstock/internal/template"
)

// An entry is one line of a manifest: a JSON object with, as far as the line says so, "path",
// "url", "method", "headers", "key" and "body"; one of these that is null is taken for absent. All
// other fields are variables, and so is "body" where the run makes the bodies of all items.
type entry struct {
	path   string
	hash   string        // of the line, if it has no path
	body   *compose.Text // if nil, what is sent is the file, or made as for all items
	url    string        // as it is written
	target *template.URL // of "url", without variables
	method string
	key    string
	header http.Header
	fields template.Fields // "key" included
}

// parseEntry reads a line. It checks all that can be wrong without a look at the disk.
func parseEntry(text []byte, ownBody bool) (entry, error) {
	e := entry{fields: template.Fields{}}
	err := lines.Object(text, func(b []byte, value jsontext.Value) (err error) {
		name := string(b)
		switch {
		case !slices.Contains(known, name), name == "body" && !ownBody:
			e.fields[name] = fieldValue(value)
			return nil
		case value.Kind() == 'n':
			return nil
		case name == "headers":
			e.header, err = parseHeader(value)
			return err
		case name == "body":
			e.body, err = parseBody(value)
			return err
		}
		v, err := lines.Scalar(value)
		if err != nil {
			return fmt.Errorf("%s: %w", human.Quote(name), err)
		}
		switch name {
		case "path":
			e.path = v
		case "url":
			e.url = v
		case "method":
			e.method = strings.ToUpper(v)
			err = checkMethod(e.method)
		case "key":
			e.key, e.fields[name] = v, template.Value{Text: v}
			if err = checkHeaderValue(v); err == nil {
				err = CheckNoVariable(v)
			}
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", human.Quote(name), err)
		}
		return err
	})
	if err != nil {
		return entry{}, err
	}
	if e.path == "" {
		sum := sha256.Sum256(text)
		e.hash = string(sum[:])
	}
	if strings.Contains(e.url, secret.Mask) {
		return entry{}, errors.New(`"url" has *** where results hide a value: ` +
			`put the value in, or leave "url" out`)
	}
	if v := variable.FindString(e.url); v != "" {
		return entry{}, &Mistake{Kind: URLUnfilled, Text: fmt.Sprintf(`"url" has the variable %s, `+
			"and variables are filled in only in the URL", v)}
	}
	if e.url != "" {
		if e.target, err = template.LiteralURL(e.url); err != nil {
			return entry{}, fmt.Errorf(`"url": %w`, err)
		}
	}
	return e, nil
}

// fieldValue returns the value of a variable.
func fieldValue(value jsontext.Value) template.Value {
	if text, err := lines.Scalar(value); err == nil && value.Kind() == '"' {
		return template.Value{Text: text}
	}
	return template.Value{Text: string(value), Kind: template.JSON}
}

// parseBody reads the body of a line: an object or an array as it is written, or the text of a
// string.
func parseBody(value jsontext.Value) (*compose.Text, error) {
	switch value.Kind() {
	case '{', '[':
		return &compose.Text{Data: bytes.Clone(value), Type: "application/json"}, nil
	case '"':
		text, err := lines.Scalar(value)
		return &compose.Text{Data: []byte(text), Type: "text/plain; charset=utf-8"}, err
	}
	return nil, errors.New(`"body": want an object or an array, which are sent as JSON, or a string`)
}

func parseHeader(object jsontext.Value) (http.Header, error) {
	if object.Kind() != '{' {
		return nil, errors.New(`"headers": not an object of strings`)
	}
	h := make(http.Header)
	err := lines.Object(object, func(b []byte, value jsontext.Value) error {
		name := string(b)
		v, err := lines.Scalar(value)
		if err == nil {
			err = CheckHeader(name, v)
		}
		if err == nil {
			err = CheckNoVariable(v)
		}
		if err == nil && h[http.CanonicalHeaderKey(name)] != nil {
			err = errors.New("is given twice")
		}
		if err != nil {
			return fmt.Errorf(`"headers": %s: %w`, human.Quote(name), err)
		}
		h.Set(name, strings.TrimSpace(v))
		return nil
	})
	return h, err
}
