// Package source yields what is to be sent, item by item: files named one by one, on a list or in a manifest, found in
// directories or by globs, each with the URL and the method it goes to.
//
// [ParseTemplate] reads the URL, [New] checks what was asked for, [Source.Scan] looks at every item before anything is sent,
// and [Source.Items] streams them. No list of items is ever held: the largest things in memory are one directory's listing and up to
// 16 MiB in which Scan notes what it found.
//
// Errors are one line whatever a file's name contains, and never show credentials or the values of a URL's query.
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
	"sync/atomic"
	"time"
)

// Item is one file and where it goes.
type Item struct {
	Path    string      // the file to open, as the user knows it
	Rel     string      // {path}: relative, with slashes on every system
	URL     string      // without credentials
	Method  string      // upper case
	Header  http.Header // mostly nil; shared between items: not to be changed
	Key     string      // the manifest's idempotency key, or empty
	Size    int64       // bytes
	ModTime time.Time   // with Size: what the file was when the item was made
}

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
	Stdin io.Reader

	// Manifest is a file of NDJSON, read instead of Paths. A line is an object with "path" and, where it is not as for the
	// others, "url", "method", "headers" (an object) and "key"; all further strings and numbers are variables for the
	// template. Relative paths start at the manifest's folder.
	Manifest string

	// Exclude are globs. What they match, by path relative to the walked directory or by base name, is left out of walked directories and globs.
	Exclude []string

	// Hidden takes names that begin with a dot (on Windows also files with the hidden attribute) and editor leftovers too.
	Hidden bool

	// Follow follows symbolic links within walked directories. A link to a directory that it lies in is left out.
	Follow bool

	// Written are files that the run writes: in directories and globs they are left out, elsewhere they are an error. Empty names are passed over.
	Written []string

	// Template is where items go. It may be nil when each line of the manifest has a URL.
	Template *Template

	// Method is used for items that name none. Empty: PUT where the template's path has a variable, or where there
	// is no template since each item then names its own resource; else POST.
	Method string
}

// Source is a checked set of Options. It may be iterated again and again, and by several goroutines at once, unless it reads from stdin.
type Source struct {
	opts    Options
	method  string
	roots   []root
	found   atomic.Pointer[found] // all files, if Scan could remember them
	written []string              // absolute paths
}

// A root is one of Options.Paths, or the manifest.
type root struct {
	path  string
	items func(*pass, root) bool // false: stop
	glob  *glob
	stdin bool
}

// New checks opts as far as that needs neither a walk nor a read: that named paths exist, globs and variables are valid, and
// method and URL are given. Its errors are one line.
func New(opts Options) (*Source, error) {
	s := &Source{opts: opts}
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	return s, nil
}

func (s *Source) check() error {
	if err := s.checkTarget(); err != nil {
		return err
	}
	for _, name := range s.opts.Written {
		if abs, err := filepath.Abs(name); err == nil && name != "" {
			s.written = append(s.written, abs)
		}
	}
	s.opts.Exclude = slices.Clone(s.opts.Exclude)
	for i, pattern := range s.opts.Exclude {
		p, err := cleanPattern(pattern)
		if err != nil {
			return fmt.Errorf("exclude: %w", err)
		}
		s.opts.Exclude[i] = p
	}
	if m := s.opts.Manifest; m != "" {
		if len(s.opts.Paths) > 0 {
			return errors.New("a manifest names all items: give either it or paths")
		}
		if s.isWritten(m) {
			return fmt.Errorf("manifest %s: this run would write over it", printable(m))
		}
		if err := checkManifest(m); err != nil {
			return fmt.Errorf("manifest %s: %w", printable(m), err)
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
				return errors.New("- reads paths from stdin, which can be read once")
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
		return root{path: p, items: s.walk}, nil
	case err == nil:
		if err := checkRegular(fi); err != nil {
			return root{}, fmt.Errorf("%s: %w", printable(p), err)
		}
		return root{path: p, items: s.file}, nil
	case hasMeta(p):
		// Whatever the error: on Windows a pattern is an invalid name, not one that does not exist.
		g, dir, err := parseGlob(p)
		if err != nil {
			return root{}, err
		}
		if fi, err := os.Stat(dir); err != nil || !fi.IsDir() {
			return root{}, fmt.Errorf("%s matches nothing: there is no directory %s", printable(p), printable(dir))
		}
		g.text = p
		return root{path: dir, items: s.walk, glob: g}, nil
	default:
		return root{}, fmt.Errorf("%s: %w", printable(p), reason(err))
	}
}

// Method returns the method of items that name none.
func (s *Source) Method() string { return s.method }

// Items yields the items in order: Paths as given, directories by name, a manifest by line.
//
// Where one item cannot be sent, an [*ItemError] is yielded beside it and the iteration goes on; any other error ends it. Of two items
// that would both PUT (or do anything but POST and PATCH) to one URL the later one fails; remembering them takes about 20 bytes an item.
func (s *Source) Items() iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		if f := s.found.Load(); f != nil {
			f.items(s, yield)
			return
		}
		seen := newURLSet()
		s.each(&pass{ctx: context.Background(), yield: func(item Item, err error) bool {
			if err == nil && unique(item) && !seen.add(item.URL) {
				err = &ItemError{item, fmt.Errorf("another item of this run goes to the same URL by %s", item.Method)}
			}
			return yield(item, err)
		}})
	}
}

// isWritten reports whether the path is one of Options.Written.
func (s *Source) isWritten(path string) bool {
	for _, w := range s.written {
		if filepath.Base(w) != filepath.Base(path) {
			continue
		}
		if abs, err := filepath.Abs(path); err == nil && abs == w {
			return true
		}
	}
	return false
}

// A pass is one look at all items.
type pass struct {
	ctx     context.Context
	yield   func(Item, error) bool
	leftOut LeftOut
	shown   []string // the first URLs, fit to be shown
	noStdin bool
}

// fail yields an item-level error.
func (p *pass) fail(item Item, err error) bool { return p.yield(item, &ItemError{item, err}) }

func (s *Source) each(p *pass) {
	for _, r := range s.roots {
		if !r.items(p, r) {
			return
		}
	}
}

// file yields a file that was named.
func (s *Source) file(p *pass, r root) bool {
	item := Item{Path: r.path, Rel: filepath.Base(r.path)}
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
	for line, err := range lines(s.opts.Stdin) {
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
	err := s.complete(p, &item, s.opts.Template, fi, func(name string) (string, bool) { return fileVar(item, name) })
	if err != nil {
		return p.fail(item, err)
	}
	return p.yield(item, nil)
}

// complete fills in what the URL and the file say.
func (s *Source) complete(p *pass, item *Item, t *Template, fi fs.FileInfo, vars func(string) (string, bool)) error {
	if s.isWritten(item.Path) {
		return errors.New("this run writes that file, so it cannot send it")
	}
	if err := s.aim(item, t, vars); err != nil {
		return err
	}
	if len(p.shown) < maxShown {
		u, _ := expand(t.origin, t.shown, vars)
		p.shown = append(p.shown, u)
	}
	item.Size, item.ModTime = fi.Size(), fi.ModTime()
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
	base := filepath.Base(item.Path)
	dot := strings.LastIndexByte(base, '.')
	if dot <= 0 {
		dot = len(base)
	}
	switch name {
	case "name":
		return base, true
	case pathVar:
		return item.Rel, true
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
