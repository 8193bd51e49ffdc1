// Package source yields what is to be sent, item by item: files named one by one, on a list or in a manifest, found in
// directories or by globs, each with the URL and the method it goes to.
//
// [ParseTemplate] reads the URL, [New] checks what was asked for, [Source.Scan] looks at every item before anything is sent,
// and [Source.Items] streams them. No list of items is ever held: the largest things in memory are one directory's listing, up to
// 16 MiB in which Scan notes what it found, some bytes an item where two could have one URL, and what results are asked for.
//
// Errors are one line whatever a file's name contains ([LinesError] has several), and never show credentials or the values of a URL's query.
package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/internal/filebody"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/secret"
)

// An Item is one file and where it goes.
type Item = item.Item

// ItemError says that one item cannot be sent; those after it can.
type ItemError struct {
	Item Item // as far as it is known, Path always
	Err  error
}

// Error names the item's path, quoted.
func (e *ItemError) Error() string {
	return fmt.Sprintf("source: %s: %v", printable(e.Item.Path), e.Err)
}

// Unwrap returns Err.
func (e *ItemError) Unwrap() error { return e.Err }

// Options say what to send and where to.
type Options struct {
	// Paths are files, directories to walk, globs with "**", and once "-": paths from Stdin. A path that exists is
	// never taken for a glob.
	Paths []string

	// Stdin holds the names of files, one a line (LF or CR LF, blank lines skipped); they are neither globs nor directories.
	// With Null a NUL ends each name, as find -print0 writes them.
	Stdin io.Reader
	Null  bool

	// Manifest is a file of NDJSON, read instead of Paths. A line is an object with "path" and, where it is not as for the
	// others, "url", "method", "headers" (an object) and "key"; all further strings and numbers are variables for the
	// template. Relative paths start at the manifest's folder. Two lines cannot have one key.
	//
	// A file whose first line has "type":"item" and a "status" is a results file, or what penstock journal export writes; all its lines
	// must be such, and Only says which of them are sent. Of several lines about one item the last holds, unless it tells only that the item was
	// skipped: about one item are lines with one key, else with one path, method and URL. A last line that was torn is passed over. Paths are
	// relative to the working directory. URL, method and a key that was given go along; a URL of which the results hide a part
	// is made by Template, with "rel" as {path}. Headers and variables of the manifest before are not in results: where that had any, give it
	// again, and the results as From.
	Manifest string

	// Only selects by what became of an item. It needs From or a Manifest of results; alone it says nothing here, and is for a journal: see Source.FromResults.
	Only []item.Fate

	// From is a results file that selects among the items of Paths or Manifest those that Only asks for: by the key where item and line both have
	// one, else by path, and by method and URL without its query where one path went to several. Which line holds is as in a Manifest of results.
	From string

	// Exclude are globs. What they match, by path relative to the walked directory or by base name, is left out of walked directories and globs.
	Exclude []string

	// Hidden takes names that begin with a dot (on Windows also files with the hidden attribute) and editor leftovers too.
	Hidden bool

	// Follow follows symbolic links within walked directories. A link to a directory that it lies in is left out.
	Follow bool

	// Written are files that the run writes, and Read files that it reads its settings and secrets from; Manifest and From are among
	// them. In directories and globs they are left out, elsewhere they are an error, whatever links lead to them. Empty names are
	// ignored. See also Source.Own.
	Written, Read []string

	// MinAge leaves out files that have changed since, counted back from New: they may still be growing.
	MinAge time.Duration

	// KeyHeader is the header in which the run sends idempotency keys; a manifest line cannot set it by "headers". If empty, there is none.
	KeyHeader string

	// ShownURLs is how many URLs a Summary shows. If less than ten, ten.
	ShownURLs int

	// OnLeftOut, if set, is called by Scan with each path that is left out, and the reason.
	OnLeftOut func(path, why string)

	// Template is where items go. It may be nil when each line of the manifest has a URL.
	Template *Template

	// Method is used for items that name none. Empty: in a Manifest of results that of the first; PUT where the template's path has a variable, or
	// where there is no template since each item then names its own resource; else POST.
	Method string
}

// Source is a checked set of Options. It may be iterated again and again, and by several goroutines at once, unless it reads from stdin.
type Source struct {
	opts    Options
	method  string
	roots   []root
	results bool                  // the manifest consists of results
	unalike bool                  // no two items can have one URL
	found   atomic.Pointer[found] // all files, if Scan could remember them
	own     []ownFile
	young   time.Time    // files that have changed since are left out; if zero, none are
	listed  atomic.Int64 // files on stdin that were too young

	mu        sync.Mutex // held while one of these is made
	picks     *picks
	selection *selection
}

// A root is one of Options.Paths, or the manifest.
type root struct {
	path  string
	items func(*pass, root) bool // false: stop
	tree  bool                   // a directory that is walked
	glob  *glob
	stdin bool
}

// New checks opts as far as that needs neither a walk nor a read: that globs and variables are valid, and that method and URL are
// given. Its errors are one line.
func New(opts Options) (*Source, error) {
	s := &Source{opts: opts}
	if opts.MinAge > 0 {
		s.young = time.Now().Add(-opts.MinAge)
	}
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	return s, nil
}

func (s *Source) check() error {
	if err := s.checkTarget(); err != nil {
		return err
	}
	s.Own(s.opts.Written...)
	s.addOwn("reads", append(slices.Clone(s.opts.Read), s.opts.Manifest, s.opts.From))
	s.opts.Exclude = slices.Clone(s.opts.Exclude)
	for i, pattern := range s.opts.Exclude {
		p, err := cleanPattern(pattern)
		if err != nil {
			return fmt.Errorf("exclude: %w", err)
		}
		s.opts.Exclude[i] = p
	}
	if err := s.checkRoots(); err != nil {
		return err
	}
	return s.checkOnly()
}

func (s *Source) checkRoots() error {
	if m := s.opts.Manifest; m != "" {
		if len(s.opts.Paths) > 0 {
			return errors.New("a manifest names all items: give either it or paths")
		}
		if err := s.checkRead("manifest", m); err != nil {
			return err
		}
		var method string
		if s.results, method = firstResult(m); s.results && s.opts.Method == "" && checkMethod(method) == nil {
			s.method = strings.ToUpper(method)
		}
		s.roots = []root{{path: m, items: s.manifest}}
		return nil
	}
	if len(s.opts.Paths) == 0 {
		return errors.New("nothing to send: name files, directories or globs, or - for a list of paths on stdin")
	}
	stdin := false
	for _, p := range s.opts.Paths {
		if p == "-" {
			if stdin || s.opts.Stdin == nil {
				return errors.New("- reads paths from standard input, which can be read only once")
			}
			stdin = true
			s.roots = append(s.roots, root{path: p, items: s.list, stdin: true})
			continue
		}
		r, err := s.root(p)
		if err != nil {
			return err
		}
		s.roots = append(s.roots, r)
	}
	s.unalike = len(s.roots) == 1 && s.roots[0].tree && s.opts.Template.isPath()
	return nil
}

func (s *Source) checkOnly() error {
	from := s.opts.From
	switch {
	case s.results && len(s.opts.Only) == 0:
		return fmt.Errorf("manifest %s has results: say by --only which of them to send, such as --only failed,unknown", printable(s.opts.Manifest))
	case from == "":
		return nil
	case len(s.opts.Only) == 0:
		return fmt.Errorf("from %s: say by --only which of its items to send, such as --only failed,unknown", printable(from))
	case s.results:
		return fmt.Errorf("from %s: the manifest %s has results itself: leave one of them out", printable(from), printable(s.opts.Manifest))
	}
	return s.checkRead("from", from)
}

// checkRead returns an error for a manifest or results that cannot be read, or not twice.
func (s *Source) checkRead(what, name string) error {
	err := checkReadTwice(name)
	if err == nil {
		for _, own := range s.own {
			if own.verb == "writes" && own.is(name) {
				err = fmt.Errorf("this run would overwrite it, as %s: name another file for its output", printable(own.name))
			}
		}
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", what, printable(name), err)
	}
	return nil
}

func (s *Source) checkTarget() error {
	t := s.opts.Template
	switch {
	case t == nil && s.opts.Manifest == "":
		return errors.New("no URL to send to")
	case s.opts.Method != "":
		s.method = strings.ToUpper(s.opts.Method)
	case t == nil || t.HasPathVar():
		s.method = http.MethodPut
	default:
		s.method = http.MethodPost
	}
	if err := checkMethod(s.method); err != nil {
		return err
	}
	if s.opts.Manifest == "" {
		for _, name := range t.Vars() {
			if _, ok := fileVar(Item{}, name); !ok {
				return unknownVar(name)
			}
		}
	}
	return nil
}

// root finds out what the user means by p.
func (s *Source) root(p string) (root, error) {
	fi, err := os.Stat(p)
	switch {
	case err == nil && fi.IsDir():
		return root{path: p, items: s.walk, tree: true}, nil
	case err != nil && hasMeta(p):
		// Whatever the error: on Windows a pattern is an invalid name, not one that does not exist.
		g, dir, err := parseGlob(p)
		if err != nil {
			return root{}, err
		}
		g.text = p
		return root{path: dir, items: s.walk, tree: true, glob: g}, nil
	}
	return root{path: p, items: s.file}, nil // if it is none, that concerns no other
}

// YoungListed returns how many files that stdin has named so far Options.MinAge leaves out.
func (s *Source) YoungListed() int64 { return s.listed.Load() }

// Method returns the method of items that name none.
func (s *Source) Method() string { return s.method }

// OwnURLs reports whether items may bring URLs of their own, and with them servers.
func (s *Source) OwnURLs() bool { return s.opts.Manifest != "" || s.FromResults() }

// FromResults reports whether results have said, by Options.Only, which items there are. If not, Only is left for a journal to answer.
func (s *Source) FromResults() bool { return s.results || s.opts.From != "" }

// Items yields the items in order: Paths as given, directories by name, a manifest by line.
//
// Where one item cannot be sent, an [*ItemError] is yielded beside it and the iteration goes on; any other error ends it. Of two items
// that would both PUT (or do anything but POST and PATCH) to one URL, or have one key, the later one fails; remembering them takes about 20 bytes
// an item, unless the URL has {path} alone and all items are in one directory.
func (s *Source) Items() iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		if f := s.found.Load(); f != nil {
			f.items(s, yield)
			return
		}
		own := s.newOwn(hashSet{}.add)
		s.each(&pass{ctx: context.Background(), yield: func(item Item, err error) bool {
			if err == nil {
				if what := own.taken(item); what != "" {
					err = &ItemError{item, errors.New("another item of this run " + what)}
				}
			}
			return yield(item, err)
		}})
	}
}

// A pass is one look at all items.
type pass struct {
	ctx       context.Context
	yield     func(Item, error) bool
	leftOut   LeftOut
	shown     []string // the first URLs, fit to be shown
	noStdin   bool
	own       []ownFile
	onLeftOut func(path, why string)
	scan      bool // lines of a manifest that cannot be read are noted, and the pass goes on
	bad       badLines
	doubts    fieldDoubts
	join      *join // if nil, every item is asked for
	torn      bool
}

var (
	// errNotAsked: results select, and not this item.
	errNotAsked = errors.New("not asked for")
	// errYoung: it has changed within Options.MinAge.
	errYoung = errors.New("too young")
)

// An ownError says that a file that was named is the run's own. Scan returns it, so that nothing is sent, or overwritten; where standard
// input names the file, that item fails.
type ownError struct{ verb string }

func (e *ownError) Error() string { return "this run " + e.verb + " that file, so it cannot send it" }

// A laterError is one that Scan leaves to Items.
type laterError struct{ error }

func (e *laterError) Unwrap() error { return e.error }

// fail yields an item-level error.
func (p *pass) fail(item Item, err error) bool {
	if p.scan && errors.As(err, new(*ownError)) {
		p.yield(Item{}, fmt.Errorf("source: %s: %w", printable(item.Path), err))
		return false
	}
	return p.yield(item, &ItemError{item, err})
}

func (s *Source) each(p *pass) {
	p.own = s.lookAtOwn()
	if s.opts.From != "" {
		sel, err := s.selected(p.ctx)
		if err != nil {
			p.yield(Item{}, err)
			return
		}
		p.join = &join{selection: sel, hash: sel.hash}
		p.torn = sel.torn
	}
	for _, r := range s.roots {
		if !r.items(p, r) {
			return
		}
	}
}

// file yields a file that was named.
func (s *Source) file(p *pass, r root) bool {
	item := Item{Path: r.path, Rel: filepath.Base(r.path)}
	if !p.join.may(item) {
		return true
	}
	fi, err := statRegular(r.path)
	if err != nil {
		return p.fail(item, err)
	}
	return s.emit(p, item, fi)
}

// list yields the files that stdin names.
func (s *Source) list(p *pass, _ root) bool {
	if p.noStdin {
		return true
	}
	before := p.leftOut.Young
	defer func() { s.listed.Add(p.leftOut.Young - before) }()
	for line, err := range lines(s.opts.Stdin, s.opts.Null) {
		if err != nil {
			return p.yield(Item{}, fmt.Errorf("source: stdin line %d: %w", line.number, err))
		}
		if !s.file(p, root{path: string(line.text)}) {
			return false
		}
	}
	return true
}

// emit completes an item that has no fields of its own, and yields it.
func (s *Source) emit(p *pass, item Item, fi fs.FileInfo) bool {
	if !p.join.may(item) {
		return true
	}
	err := s.complete(p, &item, s.opts.Template, fi, func(name string) (string, bool) { return fileVar(item, name) })
	switch {
	case err == errNotAsked:
		return true
	case err == errYoung:
		p.leave(&p.leftOut.Young, item.Path, "younger than --min-age")
		return true
	case err != nil:
		return p.fail(item, err)
	}
	return p.yield(item, nil)
}

// complete fills in what the URL and the file say. It returns errNotAsked for an item that results do not select, and errYoung for one that is
// left to the next run.
func (s *Source) complete(p *pass, item *Item, t *Template, fi fs.FileInfo, vars func(string) (string, bool)) error {
	if verb := p.isOwn(item.Path, fi); verb != "" {
		return &ownError{verb}
	}
	if err := s.aim(item, t, vars); err != nil {
		return err
	}
	if !p.join.takes(*item) {
		return errNotAsked
	}
	if !s.young.IsZero() && fi.ModTime().After(s.young) {
		return errYoung
	}
	if len(p.shown) < max(s.opts.ShownURLs, maxShown) {
		u := secret.URL(item.URL)
		if t.shown != nil && !t.asksForFields() { // in which the files' names are to be seen
			u, _ = expand(t.origin, t.shown, vars)
		}
		p.shown = append(p.shown, u)
	}
	item.Fingerprint, item.Content = filebody.FingerprintOf(fi), filebody.File(item.Path)
	return nil
}

// aim fills in where the item goes to, and how.
func (s *Source) aim(item *Item, t *Template, vars func(string) (string, bool)) (err error) {
	if item.URL, err = expand(t.origin, t.parts, vars); err != nil {
		return err
	}
	if item.Method == "" {
		item.Method = s.method
	}
	if item.Header == nil {
		item.Header = t.auth
	} else if t.auth != nil && item.Header["Authorization"] == nil {
		item.Header["Authorization"] = t.auth["Authorization"]
	}
	return nil
}

// fileVar returns a variable that every file has. {ext} is without its dot; {stem} and {ext} split at the last dot
// that is not the first character, so .bashrc has no {ext}.
func fileVar(item Item, name string) (string, bool) {
	if name == pathVar {
		return item.Rel, true
	}
	base := filepath.Base(item.Path)
	dot := strings.LastIndexByte(base, '.')
	if dot <= 0 {
		dot = len(base)
	}
	switch name {
	case "name":
		return base, true
	case "stem":
		return base[:dot], true
	case "ext":
		return strings.TrimPrefix(base[dot:], "."), true
	}
	return "", false
}

// unique reports whether the item's URL must be its own: the later of two PUTs would overwrite the earlier.
func unique(item Item) bool {
	return item.Method != http.MethodPost && item.Method != http.MethodPatch
}

func statRegular(name string) (fs.FileInfo, error) {
	if name == "" {
		return nil, errors.New("an empty path")
	}
	if strings.ContainsRune(name, 0) {
		return nil, errors.New("contains a NUL byte: put one path per line, or give --null (-0)")
	}
	fi, err := os.Stat(name)
	if err != nil {
		return nil, reason(err)
	}
	return fi, checkRegular(fi)
}

func checkRegular(fi fs.FileInfo) error {
	switch {
	case fi.Mode().IsRegular():
		return nil
	case fi.IsDir():
		return errors.New("is a directory; only files can be listed")
	default:
		return errors.New("is not a regular file; a file is read anew for each attempt, which a pipe or device does not allow")
	}
}

// reason strips the path from an error of package os: the caller has it in quotes, so that a newline in it does no harm.
func reason(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// slashed returns name clean and with slashes on every system.
func slashed(name string) string { return path.Clean(filepath.ToSlash(name)) }
