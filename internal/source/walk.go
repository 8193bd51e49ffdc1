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

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/lines"
)

// errVanished: the listing of a directory had it, the disk no longer does.
var errVanished = errors.New("vanished while its directory was being read")

// A walker is one pass over one directory tree, depth first, each directory in the order of its
// names.
type walker struct {
	*Source
	iter  *iteration
	root  string
	glob  *glob // if nil, every file
	found bool  // a file was yielded, or failed
	above []fs.FileInfo
}

// walk yields the files below a root; for a glob those that match.
func (s *Source) walk(iter *iteration, r root) bool {
	if fi, err := os.Stat(r.path); r.glob != nil && (err != nil || !fi.IsDir()) {
		return iter.fail(item.Item{Path: r.glob.text},
			fmt.Errorf("matches nothing: there is no directory %s", human.Quote(r.path)))
	}
	before := iter.leftOut
	iter.leftOut = LeftOut{}
	w := &walker{Source: s, iter: iter, root: r.path, glob: r.glob}
	more := w.dir(".")
	left := iter.leftOut
	iter.leftOut.add(before)
	if !more || w.glob == nil || w.found {
		return more
	}
	err := errors.New("matches no file; to send all that is below a directory, name it or end " +
		"with **")
	if left != (LeftOut{}) {
		err = &AllLeftOutError{left}
	}
	return iter.fail(item.Item{Path: w.glob.text}, err)
}

// dir walks one directory; false means stop.
func (w *walker) dir(rel string) bool {
	name := filepath.Join(w.root, filepath.FromSlash(rel))
	if w.opts.Follow {
		fi, err := os.Stat(name)
		if err == nil {
			for _, a := range w.above {
				if os.SameFile(a, fi) {
					w.iter.leave(Loops, name)
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
		// What was read before the error is not sent: a listing cut short would pass for a whole
		// one.
		w.found = true
		return w.iter.fail(item.Item{Path: name, Rel: rel},
			&Mistake{Kind: Unreadable, Text: "the directory cannot be read",
				Err: lines.Reason(err)})
	}
	dir := strings.TrimSuffix(filepath.Join(name, "x"), "x") // with its separator, or empty
	relDir := len(dir)                                       // where {path} begins
	if rel != "." {
		relDir -= len(rel) + 1
	}
	for _, name := range names {
		if w.iter.ctx.Err() != nil {
			w.iter.yield(item.Item{}, context.Cause(w.iter.ctx))
			return false
		}
		path := dir + name
		if !w.entry(item.Item{Path: path, Rel: filepath.ToSlash(path[relDir:])}) {
			return false
		}
	}
	return true
}

// listing returns the sorted names in a directory. Directory entries would take three times the
// memory, and each file's size is asked for anyway.
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

func (w *walker) entry(it item.Item) bool {
	rel := it.Rel
	fi, err := os.Lstat(it.Path)
	if errors.Is(err, fs.ErrNotExist) {
		err = errVanished
	}
	if err != nil {
		return w.isFileElsewhere(w.iter, &it) || w.iter.made(it, lines.Reason(err), asItIs)
	}
	// Windows has reparse points that are neither links nor directories to us: what they lead to is
	// found out the same way.
	link := fi.Mode()&(fs.ModeSymlink|fs.ModeIrregular) != 0
	if !w.wanted(rel, fi.IsDir() || link, !fi.IsDir()) || w.leave(it, fi, link) {
		return true
	}
	if link {
		fi, err = os.Stat(it.Path)
	}
	switch {
	case err != nil:
		if !w.wanted(rel, false, true) || !w.iter.join.May(&it) {
			return true
		}
		w.found = true
		err := &Mistake{Kind: Unreadable, Text: "the link leads nowhere", Err: lines.Reason(err)}
		return w.isFileElsewhere(w.iter, &it) || w.iter.made(it, err, asItIs)
	case !w.wanted(rel, fi.IsDir(), !fi.IsDir()):
		return true
	case fi.IsDir():
		return w.dir(rel)
	case !fi.Mode().IsRegular():
		w.iter.leave(Special, it.Path)
		return true
	}
	switch w.iter.isOwn(it.Path, fi) {
	case "reads":
		w.iter.leave(Read, it.Path)
		return true
	case "writes":
		w.iter.leave(Written, it.Path)
		return true
	}
	w.found = true
	return w.isFileElsewhere(w.iter, &it) || w.yieldFile(w.iter, it, fi)
}

// wanted reports whether the glob speaks of rel, as a directory to enter or as a file.
func (w *walker) wanted(rel string, dir, file bool) bool {
	return w.glob == nil || dir && w.glob.enters(rel) || file && w.glob.matches(rel)
}

// leave counts what is left out, by the first reason that holds.
func (w *walker) leave(it item.Item, fi fs.FileInfo, link bool) bool {
	name := fi.Name()
	switch {
	case w.excluded(it.Rel, name):
		w.iter.leave(Excluded, it.Path)
	case !w.opts.Hidden && !fi.IsDir() && leftover(name):
		w.iter.leave(Leftover, it.Path)
	case !w.opts.Hidden && (name[0] == '.' || hasHiddenAttribute(fi)) &&
		!(w.glob != nil && w.glob.asksFor(name)):
		w.iter.leave(Hidden, it.Path)
	case !w.opts.Follow && link:
		w.iter.leave(Links, it.Path)
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

// leftover reports whether an editor left the file behind: a backup, an autosave, a lock or a swap
// file.
func leftover(name string) bool {
	return strings.HasSuffix(name, "~") || strings.HasPrefix(name, ".#") ||
		strings.HasSuffix(name, ".swp") ||
		len(name) > 1 && name[0] == '#' && name[len(name)-1] == '#'
}
