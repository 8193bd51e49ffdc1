package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"

	"github.com/penstock/penstock/internal/compose"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/lines"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/template"
)

// manifest yields the items of a manifest. A bad line ends the iteration, for Scan has seen all
// lines before anything was sent: the file was changed since, and what else is new in it is not
// known.
func (s *Source) manifest(iter *iteration, r root) bool {
	end := func(err error) bool {
		iter.yield(item.Item{}, err)
		return false
	}
	var picks *results.Lines
	if s.results {
		var err error
		if picks, err = s.picked(iter.ctx); err != nil {
			return end(err)
		}
		iter.torn = picks.Torn
	}
	f, err := os.Open(r.path)
	if err != nil {
		return end(fmt.Errorf("source: manifest %s: %w", human.Quote(r.path), lines.Reason(err)))
	}
	defer f.Close()
	for line, err := range lines.Each(f, false) {
		if iter.ctx.Err() != nil {
			return end(context.Cause(iter.ctx))
		}
		if err == nil && s.results && !picks.Has(line.Number) {
			continue
		}
		var it item.Item
		var lineErr error
		if err == nil {
			it, lineErr, err = s.manifestItem(iter, line.Text, filepath.Dir(r.path))
			if it.Line = line.Number; it.Path == "" {
				it.Path = fmt.Sprintf("line %d", line.Number)
			}
		}
		where := func(err error) error {
			return fmt.Errorf("manifest %s line %d: %w", human.Quote(r.path), line.Number, err)
		}
		switch {
		case err != nil && iter.scan:
			iter.bad.add(where(err)) // lines ends by itself where it cannot go on
		case err != nil:
			return end(fmt.Errorf("source: %w", where(err)))
		case !iter.made(it, lineErr, where):
			return false
		}
	}
	return true
}

// manifestItem makes an item of a line. What concerns that item alone is itemErr; err is for a line
// that cannot be read.
func (s *Source) manifestItem(
	iter *iteration, text []byte, folder string,
) (it item.Item, itemErr, err error) {
	if s.results {
		r, err := results.Parse(text)
		if err == nil && !s.opts.Only.Choose(r.Status) {
			err = errors.New("the line was changed after the file had been checked: start the " +
				"run again")
		}
		if err != nil {
			return item.Item{}, nil, err
		}
		it, itemErr = s.resultItem(iter, r)
		return it, itemErr, nil
	}
	e, err := s.parseLine(text)
	if err != nil {
		return item.Item{}, nil, err
	}
	if iter.scan {
		iter.doubts.note(e, s.opts.Template)
	}
	it, itemErr = s.entryItem(iter, e, folder)
	// No other line can be expected to be as it should.
	if errors.As(itemErr, new(*lackError)) || errors.Is(itemErr, errNoPath) {
		return item.Item{}, nil, itemErr
	}
	return it, itemErr, nil
}

// parseLine reads a line, and checks it against the options.
func (s *Source) parseLine(text []byte) (entry, error) {
	e, err := parseEntry(text, s.opts.Body == nil)
	switch {
	case err != nil:
	case e.fields["type"].Text == "item" && item.Select(e.fields["status"].Text) != 0:
		but := "but the first line is not"
		if s.stream {
			but = "which a stream cannot have"
		}
		err = &Mistake{Kind: ResultsAmongOthers, Text: "this is a line of results, " + but}
	case e.target == nil && s.opts.Template == nil:
		err = &Mistake{Kind: NoURL, Text: `no "url", and there is no URL for all lines`}
	case s.opts.KeyHeader != "" && e.header.Get(s.opts.KeyHeader) != "":
		err = fmt.Errorf(`"headers": %s: %w`, http.CanonicalHeaderKey(s.opts.KeyHeader),
			&Mistake{Kind: KeyInHeader, Text: "the run sends it"})
	}
	return e, err
}

// entryItem makes an item of a line. Its path is relative to the manifest's folder, and so is
// {path}.
func (s *Source) entryItem(iter *iteration, e entry, folder string) (item.Item, error) {
	name := filepath.FromSlash(e.path)
	it := item.Item{
		Path: name, Rel: slashed(e.path), Method: e.method, Header: e.header, Key: e.key,
		Fields: e.fields, Hash: e.hash,
	}
	if it.NoFile() {
		it.Path, it.Rel = e.key, ""
	} else if !filepath.IsAbs(name) {
		it.Path = filepath.Join(folder, name)
	} else if abs, err := filepath.Abs(folder); err == nil {
		if rel, err := filepath.Rel(abs, name); err == nil {
			it.Rel = filepath.ToSlash(rel)
		}
	}
	if !iter.join.May(&it) {
		return it, errNotAsked
	}
	if e.body != nil {
		it.Content = e.body
	}
	t := e.target
	if t == nil {
		t = s.opts.Template
	}
	vars := urlValues(&it)
	wrong := s.checkEntry(&it, t, vars)
	if wrong != nil && !s.stream { // then the manifest is wrong, on each machine
		return it, wrong
	}
	if s.isElsewhere(iter, &it, t, s.shardTexts(&e)...) {
		return it, errElsewhere
	}
	if wrong != nil {
		return it, wrong
	}
	var fi fs.FileInfo
	var err error
	if e.body != nil {
		fi, err = e.body.Stat()
	} else if !it.NoFile() {
		fi, err = statRegular(it.Path)
	}
	if err != nil {
		return it, err
	}
	err = s.complete(iter, &it, t, fi, vars)
	it.Fields = s.sent(e.fields)
	return it, err
}

// checkEntry returns an error if the item of a line lacks what the URL t or the body needs.
func (s *Source) checkEntry(it *item.Item, t *template.URL, vars template.Values) error {
	if it.Content == nil && it.NoFile() && s.opts.Body == nil {
		return errNoPath
	}
	for _, name := range t.Vars() {
		if v, ok := vars(name); !ok || v.IsNull() {
			return &lackError{name: name}
		}
		if err := s.checkDigest(it, name); err != nil {
			return err
		}
	}
	return s.checkUses(it)
}

// checkUses returns an error if an item has no value for a variable of its headers or its body.
func (s *Source) checkUses(it *item.Item) error {
	check := func(uses []compose.Use) error {
		for _, use := range uses {
			for _, name := range use.Vars {
				if v, ok := it.Value(name); !ok || v.IsNull() && !use.JSON {
					return &lackError{shownVar(use, name), use.Place}
				}
				if err := s.checkDigest(it, name); err != nil {
					return err
				}
			}
		}
		return nil
	}
	err := check(s.opts.Uses)
	if err == nil && it.Content == nil { // the line has no body of its own
		err = check(s.bodyUses)
	}
	return err
}

// checkDigest returns an error for the digest of a form without a file: its boundary is another one
// in each run.
func (s *Source) checkDigest(it *item.Item, name string) error {
	_, own := it.Fields[name]
	isForm := it.NoFile() && it.Content == nil && s.opts.Body != nil && s.opts.Body.IsForm()
	if own || !isForm || !template.Volatile(name) || name == "size" || name == "uuid" {
		return nil
	}
	return fmt.Errorf("{%s} is that of a file: %w", name, errNoPath)
}

// sent returns the fields of a line that headers and bodies ask for.
func (s *Source) sent(fields template.Fields) (sent template.Fields) {
	for _, uses := range [][]compose.Use{s.bodyUses, s.opts.Uses} {
		for _, use := range uses {
			for _, name := range use.Vars {
				if v, ok := fields[name]; ok {
					if sent == nil {
						sent = template.Fields{}
					}
					sent[name] = v
				}
			}
		}
	}
	return sent
}
