package source

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/penstock/penstock/internal/secret"
)

// An entry is one line of a manifest: a JSON object with "path" and, as far as the line says so,
// "url", "method", "headers" and "key". All other fields are strings or numbers, to be used as
// variables. A field that is null is taken for absent.
type entry struct {
	path   string
	target *Template // of "url", without variables
	method string
	key    string
	header http.Header
	fields map[string]string // "key" included
}

// parseEntry reads a line. It checks all that can be wrong without a look at the disk.
func parseEntry(text []byte) (entry, error) {
	fields, err := object(text)
	if err != nil {
		return entry{}, err
	}
	e := entry{fields: map[string]string{}}
	var target string
	seen := make(map[string]struct{}, 8)
	for b, raw := range fields {
		name := string(b)
		if _, twice := seen[name]; twice {
			return entry{}, fmt.Errorf("%s is given twice", printable(name))
		}
		seen[name] = struct{}{}
		if string(raw) == "null" {
			continue
		}
		if name == "headers" {
			if e.header, err = parseHeader(raw); err != nil {
				return entry{}, err
			}
			continue
		}
		b, err := scalar(raw)
		if err != nil {
			return entry{}, fmt.Errorf("%s: %w", printable(name), err)
		}
		v := string(b)
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
			return entry{}, fmt.Errorf("%s: %w", printable(name), err)
		}
	}
	if e.path == "" {
		return entry{}, errors.New(`no "path"`)
	}
	if strings.Contains(target, secret.Mask) {
		return entry{}, errors.New(`"url" has *** where results hide a value: put the value in, or leave "url" out`)
	}
	if v := variable.FindString(target); v != "" {
		return entry{}, fmt.Errorf(`"url" has the variable %s, and variables are filled in only in the URL of --to: write the value out, or leave "url" out (%%7B is a real brace)`, v)
	}
	if target != "" {
		if e.target, err = parseURL(target, false); err != nil {
			return entry{}, fmt.Errorf(`"url": %w`, err)
		}
	}
	return e, nil
}

func parseHeader(raw []byte) (http.Header, error) {
	fields, err := object(raw)
	if err != nil {
		return nil, errors.New(`"headers": not an object of strings`)
	}
	h := make(http.Header)
	for b, raw := range fields {
		name := string(b)
		v, err := scalar(raw)
		if err == nil {
			err = CheckHeader(name, string(v))
		}
		if err == nil {
			err = CheckNoVariable(string(v))
		}
		if err == nil && h[http.CanonicalHeaderKey(name)] != nil {
			err = errors.New("is given twice")
		}
		if err != nil {
			return nil, fmt.Errorf(`"headers": %s: %w`, printable(name), err)
		}
		h.Set(name, strings.TrimSpace(string(v)))
	}
	return h, nil
}
