package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// errVanished: the listing of a directory had it, the disk no longer does.
var errVanished = errors.New("vanished while its directory was being read")

// LeftOut counts what walked directories and globs held but did not yield. A directory that was left out counts once.
type LeftOut struct {
	Excluded int64 // by Options.Exclude
	Hidden   int64 // dot files and directories
	Leftover int64 // what editors leave behind: x~, #x#, .#x, .x.swp
	Links    int64 // symbolic links
	Loops    int64 // when following: links to a directory they lie in
	Special  int64 // pipes, sockets, devices
	Own      int64 // the run's own files
	Young    int64 // by Options.MinAge
}

// counts lists the counts with their names, and the flag by which what was left out is sent.
func (l *LeftOut) counts() []leftCount {
	const hidden, links = "--hidden sends hidden files", "--follow follows links"
	return []leftCount{
		{&l.Excluded, "excluded", "", ""}, {&l.Hidden, "hidden", "", hidden}, {&l.Leftover, "editor leftover", "s", hidden},
		{&l.Links, "link", "s", links}, {&l.Loops, "link loop", "s", ""}, {&l.Special, "special file", "s", ""},
		{&l.Own, "of this run", "", ""}, {&l.Young, "younger than --min-age", "", ""},
	}
}

type leftCount struct {
	n            *int64
	what, plural string
	flag         string
}

// String lists the counts that are not zero, and is empty when all are.
func (l LeftOut) String() string {
	var s []string
	for _, c := range l.counts() {
		if *c.n > 1 {
			c.what += c.plural
		}
		if *c.n > 0 {
			s = append(s, fmt.Sprintf("%d %s", *c.n, c.what))
		}
	}
	return strings.Join(s, ", ")
}

// Advice says which flags send what was left out, and which names it; it is empty where nothing was.
func (l LeftOut) Advice() string {
	var advice []string
	for _, c := range l.counts() {
		if *c.n > 0 && c.flag != "" && !slices.Contains(advice, c.flag) {
			advice = append(advice, c.flag)
		}
	}
	if l != (LeftOut{}) {
		advice = append(advice, "-v names them")
	}
	return strings.Join(advice, "; ")
}

// leave counts what is left out.
func (p *pass) leave(count *int64, path, why string) {
	*count++
	if p.onLeftOut != nil {
		p.onLeftOut(path, why)
	}
}

// A walker is one pass over one directory tree, depth first, each directory in the order of its names.
type walker struct {
	*Source
	pass  *pass
	root  string
	glob  *glob // if nil, every file
	found bool  // a file was yielded, or failed
	above []fs.FileInfo
}

// walk yields the files below a root; for a glob those that match.
func (s *Source) walk(p *pass, r root) bool {
	if fi, err := os.Stat(r.path); r.glob != nil && (err != nil || !fi.IsDir()) {
		return p.fail(Item{Path: r.glob.text}, fmt.Errorf("matches nothing: there is no directory %s", printable(r.path)))
	}
	before := p.leftOut
	p.leftOut = LeftOut{}
	w := &walker{Source: s, pass: p, root: r.path, glob: r.glob}
	more := w.dir(".")
	left := p.leftOut
	p.leftOut.add(before)
	if !more || w.glob == nil || w.found {
		return more
	}
	err := errors.New("matches no file; to send all that is below a directory, name it or end with **")
	if left != (LeftOut{}) {
		err = fmt.Errorf("matches no file to send; left out: %v (%s)", left, left.Advice())
	}
	return p.fail(Item{Path: w.glob.text}, err)
}

func (l *LeftOut) add(o LeftOut) {
	others := o.counts()
	for i, c := range l.counts() {
		*c.n += *others[i].n
	}
}

// dir walks one directory; false means stop.
func (w *walker) dir(rel string) bool {
	name := filepath.Join(w.root, filepath.FromSlash(rel))
	if w.opts.Follow {
		fi, err := os.Stat(name)
		if err == nil {
			for _, a := range w.above {
				if os.SameFile(a, fi) {
					w.pass.leave(&w.pass.leftOut.Loops, name, "a link to a directory that it lies in")
					return true
				}
			}
			w.above = append(w.above, fi)
			defer func() { w.above = w.above[:len(w.above)-1] }()
		}
	}
	names, err := listing(name)
	if err != nil {
		if rel != "." && errors.Is(err, fs.ErrNotExist) {
			err = errVanished
		}
		// What was read before the error is not sent: a listing cut short would pass for a whole one.
		w.found = true
		return w.pass.fail(Item{Path: name, Rel: rel}, fmt.Errorf("the directory cannot be read: %w; --exclude leaves it out", reason(err)))
	}
	dir := strings.TrimSuffix(filepath.Join(name, "x"), "x") // with its separator, or empty
	relDir := len(dir)                                       // where {path} begins
	if rel != "." {
		relDir -= len(rel) + 1
	}
	for _, name := range names {
		if w.pass.ctx.Err() != nil {
			w.pass.yield(Item{}, context.Cause(w.pass.ctx))
			return false
		}
		path := dir + name
		if !w.entry(Item{Path: path, Rel: filepath.ToSlash(path[relDir:])}) {
			return false
		}
	}
	return true
}

// listing returns the sorted names in a directory. Directory entries would take three times the memory, and each file's size is
// asked for anyway.
func listing(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return slices.Compact(names), err // a name that is renamed meanwhile may be listed twice
}

func (w *walker) entry(item Item) bool {
	rel := item.Rel
	fi, err := os.Lstat(item.Path)
	if errors.Is(err, fs.ErrNotExist) {
		err = errVanished
	}
	if err != nil {
		return w.pass.fail(item, reason(err))
	}
	// Windows has reparse points that are neither links nor directories to us: what they lead to is found out the same way.
	link := fi.Mode()&(fs.ModeSymlink|fs.ModeIrregular) != 0
	if !w.wanted(rel, fi.IsDir() || link, !fi.IsDir()) || w.leave(item, fi, link) {
		return true
	}
	if link {
		fi, err = os.Stat(item.Path)
	}
	switch {
	case err != nil:
		if !w.wanted(rel, false, true) || !w.pass.join.may(item) {
			return true
		}
		w.found = true
		return w.pass.fail(item, fmt.Errorf("the link leads nowhere: %w; --exclude leaves it out", reason(err)))
	case !w.wanted(rel, fi.IsDir(), !fi.IsDir()):
		return true
	case fi.IsDir():
		return w.dir(rel)
	case !fi.Mode().IsRegular():
		w.pass.leave(&w.pass.leftOut.Special, item.Path, "not a regular file")
		return true
	}
	if verb := w.pass.isOwn(item.Path, fi); verb != "" {
		w.pass.leave(&w.pass.leftOut.Own, item.Path, "this run "+verb+" it")
		return true
	}
	w.found = true
	return w.emit(w.pass, item, fi)
}

// wanted reports whether the glob speaks of rel, as a directory to enter or as a file.
func (w *walker) wanted(rel string, dir, file bool) bool {
	return w.glob == nil || dir && w.glob.enters(rel) || file && w.glob.matches(rel)
}

// leave counts what is left out, by the first reason that holds.
func (w *walker) leave(item Item, fi fs.FileInfo, link bool) bool {
	name, left := fi.Name(), &w.pass.leftOut
	switch {
	case w.excluded(item.Rel, name):
		w.pass.leave(&left.Excluded, item.Path, "excluded")
	case !w.opts.Hidden && !fi.IsDir() && leftover(name):
		w.pass.leave(&left.Leftover, item.Path, "an editor's leftover")
	case !w.opts.Hidden && hidden(fi) && !(w.glob != nil && w.glob.asksFor(name)):
		w.pass.leave(&left.Hidden, item.Path, "hidden")
	case !w.opts.Follow && link:
		w.pass.leave(&left.Links, item.Path, "a link")
	default:
		return false
	}
	return true
}

func (w *walker) excluded(rel, name string) bool {
	for _, p := range w.opts.Exclude {
		if doublestar.MatchUnvalidated(p, rel) || doublestar.MatchUnvalidated(p, name) {
			return true
		}
	}
	return false
}

// leftover reports whether an editor left the file behind: a backup, an autosave, a lock or a swap file.
func leftover(name string) bool {
	return strings.HasSuffix(name, "~") || strings.HasPrefix(name, ".#") || strings.HasSuffix(name, ".swp") ||
		len(name) > 1 && name[0] == '#' && name[len(name)-1] == '#'
}
