package source

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/secret"
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

// checkReadTwice wants a regular file because a manifest and results are read before anything is sent, and then to send.
func checkReadTwice(name string) error {
	fi, err := os.Stat(name)
	if err != nil && name == "-" {
		return errors.New("standard input is read once, and this is read twice, to check it and then to send: save it in a file and name that")
	}
	if err != nil {
		return reason(err)
	}
	if !fi.Mode().IsRegular() {
		return errors.New("not a regular file: it is read twice, to check it and then to send")
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
	var picks *picks
	if s.results {
		var err error
		if picks, err = s.picked(p.ctx); err != nil {
			return end(err)
		}
		p.torn = picks.torn
	}
	f, err := os.Open(r.path)
	if err != nil {
		return end(fmt.Errorf("source: manifest %s: %w", printable(r.path), reason(err)))
	}
	defer f.Close()
	for line, err := range lines(f, false) {
		if p.ctx.Err() != nil {
			return end(context.Cause(p.ctx))
		}
		if err == nil && s.results && !picks.lines.has(line.number) {
			continue
		}
		var item Item
		var lineErr error
		if err == nil {
			item, lineErr, err = s.manifestItem(p, line.text, filepath.Dir(r.path))
		}
		where := func(err error) error {
			return fmt.Errorf("manifest %s line %d: %w", printable(r.path), line.number, err)
		}
		switch {
		case err != nil && p.scan:
			p.bad.add(where(err)) // lines ends by itself where it cannot go on
		case err != nil:
			return end(fmt.Errorf("source: %w", where(err)))
		case lineErr == errNotAsked:
		case lineErr == errYoung:
			p.leave(&p.leftOut.Young, item.Path, "younger than --min-age")
		case lineErr != nil:
			if !p.fail(item, where(lineErr)) {
				return false
			}
		case !p.yield(item, nil):
			return false
		}
	}
	return true
}

// manifestItem makes an item of a line. What concerns that item alone is itemErr; err is for a line that cannot be read.
func (s *Source) manifestItem(p *pass, text []byte, folder string) (it Item, itemErr, err error) {
	if s.results {
		r, err := parseResult(text)
		if err == nil && !s.only(r) {
			err = errors.New("the line was changed after the file had been checked: start the run again")
		}
		if err != nil {
			return Item{}, nil, err
		}
		it, itemErr = s.resultItem(p, r)
		return it, itemErr, nil
	}
	e, err := parseEntry(text)
	switch {
	case err != nil:
	case e.fields["type"] == "item" && item.Select(e.fields["status"]) != nil:
		err = errors.New("this is a line of results, but the first line is not: give results with --from, or a manifest that has only results")
	case e.target == nil && s.opts.Template == nil:
		err = errors.New(`no "url", and there is no URL for all lines (--to)`)
	case s.opts.KeyHeader != "" && e.header.Get(s.opts.KeyHeader) != "":
		err = fmt.Errorf(`"headers": %s: --idempotent sends it: give its value as "key" instead`, http.CanonicalHeaderKey(s.opts.KeyHeader))
	}
	if err != nil {
		return Item{}, nil, err
	}
	if p.scan {
		p.doubts.note(e, s.opts.Template)
	}
	it, itemErr = s.entryItem(p, e, folder)
	if errors.As(itemErr, new(*lackError)) { // no other line can be expected to be as it should
		return Item{}, nil, itemErr
	}
	return it, itemErr, nil
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
	if !p.join.may(item) {
		return item, errNotAsked
	}
	fi, err := statRegular(item.Path)
	if err != nil {
		return item, err
	}
	t := e.target
	if t == nil {
		t = s.opts.Template
	}
	vars := func(name string) (string, bool) {
		if v, ok := e.fields[name]; ok {
			return v, true
		}
		return fileVar(item, name)
	}
	for _, name := range t.Vars() {
		if _, ok := vars(name); !ok {
			return item, &lackError{name}
		}
	}
	return item, s.complete(p, &item, t, fi, vars)
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
