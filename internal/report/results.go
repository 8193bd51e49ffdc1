package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

const (
	flushAfter = time.Second
	flushSize  = 64 << 10
)

// Results writes items as NDJSON, one line each. Lines reach the file at most a
// second after their item, and only whole: who follows the file, or finds it
// after a crash, can read every line. All methods are safe for concurrent use.
type Results struct {
	w io.Writer
	c io.Closer // nil if the writer is the caller's to close

	mu     sync.Mutex // protects what follows, and the order of writes
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

// CreateResults writes to a new file that only its owner may read, or over an
// old one.
func CreateResults(path string) (*Results, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("report: no results can be written: %w", err)
	}
	r := NewResults(f)
	r.c = f
	return r, nil
}

// line is a row of the file: the item after its type.
type line struct {
	Type string `json:"type"`
	Item
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
	if err := r.enc.Encode(line{"item", it}); err != nil {
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

// Flush writes what is buffered.
func (r *Results) Flush() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.flushLocked()
}

func (r *Results) flushLocked() error {
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
	if r.err != nil || r.buf.Len() == 0 {
		return r.err
	}
	if _, err := r.w.Write(r.buf.Bytes()); err != nil {
		r.err = fmt.Errorf("report: the results are incomplete: %w", err)
	}
	r.buf.Reset()
	return r.err
}

// Close flushes and closes the file, and returns the first error of any write.
// Further calls return the same.
func (r *Results) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return r.err
	}
	r.closed = true
	err := r.flushLocked()
	if r.c != nil {
		// A file system may report only now that it lost a write.
		if cerr := r.c.Close(); cerr != nil && err == nil {
			r.err = fmt.Errorf("report: the results are incomplete: %w", cerr)
		}
	}
	return r.err
}
