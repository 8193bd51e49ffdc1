package report

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"os"
	"regexp"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/outfile"
)

// WriteJSON writes the report to a file that only its owner may read. A reader of path sees the old
// report or the whole new one, also after a crash. A path that exists and is no regular file, such
// as a pipe, is written to.
func WriteJSON(path string, s Summary) error { return write(path, s.EncodeJSON) }

func write(path string, encode func(io.Writer) error) error {
	err := writeTo(path, encode)
	if err != nil {
		err = fmt.Errorf("report: the summary was not written: %w", err)
	}
	return err
}

func writeTo(path string, encode func(io.Writer) error) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return cmp.Or(encode(f), f.Close())
	}
	var b bytes.Buffer
	if err := encode(&b); err != nil {
		return err
	}
	return outfile.Replace(cmp.Or(outfile.Regular(path), path), b.Bytes())
}

// CheckJSON is an error if [WriteJSON] cannot write there, or would write over what is no report.
func CheckJSON(path string) error { return check(path, "{\n  \"schema_version\"") }

func check(path, begin string) error {
	if old := outfile.Regular(path); old != "" {
		return outfile.Replaceable(old, begin)
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return outfile.Creatable(path)
	case info.IsDir():
		return fmt.Errorf("%s is a directory", path)
	case info.Mode()&os.ModeNamedPipe != 0:
		return nil // opening it would wait for its reader, and closing it end that one
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

var (
	// An innermost array, over several lines. No text has a newline in JSON.
	array  = regexp.MustCompile(`\[\n[^\[\]{}]*\n *\]`)
	indent = regexp.MustCompile(`\n *`)
)

// EncodeJSON writes the report, indented, with a newline at its end. Rows of the timeline have a
// line each.
func (s Summary) EncodeJSON(w io.Writer) error {
	var b bytes.Buffer
	enc := human.NewEncoder(&b)
	enc.SetIndent("", "  ")
	if err := enc.Encode(s); err != nil {
		return err
	}
	oneLine := func(lines []byte) []byte { return indent.ReplaceAll(lines, nil) }
	_, err := w.Write(array.ReplaceAllFunc(b.Bytes(), oneLine))
	return err
}
