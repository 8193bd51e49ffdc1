package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
	"unicode/utf8"
)

const (
	flushAfter = time.Second
	flushSize  = 64 << 10
)

// Results writes items as NDJSON, one line each. Lines reach the file at most a
// second after their item, and only whole: who follows the file, or finds it
// after a crash, can read every line. All methods are safe for concurrent use.
type Results struct {
	mu     sync.Mutex // protects what follows, and the order of writes
	w      io.Writer  // nil until an old file is replaced
	c      io.Closer  // nil if the writer is the caller's to close
	old    string     // the file to be replaced, as long as it is not
	buf    bytes.Buffer
	enc    *json.Encoder
	timer  *time.Timer // set while buf is not empty
	err    error       // the first one; nothing is written after it
	closed bool
}

// ErrClosed is returned by Write after Close.
var ErrClosed = errors.New("report: the results are closed")

// NewResults writes to w and does not close it.
func NewResults(w io.Writer) *Results {
	r := &Results{w: w}
	r.enc = json.NewEncoder(&r.buf)
	r.enc.SetEscapeHTML(false)
	return r
}

// CreateResults writes to a file that only its owner may read.
//
// An old file at path is replaced, in one step, when the first lines are
// written or Flush is called, and not before: it may be all that tells of an
// earlier run, and this one may end before it has anything to tell. Where the
// directory does not allow that the old file is written over, at the same time.
// A path that exists and is no regular file, such as a pipe, is written to.
func CreateResults(path string) (*Results, error) {
	r := NewResults(nil)
	var err error
	if r.old, err = regular(path); err == nil && r.old != "" {
		var f *os.File
		if f, err = os.OpenFile(r.old, os.O_RDWR, 0); err == nil {
			err = errors.Join(begins(f, `{"type":`), f.Close())
		}
	} else if err == nil {
		err = r.open(path, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("report: no results can be written: %w", err)
	}
	return r, nil
}

// begins is an error unless a file is empty or begins as what penstock writes: its name
// may be one of the user's files, as when a shell puts in a list of them.
func begins(f *os.File, with string) error {
	head := make([]byte, len(with))
	n, err := io.ReadFull(f, head)
	switch {
	case n == 0 && err == io.EOF || string(head) == with:
		return nil
	case err != nil && err != io.ErrUnexpectedEOF:
		return err
	}
	return fmt.Errorf("%s is there, and is none of penstock's: give another name, or remove it", f.Name())
}

// CheckJSON is an error if [WriteJSON] would write over what is no report.
func CheckJSON(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return nil // which writing it will tell
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	return begins(f, "{\n  \"schema_version\"")
}

// regular returns the name of the regular file that path leads to, or "".
func regular(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return "", nil // which opening it will tell
	}
	return filepath.EvalSymlinks(path)
}

func (r *Results) open(path string, flag int) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND|flag, 0o600)
	if err == nil {
		r.w, r.c = f, f
	}
	return err
}

// replaceLocked puts a new file with the buffered lines in the place of the old.
func (r *Results) replaceLocked() error {
	path := r.old
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // 0600
	if err != nil {
		r.old = ""
		return r.open(path, os.O_TRUNC)
	}
	_, err = f.Write(r.buf.Bytes())
	if err = firstError(err, f.Sync(), f.Close()); err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	r.old = ""
	if os.Rename(f.Name(), path) != nil { // as when the file alone is mounted
		_ = os.Remove(f.Name())
		return r.open(path, os.O_TRUNC)
	}
	r.buf.Reset()
	return r.open(path, 0)
}

// line is a row of the file: the item after its type. A name that is not UTF-8
// cannot be told in JSON, and is given once more.
type line struct {
	Type string `json:"type"`
	Item
	PathBytes []byte `json:"path_base64,omitempty"`
	RelBytes  []byte `json:"rel_base64,omitempty"`
}

func lineOf(it Item) line {
	l := line{Type: "item", Item: it}
	if !utf8.ValidString(it.Path) {
		l.PathBytes = []byte(it.Path)
	}
	if !utf8.ValidString(it.Rel) {
		l.RelBytes = []byte(it.Rel)
	}
	return l
}

// Write adds a line. It returns the first error of any write so far, so a full
// disk is known within a second and not at the end of the night.
func (r *Results) Write(it Item) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.err != nil:
		return r.err
	case r.closed:
		return ErrClosed
	}
	n := r.buf.Len()
	if err := r.enc.Encode(lineOf(it)); err != nil {
		// Only a NaN in Seconds can do this. It is one item's fault.
		r.buf.Truncate(n)
		return fmt.Errorf("report: no line for item %q: %w", it.Path, err)
	}
	if r.buf.Len() >= flushSize {
		return r.flushLocked()
	}
	if r.timer == nil {
		r.timer = time.AfterFunc(flushAfter, func() { _ = r.Flush() })
	}
	return nil
}

// Flush writes what is buffered, and replaces an old file even with nothing.
func (r *Results) Flush() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return r.err
	}
	return r.flushLocked()
}

func (r *Results) flushLocked() error {
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
	if r.err != nil {
		return r.err
	}
	var err error
	if r.old != "" {
		err = r.replaceLocked()
	}
	if err == nil && r.buf.Len() > 0 {
		_, err = r.w.Write(r.buf.Bytes())
	}
	if err != nil {
		r.err = fmt.Errorf("report: the results are incomplete: %w", err)
	}
	r.buf.Reset()
	return r.err
}

// Close writes what is buffered and closes the file, and returns the first error
// of any write. Further calls return the same. An old file stays as it is if there
// is nothing to replace it by.
func (r *Results) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return r.err
	}
	r.closed = true
	var err error
	if r.buf.Len() > 0 {
		err = r.flushLocked()
	}
	if r.c != nil {
		// A file system may report only now that it lost a write.
		if cerr := r.c.Close(); cerr != nil && err == nil {
			r.err = fmt.Errorf("report: the results are incomplete: %w", cerr)
		}
	}
	return r.err
}
