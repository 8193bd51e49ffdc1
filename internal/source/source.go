// Package source yields what is to be sent, item by item: files named one by one, on a list or in a
// manifest, found in directories or by globs, each with the URL and the method it goes to.
//
// [New] checks what was asked for, [Source.Scan] looks at every item before anything is sent, and
// [Source.Items] streams them. No list of items is ever held: the largest things in memory are one
// directory's listing, up to 16 MiB in which Scan notes what it found, some bytes an item where two
// could have one URL, and 24 to 55 bytes for each line of results.
//
// Errors are one line whatever a file's name contains ([LinesError] has several), and never show
// credentials or the values of a URL's query.
package source

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/internal/compose"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/secret"
	"github.com/penstock/penstock/internal/template"
)

// Options say what to send and where to.
type Options struct {
	// Paths are files, directories to walk, globs with "**", and once "-": paths from Stdin. A path
	// that exists is never taken for a glob.
	Paths []string

	// Stdin holds the names of files, one a line (LF or CR LF, blank lines skipped); they are
	// neither globs nor directories. With Null a NUL ends each name, as find -print0 writes them.
	// With a Manifest "-" it holds that.
	Stdin io.Reader
	Null  bool

	// Manifest is a file of NDJSON, read instead of Paths. A line is an object with "path" and,
	// where it is not as for the others, "url", "method", "headers" (an object), "key" and "body";
	// all further fields are variables for the templates. Relative paths start at the manifest's
	// folder. Two lines cannot have one key. A line needs no "path" if it has a "body", or if no
	// template has a variable of the file; without a "key", too, it cannot be there twice.
	//
	// A file whose first line has "type":"item" and a "status" is a results file, or what penstock
	// journal export writes; all its lines must be such, and Only says which of them are sent. Of
	// several lines about one item the last holds, unless it says only that the item was skipped:
	// about one item are lines with one key, else with one path, method and URL. A last line that
	// was torn is passed over. Paths are relative to the working directory. URL, method and a key
	// that was given go along; a URL of which the results hide a part is made by Template, with
	// "rel" as {path}. Headers and variables of the manifest before are not in results: where that
	// had any, give it again, and the results as From.
	Manifest string

	// A Manifest that can be read only once is a stream: standard input, which is "-", or a pipe.
	// Scan does not look at it, and Items yields each line as it comes, holding no other. A line
	// that is wrong fails alone, as one of results. Paths are relative to the working directory.
	// With Known, for a journal that has to know its lines again, each needs "path" or "key".
	Known bool

	// Only selects by what became of an item. It needs From or a Manifest of results; alone it says
	// nothing here, and is for a journal: see Source.FromResults.
	Only item.Fates

	// From is a results file that selects among the items of Paths or Manifest those that Only asks
	// for: by the key where item and line both have one, else by path, and by method and URL
	// without its query where one path went to several. Which line holds is as in a Manifest of
	// results.
	From string

	// Exclude are globs. What they match, by path relative to the walked directory or by base name,
	// is left out of walked directories and globs.
	Exclude []string

	// Hidden takes names that begin with a dot (on Windows also files with the hidden attribute)
	// and editor leftovers too.
	Hidden bool

	// Follow follows symbolic links within walked directories. A link to a directory that it lies
	// in is left out.
	Follow bool

	// Written are files that the run writes, and Read files that it reads its settings and secrets
	// from; Manifest and From are among them. In directories and globs they are left out, elsewhere
	// they are an error, whatever links lead to them. Empty names are ignored. See also Source.Own.
	Written, Read []string

	// MinAge leaves out files that have changed since, counted back from New: they may still be
	// growing.
	MinAge time.Duration

	// Shard, unless it is the whole, leaves out the items of other shards. An item is in the same
	// shard on every machine: by its key, or else by what is {path} of a file, or else by its line.
	// For results as Manifest, which do not say all that a line said, it must be the whole.
	Shard item.Shard

	// KeyHeader is the header in which the run sends idempotency keys; a manifest line cannot set
	// it by "headers". If empty, there is none.
	KeyHeader string

	// ShownURLs is how many URLs a Summary shows. If less than ten, ten.
	ShownURLs int

	// OnLeftOut, if set, is called by Scan with each path that is left out, and the reason.
	OnLeftOut func(path string, why Reason)

	// Body is what bodies are made of; the "body" of a line of the manifest is then a variable as
	// other fields are. If nil, that is the body, or else the file is.
	Body *compose.Template

	// Uses are where else variables are used, as in headers.
	Uses []compose.Use

	// Template is where items go. It may be nil when each line of the manifest has a URL.
	Template *template.URL

	// Method is used for items that name none. If empty, it is that of the first in a Manifest of
	// results; PUT where the template's path has a variable, or where there is no template since
	// each item then names its own resource; else POST, and always with a Body that is no form.
	Method string
}

// Source is a checked set of Options. It may be iterated again and again, and by several goroutines
// at once, unless it reads from stdin.
type Source struct {
	opts     Options
	method   string
	roots    []root
	results  bool                  // the manifest consists of results
	bodyUses []compose.Use         // where bodies use variables
	stream   bool                  // the manifest is read once
	unalike  bool                  // no two items can have one URL
	vars     []string              // that are used
	found    atomic.Pointer[found] // all files, if Scan could remember them
	own      []ownFile
	young    time.Time    // files that have changed since are left out; if zero, none are
	listed   atomic.Int64 // files on stdin that were too young
	read     read         // with a shard, what stdin or a stream has named

	mu        sync.Mutex // held while one of these is made
	picks     *results.Lines
	selection *results.Selection
}

// A root is one of Options.Paths, or the manifest.
type root struct {
	path  string
	items func(*iteration, root) bool // false: stop
	tree  bool                        // a directory that is walked
	glob  *glob
	stdin bool
}

// New checks opts as far as that needs neither a walk nor a read: that globs and variables are
// valid, and that method and URL are given. Its errors are one line.
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
	s.vars = s.Vars()
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

func (s *Source) checkTarget() error {
	t := s.opts.Template
	switch {
	case t == nil && s.opts.Manifest == "":
		return errors.New("no URL to send to")
	case s.opts.Method != "":
		s.method = strings.ToUpper(s.opts.Method)
	case s.opts.Body != nil && !s.opts.Body.IsForm():
		s.method = http.MethodPost
	case t == nil || t.HasPathVar():
		s.method = http.MethodPut
	default:
		s.method = http.MethodPost
	}
	if err := checkMethod(s.method); err != nil {
		return err
	}
	if s.opts.Body != nil {
		s.bodyUses = s.opts.Body.Uses()
	}
	if s.opts.Manifest != "" {
		return nil
	}
	url := []compose.Use{{Place: "the URL", Vars: t.Vars()}}
	uses := slices.Concat(url, s.bodyUses, s.opts.Uses)
	for _, use := range uses {
		for _, name := range use.Vars {
			if !template.Known(name) {
				return &template.UnknownVarError{Name: shownVar(use, name),
					Place: " in " + use.Place}
			}
		}
	}
	return nil
}

// shownVar returns the name of a variable that is used, or what is shown of it.
func shownVar(use compose.Use, name string) string {
	if use.Secret {
		return secret.Mask
	}
	return name
}

// Vars returns the variables of all that is sent: of the URL, headers and bodies.
func (s *Source) Vars() (names []string) {
	if s.opts.Template != nil {
		names = s.opts.Template.Vars()
	}
	for _, use := range slices.Concat(s.bodyUses, s.opts.Uses) {
		names = append(names, use.Vars...)
	}
	return names
}

func (s *Source) checkRoots() error {
	if m := s.opts.Manifest; m != "" {
		if len(s.opts.Paths) > 0 {
			return errors.New("a manifest names all items: give either it or paths")
		}
		if s.stream = isStream(m); s.stream {
			r, err := s.streamRoot()
			s.roots = []root{r}
			return err
		}
		if err := s.checkRead("manifest", m); err != nil {
			return err
		}
		var method string
		s.results, method = results.First(m)
		if s.results && s.opts.Method == "" && checkMethod(method) == nil {
			s.method = strings.ToUpper(method)
		}
		s.roots = []root{{path: m, items: s.manifest}}
		return nil
	}
	if len(s.opts.Paths) == 0 {
		return errors.New("nothing to send: name files, directories or globs, or - for a list of " +
			"paths on stdin")
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
	s.unalike = len(s.roots) == 1 && s.roots[0].tree && s.opts.Template.IsPath()
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
	return root{path: p, items: s.file}, nil // if it is not a file, that concerns no other
}

func (s *Source) checkOnly() error {
	from := s.opts.From
	switch {
	case s.results && s.opts.Only == 0:
		return &Mistake{Kind: ManifestUnselected,
			Text: fmt.Sprintf("manifest %s has results", human.Quote(s.opts.Manifest))}
	case from == "":
		return nil
	case s.opts.Only == 0:
		return &Mistake{Kind: FromUnselected, Text: "from " + human.Quote(from)}
	case s.results:
		return fmt.Errorf("from %s: the manifest %s has results itself: leave one of them out",
			human.Quote(from), human.Quote(s.opts.Manifest))
	}
	return s.checkRead("from", from)
}

// checkRead returns an error for a manifest or results that cannot be read, or not twice.
func (s *Source) checkRead(what, name string) error {
	err := checkReadTwice(name)
	if err == nil {
		for _, own := range s.own {
			if own.verb == "writes" && own.is(name) {
				err = fmt.Errorf("this run would overwrite it, as %s: "+
					"name another file for its output", human.Quote(own.name))
			}
		}
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", what, human.Quote(name), err)
	}
	return nil
}

// YoungListed returns how many files that stdin has named so far Options.MinAge leaves out.
func (s *Source) YoungListed() int64 { return s.listed.Load() }

// Method returns the method of items that name none.
func (s *Source) Method() string { return s.method }

// OwnURLs reports whether items may bring URLs of their own, and with them servers.
func (s *Source) OwnURLs() bool { return s.opts.Manifest != "" || s.FromResults() }

// FromResults reports whether results have said, by Options.Only, which items there are. If not,
// Only is left for a journal to answer.
func (s *Source) FromResults() bool { return s.results || s.opts.From != "" }
