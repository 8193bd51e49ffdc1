package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"net/http"
	"path/filepath"

	"github.com/penstock/penstock/internal/compose"
	"github.com/penstock/penstock/internal/conceal"
	"github.com/penstock/penstock/internal/filebody"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/lines"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/template"
)

// An ItemError says that one item cannot be sent; those after it can.
type ItemError struct {
	Item item.Item // as far as it is known, Path always
	Err  error
}

// Error names the item's path, quoted.
func (e *ItemError) Error() string {
	return fmt.Sprintf("source: %s: %v", human.Quote(e.Item.Path), e.Err)
}

// Unwrap returns Err.
func (e *ItemError) Unwrap() error { return e.Err }

// Items yields the items in order: Paths as given, directories by name, a manifest by line.
//
// Where one item cannot be sent, an [*ItemError] is yielded beside it and the iteration goes on;
// any other error ends it. Of two items that would both PUT (or do anything but POST and PATCH) to
// one URL, or have one key, the later one fails; remembering them takes about 20 bytes an item,
// unless the URL has {path} alone and all items are in one directory. Of a stream the last ones are
// remembered; the journal knows the others.
func (s *Source) Items() iter.Seq2[item.Item, error] {
	return func(yield func(item.Item, error) bool) {
		if f := s.found.Load(); f != nil {
			f.items(s, yield)
			return
		}
		seen := hashSet{}.add
		if s.stream {
			seen = new(recent).add
		}
		unique := s.newUniqueness(seen)
		division := s.newDivision(func(it item.Item) { unique.taken(it) })
		s.each(&iteration{ctx: context.Background(), division: division,
			yield: func(it item.Item, err error) bool {
				if err == nil {
					if what := unique.taken(it); what != "" {
						err = &ItemError{it, errors.New("another item of this run " + what)}
					}
				}
				return yield(it, err)
			}})
	}
}

// An iteration is one look at all items.
type iteration struct {
	ctx       context.Context
	yield     func(item.Item, error) bool
	leftOut   LeftOut
	shown     []string // the first URLs, fit to be shown
	noStdin   bool
	own       []ownFile
	onLeftOut func(path string, why Reason)
	scan      bool // lines of a manifest that cannot be read are noted, and the iteration goes on
	bad       LinesError
	doubts    fieldDoubts
	join      *results.Match // if nil, every item is asked for
	division  *division      // if nil, there are no shards
	torn      bool
}

var (
	// errNotAsked: results select, and not this item.
	errNotAsked = errors.New("not asked for")
	// errYoung: it has changed within Options.MinAge.
	errYoung = errors.New("too young")
)

// A deferredError is one that Scan leaves to Items.
type deferredError struct{ error }

func (e *deferredError) Unwrap() error { return e.error }

// fail yields an item-level error.
func (iter *iteration) fail(it item.Item, err error) bool {
	if iter.scan && errors.As(err, new(*ownError)) {
		iter.yield(item.Item{}, fmt.Errorf("source: %s: %w", human.Quote(it.Path), err))
		return false
	}
	return iter.yield(it, &ItemError{it, err})
}

func (s *Source) each(iter *iteration) {
	iter.own = s.lookAtOwn()
	if s.opts.From != "" {
		sel, err := s.selected(iter.ctx)
		if err != nil {
			iter.yield(item.Item{}, err)
			return
		}
		iter.join = sel.Match()
		iter.torn = sel.Torn
	}
	for _, r := range s.roots {
		if !r.items(iter, r) {
			return
		}
	}
}

// file yields a file that was named.
func (s *Source) file(iter *iteration, r root) bool {
	it := item.Item{Path: r.path, Rel: filepath.Base(r.path)}
	if !iter.join.May(&it) {
		return true
	}
	if s.isFileElsewhere(iter, &it) {
		return true
	}
	fi, err := statRegular(r.path)
	if err != nil {
		return iter.made(it, err, asItIs)
	}
	return s.yieldFile(iter, it, fi)
}

// list yields the files that stdin names.
func (s *Source) list(iter *iteration, _ root) bool {
	if iter.noStdin {
		return true
	}
	iter.division.from(&s.read)
	defer iter.division.from(nil)
	before := iter.leftOut[Young]
	defer func() { s.listed.Add(iter.leftOut[Young] - before) }()
	for line, err := range lines.Each(s.opts.Stdin, s.opts.Null) {
		if err != nil {
			err = fmt.Errorf("source: stdin line %d: %w", line.Number, err)
			return iter.yield(item.Item{}, err)
		}
		if !s.file(iter, root{path: string(line.Text)}) {
			return false
		}
	}
	return true
}

// yieldFile completes an item that has no fields of its own, and yields it.
func (s *Source) yieldFile(iter *iteration, it item.Item, fi fs.FileInfo) bool {
	if !iter.join.May(&it) {
		return true
	}
	err := s.complete(iter, &it, s.opts.Template, fi, urlValues(&it))
	return iter.made(it, err, asItIs)
}

func asItIs(err error) error { return err }

// made yields an item, or what kept it from being made, with its place; false means stop.
func (iter *iteration) made(it item.Item, err error, where func(error) error) bool {
	if err == errNotAsked || err == errElsewhere {
		return true
	}
	iter.division.own()
	switch {
	case err == errYoung:
		iter.leave(Young, it.Path)
		return true
	case err != nil:
		return iter.fail(it, where(err))
	}
	return iter.yield(it, nil)
}

// complete fills in what the URL and the file say. It returns errNotAsked for an item that results
// do not select, and errYoung for one that is left to the next run.
func (s *Source) complete(
	iter *iteration, it *item.Item, t *template.URL, fi fs.FileInfo,
	vars template.Values,
) error {
	isFile := !it.NoFile() && it.Content == nil
	if isFile {
		if verb := iter.isOwn(it.Path, fi); verb != "" {
			return &ownError{verb}
		}
	}
	if err := s.setTarget(it, t, vars); err != nil {
		return err
	}
	if !iter.join.Takes(it) {
		return errNotAsked
	}
	if isFile && !s.young.IsZero() && fi.ModTime().After(s.young) {
		return errYoung
	}
	if len(iter.shown) < max(s.opts.ShownURLs, maxShown) {
		iter.shown = append(iter.shown, shownURL(*it, t, vars))
	}
	if fi != nil {
		it.Fingerprint = item.FingerprintOf(fi)
	}
	return s.setContent(it)
}

// setContent fills in what is sent of an item whose file, if it has one, has its Fingerprint.
func (s *Source) setContent(it *item.Item) error {
	switch {
	case it.Content != nil:
		return nil
	case s.opts.Body == nil:
		it.Content = filebody.File(it.Path)
		return nil
	}
	folder := "" // of the working directory
	if s.opts.Manifest != "" && !s.results && !s.stream {
		folder = filepath.Dir(s.opts.Manifest)
	}
	c, err := s.opts.Body.Content(it, folder)
	switch {
	case errors.Is(err, compose.ErrNoFile):
		return errNoPath
	case err != nil:
		return err
	}
	it.Content = c
	it.Fingerprint, err = c.Complete(it.Fingerprint)
	return err
}

// shownURL returns an item's URL without secrets. The values of a manifest's own fields may be
// some; those that every file has are shown.
func shownURL(it item.Item, t *template.URL, vars template.Values) string {
	for _, name := range t.QueryVars() {
		if !template.Known(name) {
			return conceal.URL(it.URL)
		}
	}
	return cmp.Or(t.Shown(vars), conceal.URL(it.URL))
}

// setTarget fills in where the item goes to, and how.
func (s *Source) setTarget(
	it *item.Item, t *template.URL, vars template.Values,
) (err error) {
	if it.URL, err = t.Expand(vars); err != nil {
		return err
	}
	switch {
	case it.Method != "":
	case it.Content != nil && s.opts.Method == "": // as for all bodies that are not files
		it.Method = http.MethodPost
	default:
		it.Method = s.method
	}
	if auth := t.Authorization(); it.Header == nil {
		it.Header = auth
	} else if auth != nil && it.Header["Authorization"] == nil {
		it.Header["Authorization"] = auth["Authorization"]
	}
	return nil
}

// urlValues returns the values of an item that its URL has before its content is looked at.
func urlValues(it *item.Item) template.Values {
	return func(name string) (template.Value, bool) {
		if _, ok := it.Fields[name]; !ok && template.Volatile(name) {
			return template.Value{Kind: template.Later}, true
		}
		return it.Value(name)
	}
}
