package report

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
)

// WriteJSON writes the report to a file that only its owner may read. Whoever
// looks at path sees the old report or the whole new one, also after a crash.
// A path that exists and is no regular file, such as a pipe, is written to.
func WriteJSON(path string, s Summary) error {
	err := writeJSON(path, s)
	if err != nil {
		err = fmt.Errorf("report: the summary was not written: %w", err)
	}
	return err
}

func writeJSON(path string, s Summary) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return firstError(s.EncodeJSON(f), f.Close())
	}
	var b bytes.Buffer
	if err := s.EncodeJSON(&b); err != nil {
		return err
	}
	return replaceFile(cmp.Or(regular(path), path), b.Bytes())
}

// CheckJSON is an error if [WriteJSON] cannot write there, or would write over what is no report.
func CheckJSON(path string) error {
	if old := regular(path); old != "" {
		return replaceable(old, "{\n  \"schema_version\"")
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return creatable(path)
	case info.IsDir():
		return fmt.Errorf("%s is a directory", path)
	case info.Mode()&os.ModeNamedPipe != 0:
		return nil // opening it would wait for its reader, and closing it would be the end for that one
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

// creatable is an error if no new file can be made at path.
func creatable(path string) error {
	dir := filepath.Dir(path)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return fmt.Errorf("there is no directory %s", dir)
	}
	f, err := os.CreateTemp(dir, ".penstock.*")
	if err != nil {
		var why *fs.PathError
		if errors.As(err, &why) {
			err = why.Err // the path is none that anybody knows
		}
		if errors.Is(err, fs.ErrNotExist) { // though the directory exists, as /proc does
			return fmt.Errorf("no file can be made in %s: name another directory", dir)
		}
		return fmt.Errorf("no file can be made in %s: %w", dir, err)
	}
	return firstError(f.Close(), os.Remove(f.Name()))
}

// replaceable is an error unless the file at path can be written, and is empty or begins like what penstock writes: its name
// may be one of the user's files, as when a shell puts in a list of them.
func replaceable(path, with string) error {
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
	return fmt.Errorf("%s exists and was not written by penstock: give another name, or remove it", path)
}

// regular returns the name of the regular file that path leads to, or "".
func regular(path string) string {
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

// replaceFile puts a new file, which only its owner may read, in the place of path, in one step. Where the directory does not
// allow that, it writes over the old one.
func replaceFile(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // 0600
	if err != nil {
		return overwrite(path, content)
	}
	_, err = f.Write(content)
	if err = firstError(err, f.Sync(), f.Close()); err != nil {
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
	return firstError(err, f.Close())
}

// SameFile reports whether what is written to the one path would overwrite what is written to the other, whatever they are
// called and whether or not they exist.
func SameFile(a, b string) bool {
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

var (
	// An innermost array, over several lines. No text has a newline in JSON.
	array  = regexp.MustCompile(`\[\n[^\[\]{}]*\n *\]`)
	indent = regexp.MustCompile(`\n *`)
)

// EncodeJSON writes the report, indented, with a newline at its end. Rows of the
// timeline have a line each.
func (s Summary) EncodeJSON(w io.Writer) error {
	var b bytes.Buffer
	enc := NewEncoder(&b)
	enc.SetIndent("", "  ")
	if err := enc.Encode(s); err != nil {
		return err
	}
	_, err := w.Write(array.ReplaceAllFunc(b.Bytes(), func(lines []byte) []byte { return indent.ReplaceAll(lines, nil) }))
	return err
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
