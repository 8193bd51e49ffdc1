package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
)

// WriteJSON writes the report to a file that only its owner may read. Whoever
// looks at path sees the old report or the whole new one, also after a crash.
// A path that exists and is no regular file, such as a pipe, is written to.
func WriteJSON(path string, s Summary) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("report: the summary was not written: %w", err)
		}
	}()
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return firstError(s.EncodeJSON(f), f.Close())
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if err := firstError(s.EncodeJSON(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
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
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // "&" in a URL is for people, too
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
