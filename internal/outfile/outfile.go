// Package outfile makes the files that a run writes for its user: with one step from the old
// content to the new, and never over a file that is something else.
package outfile

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Creatable is an error if no new file can be made at path.
func Creatable(path string) error {
	dir := filepath.Dir(path)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return fmt.Errorf("there is no directory %s", dir)
	}
	f, err := os.CreateTemp(dir, ".penstock.*")
	if err != nil {
		if why, ok := errors.AsType[*fs.PathError](err); ok {
			err = why.Err // the path is not one that the user gave
		}
		if errors.Is(err, fs.ErrNotExist) { // though the directory exists, as /proc does
			return fmt.Errorf("no file can be made in %s: name another directory", dir)
		}
		return fmt.Errorf("no file can be made in %s: %w", dir, err)
	}
	return cmp.Or(f.Close(), os.Remove(f.Name()))
}

// Replaceable is an error unless the file at path can be written, and is empty or begins like what
// penstock writes: its name may be one of the user's files, as when a shell puts in a list of them.
func Replaceable(path, with string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, len(with))
	n, err := io.ReadFull(f, head)
	switch {
	case n == 0 && err == io.EOF || string(head) == with:
		return nil
	case err != nil && err != io.ErrUnexpectedEOF:
		return err
	}
	return fmt.Errorf("%s exists and was not written by penstock: give another name, or remove it",
		path)
}

// Regular returns the name of the regular file that path leads to, or "".
func Regular(path string) string {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return "" // opening it will return why
	}
	name, err := filepath.EvalSymlinks(path)
	if err != nil {
		return ""
	}
	return name
}

// Replace puts a new file, which only its owner may read, in the place of path, in one step. Where
// the directory does not allow that, it writes over the old one.
func Replace(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // 0600
	if err != nil {
		return overwrite(path, content)
	}
	_, err = f.Write(content)
	if err = cmp.Or(err, f.Sync(), f.Close()); err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	if os.Rename(f.Name(), path) != nil { // as when the file alone is mounted
		_ = os.Remove(f.Name())
		return overwrite(path, content)
	}
	return nil
}

func overwrite(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return cmp.Or(err, f.Close())
}

// Same reports whether what is written to the one path would overwrite what is written to the
// other, whatever they are called and whether or not they exist.
func Same(a, b string) bool {
	first, err := os.Stat(a)
	second, err2 := os.Stat(b)
	if err == nil && err2 == nil {
		return first.Mode().IsRegular() && os.SameFile(first, second)
	}
	return destination(a) == destination(b)
}

// destination is the absolute name of the file that would be made at path, behind all links.
func destination(path string) string {
	const most = 40 // links, as the kernel follows them
	for range most {
		to, err := os.Readlink(path)
		if err != nil {
			break
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		path = to
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(abs)); err == nil {
		return filepath.Join(dir, filepath.Base(abs))
	}
	return abs
}
