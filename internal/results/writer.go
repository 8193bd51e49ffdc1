package results

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/outfile"
	"github.com/penstock/penstock/internal/queue"
)

const (
	flushAfter = time.Second
	flushSize  = 64 << 10
)

// maxUnwritten bounds the lines in memory that wait for a reader, as [Writer.Room] counts them.
const maxUnwritten = 4 << 20

// Writer writes items as NDJSON, one line each. Lines reach the file at most a second after their
// item, and only whole: a program that follows the file, or reads it after a crash, can read every
// line. A pipe, and what NewWriter was given, gets each at once: a program may wait for it. All
// methods are safe for concurrent use.
//
// A reader that has stopped, as of a pipe, blocks neither Write nor Flush: their lines are written
// by a goroutine of their own. Room waits for that reader, and so does Close.
type Writer struct {
	out    queue.Queue   // writes; only its tasks use the following four
	w      io.Writer     // nil until an old file is replaced
	c      io.Closer     // nil if the writer is the caller's to close
	old    string        // the file to be replaced, as long as it is not
	failed chan struct{} // closed when err is set

	prompt  bool        // lines are written as soon as those before them are
	awaited atomic.Bool // AwaitRoom waits

	mu      sync.Mutex // protects what follows, and the order of lines
	buf     bytes.Buffer
	enc     *json.Encoder
	timer   *time.Timer // set while buf is not empty
	err     error       // the first one; nothing is written after it
	closed  bool
	missing int // lines that have not reached the file
	writing int // tasks of out
}

// ErrClosed is returned by Write after Close.
var ErrClosed = errors.New("results: the results are closed")

// NewWriter writes to w, at once, and does not close it.
func NewWriter(w io.Writer) *Writer {
	r := newWriter(w)
	r.prompt = true
	return r
}

func newWriter(w io.Writer) *Writer {
	r := &Writer{w: w, failed: make(chan struct{})}
	r.enc = human.NewEncoder(&r.buf)
	return r
}

// Create writes to a file that only its owner may read.
//
// An old file at path is replaced, in one step, when the first lines are written or Flush is
// called, and not before: it may be all that tells of an earlier run, and this one may end before
// it has anything to tell. Where the directory does not allow that the old file is written over, at
// the same time. A path that exists and is no regular file, such as a pipe, is written to.
func Create(path string) (*Writer, error) {
	r := newWriter(nil)
	var err error
	if r.old = outfile.Regular(path); r.old != "" {
		err = outfile.Replaceable(r.old, `{"type":`)
	} else if err = r.open(path); err == nil {
		r.prompt = outfile.Regular(path) == ""
	}
	if err != nil {
		return nil, fmt.Errorf("results: no results can be written: %w", err)
	}
	return r, nil
}

func (r *Writer) open(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	switch {
	case err == nil:
		r.w, r.c = f, f
	case errors.Is(err, os.ErrNotExist): // it is the directory that is wrong
		return cmp.Or(outfile.Creatable(path), err)
	}
	return err
}

// replace puts a new file with these lines in the place of the old.
func (r *Writer) replace(lines []byte) error {
	path := r.old
	r.old = ""
	if err := outfile.Replace(path, lines); err != nil {
		return err
	}
	return r.open(path)
}

// Write adds a line. It returns the first error of any write so far, so a full disk is known within
// a second and not at the end of the night.
func (r *Writer) Write(it Result) error {
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
		return fmt.Errorf("results: no line for item %q: %w", it.Path, err)
	}
	r.missing++
	if r.buf.Len() >= flushSize || r.prompt && r.writing == 0 {
		r.flushLocked()
	} else if r.prompt { // write comes back to them
	} else if r.timer == nil {
		r.timer = time.AfterFunc(flushAfter, func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			if !r.closed {
				r.flushLocked()
			}
		})
	}
	return nil
}

// Full reports whether so many lines wait for their reader that Room would wait.
func (r *Writer) Full() bool { return r.out.Held() >= maxUnwritten }

// Room waits until fewer than [maxUnwritten] bytes of lines wait for their reader, or until ctx
// ends. To call it before new work bounds the memory that a stopped reader costs.
func (r *Writer) Room(ctx context.Context) error { return r.out.Room(ctx, maxUnwritten) }

// Failed returns a channel that is closed when a write has failed; Err says why.
func (r *Writer) Failed() <-chan struct{} { return r.failed }

// Err returns the first error of any write so far.
func (r *Writer) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Flush writes what is buffered, waits until that is done, and replaces an old file even with
// nothing.
func (r *Writer) Flush(ctx context.Context) error {
	r.mu.Lock()
	if !r.closed {
		r.flushLocked()
	}
	r.mu.Unlock()
	if err := r.out.Drain(ctx); err != nil {
		return err
	}
	return r.Err()
}

// flushLocked hands what is buffered to the queue.
func (r *Writer) flushLocked() {
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
	lines := bytes.Clone(r.buf.Bytes())
	r.buf.Reset()
	r.writing++
	r.out.Add(len(lines), func() { r.write(lines) })
}

// write is a task of the queue.
func (r *Writer) write(lines []byte) {
	if r.Err() != nil {
		return
	}
	var err error
	if r.old != "" {
		err = r.replace(lines)
	} else if len(lines) > 0 {
		_, err = r.w.Write(lines)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writing--
	if err != nil {
		r.failLocked(err)
		return
	}
	r.missing -= bytes.Count(lines, []byte("\n"))
	if r.prompt && r.writing == 0 && r.buf.Len() > 0 && !r.closed {
		r.flushLocked()
	}
}

func (r *Writer) failLocked(err error) {
	if r.err == nil {
		r.err = fmt.Errorf("results: the results are incomplete: %w", err)
		close(r.failed)
	}
}

// Close writes what is buffered and closes the file, and returns the first error of any write.
// Further calls return the same. An old file stays as it is if there is nothing to replace it by.
// If ctx ends before everything is written, that is such an error, and what is not written yet is
// lost.
func (r *Writer) Close(ctx context.Context) error {
	r.mu.Lock()
	first := !r.closed
	r.closed = true
	if first && r.buf.Len() > 0 {
		r.flushLocked()
	}
	r.mu.Unlock()
	if !first {
		return r.Err()
	}
	drained := r.out.Drain(ctx) == nil
	var err error
	if drained && r.c != nil {
		err = r.c.Close() // a file system may report only now that it lost a write
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !drained {
		err = fmt.Errorf("their reader has stopped: not written: %s",
			human.Plural(int64(r.missing), "line"))
	}
	if err != nil {
		r.failLocked(err)
	}
	return r.err
}
