package spool

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"

	"github.com/penstock/penstock/internal/filebody"
)

// A ClientError is what was wrong with the body that a client sent: it broke off, was too slow, or
// was not as long as its Content-Length.
type ClientError struct{ Err error }

func (e *ClientError) Error() string { return "the client's body: " + e.Err.Error() }

// Unwrap returns the error of the client's body as it was. That of a body which is too short wraps
// [io.ErrUnexpectedEOF].
func (e *ClientError) Unwrap() error { return e.Err }

var (
	errClosed    = errors.New("spool: the body was closed")
	errForgotten = errors.New("no other attempt was expected")
	errTooLong   = errors.New("it is longer than its Content-Length")
)

// A Body is the body of a request that a client sends, read by one attempt after another. Its
// methods, and those of its readers, are safe for concurrent use: net/http may read a body after
// its RoundTrip has returned.
type Body struct {
	store *Store
	from  io.Reader
	size  int64 // -1 if it is not known
	first reader

	mu struct {
		sync.Mutex
		read    int64 // bytes of the client's body
		end     error // what came after them: io.EOF or a *ClientError; nil if more may come
		reading bool  // some reader waits for the client
		kept    kept
		lost    error         // why not all that was read is kept, or will be
		dropped bool          // nothing is kept any more
		closed  bool          // by Close
		opened  bool          // the first reader is in use
		readers []*reader     // those that are open, in the order of their opening
		changed chan struct{} // closed by the next change that a reader may wait for; often nil
	}
}

// Set makes b the body of req: it sets Body, GetBody and ContentLength. A body that was there is
// not closed.
func (b *Body) Set(req *http.Request) {
	req.ContentLength, req.GetBody = b.size, b.Open
	req.Body = http.NoBody
	if b.size != 0 { // any other body makes net/http believe that the length is not known
		req.Body = b.open()
	}
}

// Open returns a reader of the whole body, as [http.Request.GetBody] should: it replays what was
// read before, and goes on with what the client sends. It fails if not all that was read is kept;
// the error says why, and wraps [ErrBound] or the error of the disk. If the client's body had an
// error, Open returns that, a [*ClientError].
//
// Readers that were opened before remain usable as long as everything is kept. After that the
// newest of the open ones goes on, and the others fail. Closing a reader does not end a Read of the
// client's body that it waits for; what that yields is kept for the others.
func (b *Body) Open() (io.ReadCloser, error) {
	if b.size == 0 {
		return http.NoBody, nil
	}
	if err := b.Again(filebody.Sent{}); err != nil {
		return nil, err
	}
	return b.open(), nil
}

func (b *Body) open() *reader {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := &b.first
	if b.mu.opened {
		r = new(reader)
	}
	r.body, b.mu.opened = b, true
	b.mu.readers = append(b.mu.readers, r)
	return r
}

// Again returns why the body cannot be opened again, or nil if it can. It is how retry.Client asks.
func (b *Body) Again(filebody.Sent) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.mu.closed:
		return errClosed
	case b.mu.lost != nil:
		return b.mu.lost
	case b.mu.end != nil && b.mu.end != io.EOF:
		return b.mu.end
	}
	return nil
}

// Err returns the [*ClientError] that ended the client's body, or nil if there was none so far. The
// error that a transport returns need not wrap it.
func (b *Body) Err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mu.end == io.EOF {
		return nil
	}
	return b.mu.end
}

// Forget makes Open fail from now on, and keeps nothing more. What is kept is freed as soon as the
// newest open reader has read it; that reader goes on.
func (b *Body) Forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.loseLocked(errForgotten)
}

// Close frees what is kept. All readers fail from now on; one that waits for the client fails when
// the client's body returns from its Read. Close does not wait for that. It returns nil, and may be
// called again.
func (b *Body) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mu.closed {
		return nil
	}
	b.mu.closed = true
	b.dropLocked()
	b.wakeLocked()
	b.store.mu.Lock()
	b.store.mu.stats.Bodies--
	b.store.mu.Unlock()
	return nil
}

// loseLocked records why the body cannot be opened again, if it can until now.
func (b *Body) loseLocked(why error) {
	if b.mu.lost == nil {
		b.mu.lost = fmt.Errorf("spool: the body cannot be sent again: %w", why)
		b.wakeLocked()
	}
	b.tidyLocked()
}

// tidyLocked frees what is kept if no reader can need it.
func (b *Body) tidyLocked() {
	if b.mu.lost != nil {
		if r := b.newestLocked(); r == nil || r.at == b.mu.read {
			b.dropLocked()
		}
	}
}

// newestLocked returns the open reader that goes on if only one can; nil if none is open.
func (b *Body) newestLocked() *reader {
	if n := len(b.mu.readers); n > 0 {
		return b.mu.readers[n-1]
	}
	return nil
}

// waitLocked waits for a change, on a channel so that fake time can go on meanwhile.
func (b *Body) waitLocked() {
	if b.mu.changed == nil {
		b.mu.changed = make(chan struct{})
	}
	changed := b.mu.changed
	b.mu.Unlock()
	<-changed
	b.mu.Lock()
}

func (b *Body) wakeLocked() {
	if b.mu.changed != nil {
		close(b.mu.changed)
		b.mu.changed = nil
	}
}

// A reader reads the whole body once. The lock of the Body protects it.
type reader struct {
	body   *Body
	at     int64
	closed bool
}

// Again is what retry.Client asks of the body of a request.
func (r *reader) Again(sent filebody.Sent) error { return r.body.Again(sent) }

func (r *reader) Close() error {
	b := r.body
	b.mu.Lock()
	defer b.mu.Unlock()
	if !r.closed {
		r.closed = true
		b.mu.readers = slices.DeleteFunc(b.mu.readers, func(o *reader) bool { return o == r })
		b.tidyLocked()
		b.wakeLocked()
	}
	return nil
}

func (r *reader) Read(p []byte) (int, error) {
	b := r.body
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		switch {
		case r.closed:
			return 0, http.ErrBodyReadAfterClose
		case b.mu.closed:
			return 0, errClosed
		case len(p) == 0:
			return 0, nil
		case r.at < b.mu.read:
			return r.replayLocked(p)
		case b.mu.end != nil:
			return 0, b.mu.end
		case b.mu.lost != nil && r != b.newestLocked():
			return 0, b.mu.lost
		case !b.mu.reading:
			return r.passLocked(p)
		}
		b.waitLocked()
	}
}

// replayLocked reads what some reader has read before.
func (r *reader) replayLocked(p []byte) (int, error) {
	b := r.body
	n, ok, err := b.replayLocked(p, r.at)
	if fault := r.faultLocked(); fault != nil { // which may be why the file could not be read
		return 0, fault
	}
	if !ok || err != nil && b.mu.dropped {
		return 0, b.mu.lost
	}
	r.at += int64(n)
	if err != nil {
		err = fmt.Errorf("what was kept cannot be read: %w", err)
		b.loseLocked(err)
		return n, fmt.Errorf("spool: %w", err)
	}
	b.tidyLocked()
	if r.at == b.mu.read {
		err = b.mu.end
	}
	return n, err
}

// passLocked reads from the client, and keeps that.
//
// It requires that mu is held, and releases it meanwhile.
func (r *reader) passLocked(p []byte) (int, error) {
	b := r.body
	b.mu.reading = true
	n, err := b.fromClientLocked(p)
	whole := true
	if n > 0 {
		if b.mu.lost == nil && !b.mu.closed {
			if why := b.keepLocked(p[:n]); why != nil {
				defer b.loseLocked(why) // once it is known who goes on
			}
		}
		whole = b.mu.kept.length == b.mu.read+int64(n)
	}
	b.mu.reading = false
	if o := b.newestLocked(); n > 0 && !whole && o != nil && o != r {
		b.mu.kept.passing = slices.Clone(p[:n])
	}
	r.at = b.mu.read + int64(n)
	b.mu.read, b.mu.end = r.at, err
	b.tidyLocked()
	b.wakeLocked()
	if fault := r.faultLocked(); fault != nil {
		return 0, fault
	}
	return n, err
}

// faultLocked returns why the reader returns nothing any more, whatever it has read meanwhile.
func (r *reader) faultLocked() error {
	switch {
	case r.closed:
		return http.ErrBodyReadAfterClose
	case r.body.mu.closed:
		return errClosed
	}
	return nil
}

// fromClientLocked reads from the client and compares with the size that was said.
//
// It requires that mu is held, and releases it meanwhile.
func (b *Body) fromClientLocked(p []byte) (n int, err error) {
	func() {
		b.mu.Unlock()
		defer b.mu.Lock()
		n, err = b.from.Read(p)
	}()
	if b.size >= 0 {
		switch left := b.size - b.mu.read; {
		case int64(n) > left:
			n, err = 0, errTooLong // with the bytes before, a server might take it for whole
		case err == io.EOF && int64(n) < left:
			err = fmt.Errorf("it ends after %d of %d bytes: %w", b.mu.read+int64(n), b.size,
				io.ErrUnexpectedEOF)
		}
	}
	if err != nil && err != io.EOF {
		err = &ClientError{err}
	}
	return n, err
}
