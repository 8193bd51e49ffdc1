package source

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// An entry is one line of a manifest: a JSON object with "path" and, as far as the line says so, "url", "method", "headers" and
// "key". All other fields are strings or numbers, to be used as variables. A field that is null is taken for absent.
type entry struct {
	path   string
	target *Template // of "url", without variables
	method string
	key    string
	header http.Header
	fields map[string]string // "key" included
}

// checkManifest wants a regular file because a manifest is read twice, the first time before anything is sent.
func checkManifest(name string) error {
	fi, err := os.Stat(name)
	if err != nil {
		return reason(err)
	}
	if !fi.Mode().IsRegular() {
		return errors.New("not a regular file; a manifest is read twice, before anything is sent and then to send")
	}
	f, err := os.Open(name)
	if err != nil {
		return reason(err)
	}
	return f.Close()
}

// manifest yields the items of a manifest. A bad line ends the pass, for Scan has seen all lines before anything was sent: the file was changed
// since, and what else is new in it nobody knows.
func (s *Source) manifest(p *pass, r root) bool {
	end := func(err error) bool {
		p.yield(Item{}, err)
		return false
	}
	f, err := os.Open(r.path)
	if err != nil {
		return end(fmt.Errorf("source: manifest %s: %w", printable(r.path), reason(err)))
	}
	defer f.Close()
	for line, err := range lines(f) {
		if p.ctx.Err() != nil {
			return end(context.Cause(p.ctx))
		}
		where := fmt.Sprintf("manifest %s line %d", printable(r.path), line.number)
		var e entry
		if err == nil {
			e, err = parseEntry(line.text)
		}
		if err == nil && e.target == nil && s.opts.Template == nil {
			err = errors.New(`no "url", and there is no URL for all lines`)
		}
		if err != nil {
			return end(fmt.Errorf("source: %s: %w", where, err))
		}
		item, err := s.entryItem(p, e, filepath.Dir(r.path))
		if err != nil {
			if !p.fail(item, fmt.Errorf("%s: %w", where, err)) {
				return false
			}
		} else if !p.yield(item, nil) {
			return false
		}
	}
	return true
}

// entryItem makes an item of a line. Its path is relative to the manifest's folder, and so is {path}.
func (s *Source) entryItem(p *pass, e entry, folder string) (Item, error) {
	name := filepath.FromSlash(e.path)
	item := Item{Path: name, Rel: slashed(e.path), Method: e.method, Header: e.header, Key: e.key}
	if !filepath.IsAbs(name) {
		item.Path = filepath.Join(folder, name)
	} else if abs, err := filepath.Abs(folder); err == nil {
		if rel, err := filepath.Rel(abs, name); err == nil {
			item.Rel = filepath.ToSlash(rel)
		}
	}
	fi, err := statRegular(item.Path)
	if err != nil {
		return item, err
	}
	t := e.target
	if t == nil {
		t = s.opts.Template
	}
	return item, s.complete(p, &item, t, fi, func(name string) (string, bool) {
		if v, ok := e.fields[name]; ok {
			return v, true
		}
		return fileVar(item, name)
	})
}

// parseEntry reads a line. It checks all that can be wrong without a look at the disk.
func parseEntry(text []byte) (entry, error) {
	// encoding/json would replace what is not UTF-8, and so name another file.
	if !utf8.Valid(text) {
		return entry{}, errors.New("not valid UTF-8")
	}
	fields, err := object(text)
	if err != nil {
		return entry{}, err
	}
	e := entry{fields: map[string]string{}}
	var target string
	for name, raw := range fields {
		if string(raw) == "null" {
			continue
		}
		if name == "headers" {
			if e.header, err = parseHeader(raw); err != nil {
				return entry{}, err
			}
			continue
		}
		v, err := scalar(raw)
		if err != nil {
			return entry{}, fmt.Errorf("%s: %w", printable(name), err)
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
			err = checkHeaderValue(v)
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
	if strings.Contains(target, "***") {
		return entry{}, errors.New(`"url" has *** where results hide a value: put the value in, or leave "url" out`)
	}
	if target != "" {
		if e.target, err = parseURL(target, false); err != nil {
			return entry{}, fmt.Errorf(`"url": %w`, err)
		}
	}
	return e, nil
}

// object splits a JSON object into its fields.
func object(text []byte) (map[string]json.RawMessage, error) {
	var fields map[string]json.RawMessage
	err := json.Unmarshal(text, &fields)
	var wrongType *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrongType) || err == nil && fields == nil:
		return nil, errors.New(`no JSON object such as {"path":"a.csv"}`)
	case err != nil:
		return nil, fmt.Errorf("no JSON, one object a line: %w", err)
	}
	return fields, nil
}

// scalar returns a string's value, or a number as it is written.
func scalar(raw json.RawMessage) (string, error) {
	switch c := raw[0]; {
	case c == '-' || '0' <= c && c <= '9':
		return string(raw), nil
	case c != '"':
		return "", errors.New("neither a string nor a number")
	}
	var v string
	if err := json.Unmarshal(raw, &v); err != nil {
		return "", err
	}
	// Half a surrogate pair, Python's way of writing names that are not UTF-8, was replaced.
	if strings.ContainsRune(v, utf8.RuneError) && bytes.Contains(bytes.ToLower(raw), []byte(`\ud`)) {
		return "", errors.New(`has a \u escape that is no character`)
	}
	return v, nil
}

func parseHeader(raw json.RawMessage) (http.Header, error) {
	fields, err := object(raw)
	if err != nil {
		return nil, errors.New(`"headers": not an object of strings`)
	}
	h := make(http.Header, len(fields))
	for name, raw := range fields {
		v, err := scalar(raw)
		if err == nil {
			err = CheckHeader(name, v)
		}
		if err == nil && h[http.CanonicalHeaderKey(name)] != nil {
			err = errors.New("is given twice")
		}
		if err != nil {
			return nil, fmt.Errorf(`"headers": %s: %w`, printable(name), err)
		}
		h.Set(name, strings.TrimSpace(v))
	}
	return h, nil
}
