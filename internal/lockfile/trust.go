package lockfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrStranger says that a file was made by somebody else.
var ErrStranger = errors.New("is not safe to use")

// RealPath returns the name of a journal, with links followed, also to a file that is not there
// yet: two names of one journal have one lock. It fails if a link, or one of the journal's files
// that are there already, was made by somebody else, or if a file beside the journal is not a
// regular one: in a directory that others may write, it could be another file of ours that would be
// overwritten. The suffixes are those of the journal's files, but for the lock.
func RealPath(path string, suffixes []string) (real string, err error) {
	if real, err = resolve(path); err != nil {
		return "", err
	}
	for _, suffix := range append(suffixes[:len(suffixes):len(suffixes)], Suffix) {
		name := real + suffix
		fi, err := os.Lstat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return "", err
		case name != real && !fi.Mode().IsRegular():
			return "", fmt.Errorf("%w: %s is not a regular file", ErrStranger, name)
		}
		if err := checkOwner(name); err != nil {
			return "", err
		}
	}
	return real, nil
}

// resolve follows the links that a path ends in.
func resolve(path string) (string, error) {
	for range 40 {
		dir, err := filepath.EvalSymlinks(filepath.Dir(path))
		if err != nil {
			return "", err
		}
		path = filepath.Join(dir, filepath.Base(path))
		to, err := os.Readlink(path)
		if err != nil { // it is no link, or there is nothing of that name
			return path, nil
		}
		if err := checkOwner(path); err != nil {
			return "", err
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(dir, to)
		}
		path = to
	}
	return "", fmt.Errorf("%s: too many links", path)
}
