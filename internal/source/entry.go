package source

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/lines"
	"github.com/penstock/penstock/internal/secret"
	"github.com/penstock/penstock/internal/urltemplate"
)

// An entry is one line of a manifest: a JSON object with "path" and, as far as the line says so,
// "url", "method", "headers" and "key". All other fields are strings or numbers, to be used as
// variables. A field that is null is taken for absent.
type entry struct {
	path   string
	target *urltemplate.Template // of "url", without variables
	method string
	key    string
	header http.Header
	fields map[string]string // "key" included
}

// parseEntry reads a line. It checks all that can be wrong without a look at the disk.
func parseEntry(text []byte) (entry, error) {
	e := entry{fields: map[string]string{}}
	var target string
	err := lines.Object(text, func(b []byte, value jsontext.Value) (err error) {
		name := string(b)
		switch {
		case value.Kind() == 'n':
			return nil
		case name == "headers":
			e.header, err = parseHeader(value)
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
			target = v
		case "method":
			e.method = strings.ToUpper(v)
			err = checkMethod(e.method)
		case "key":
			e.key, e.fields[name] = v, v
			if err = checkHeaderValue(v); err == nil {
				err = CheckNoVariable(v)
			}
		default:
			e.fields[name] = v
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
		return entry{}, errors.New(`no "path"`)
	}
	if strings.Contains(target, secret.Mask) {
		return entry{}, errors.New(`"url" has *** where results hide a value: ` +
			`put the value in, or leave "url" out`)
	}
	if v := variable.FindString(target); v != "" {
		return entry{}, &Mistake{Kind: URLUnfilled, Text: fmt.Sprintf(`"url" has the variable %s, `+
			"and variables are filled in only in the URL", v)}
	}
	if target != "" {
		if e.target, err = urltemplate.ParseURL(target); err != nil {
			return entry{}, fmt.Errorf(`"url": %w`, err)
		}
	}
	return e, nil
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
