package source

import (
	"io/fs"
	"os"
	"path/filepath"
)

// An ownFile is a file of the run itself, which is never sent.
type ownFile struct {
	name string // as it was given
	path string // absolute, without links in its directory
	verb string // what the run does with it: reads, writes
	info fs.FileInfo
}

// is reports whether name leads to the file.
func (o *ownFile) is(name string) bool {
	a, aerr := os.Stat(name)
	b, berr := os.Stat(o.path)
	return aerr == nil && berr == nil && os.SameFile(a, b)
}

// Own adds to Options.Written. It must not be called while the Source is iterated.
func (s *Source) Own(names ...string) { s.addOwn("writes", names) }

func (s *Source) addOwn(verb string, names []string) {
	for _, name := range names {
		if name == "" || name == "-" {
			continue
		}
		path, err := filepath.Abs(name)
		if err != nil {
			continue
		}
		if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
			path = filepath.Join(dir, filepath.Base(path))
		}
		s.own = append(s.own, ownFile{name: name, path: path, verb: verb})
	}
}

// lookAtOwn notes which of the run's own files are there when an iteration begins.
func (s *Source) lookAtOwn() (infos []ownFile) {
	for _, own := range s.own {
		if info, err := os.Stat(own.path); err == nil {
			own.info = info
		}
		infos = append(infos, own)
	}
	return infos
}

// isOwn returns what the run does with a file if that is its own, or "".
func (iter *iteration) isOwn(path string, fi fs.FileInfo) (verb string) {
	for i := range iter.own {
		own := &iter.own[i]
		// One that was made since the iteration began is known by its name.
		if own.info != nil && os.SameFile(own.info, fi) ||
			filepath.Base(own.path) == filepath.Base(path) && own.is(path) {
			return own.verb
		}
	}
	return ""
}

// An ownError says that a file that was named is the run's own. Scan returns it, so that nothing is
// sent, or overwritten; where standard input names the file, that item fails.
type ownError struct{ verb string }

func (e *ownError) Error() string {
	return "this run " + e.verb + " that file, so it cannot send it"
}
