// Package clientconn is what a server has to do with a client's connection beside net/http: it is
// patient with one that is slow to send or to read, and knows one that has gone; it ends the
// reading of a body with the handler; it passes on a body's trailer; and it knows a client by name.
package clientconn

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// A Fault is the client's: its body does not come, or not as long as it says.
type Fault struct {
	Err    error
	Status int // of the answer that says so
}

// Error returns what happened.
func (f *Fault) Error() string { return f.Err.Error() }

// Unwrap returns Err.
func (f *Fault) Unwrap() error { return f.Err }

// Guard returns a client's body whose errors are of type *[Fault], and which keeps the first of
// them in fault: what a transport returns may be that the server has ended the context then. A
// client that sends nothing for so long, while it is read, is given up; if stall is zero, never.
func Guard(
	w http.ResponseWriter, body io.ReadCloser, stall time.Duration, fault *atomic.Pointer[Fault],
) *Body {
	return &Body{ReadCloser: body, conn: http.NewResponseController(w), stall: stall, fault: fault}
}

// A Body is that of a request. Use [Guard].
type Body struct {
	io.ReadCloser
	conn  *http.ResponseController
	stall time.Duration
	fault *atomic.Pointer[Fault]

	reading sync.Mutex
	ended   atomic.Bool // it was read to its end
	over    atomic.Bool // it is not read any more
}

var errOver = errors.New("the request was answered")

// Read reads what the client sends. It may be called while Stop is.
func (b *Body) Read(p []byte) (int, error) {
	b.reading.Lock()
	defer b.reading.Unlock()
	if b.stall > 0 {
		_ = b.conn.SetReadDeadline(time.Now().Add(b.stall))
		// While nothing is read, the server watches whether the client leaves.
		defer func() { _ = b.conn.SetReadDeadline(time.Time{}) }()
	}
	if b.over.Load() {
		return 0, errOver
	}
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.ended.Store(true)
	}
	if err == nil || err == io.EOF || b.over.Load() {
		return n, err
	}
	fault := &Fault{err, http.StatusBadRequest}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		fault.Status = http.StatusRequestTimeout
	case errors.As(err, new(*http.MaxBytesError)):
		fault.Status = http.StatusRequestEntityTooLarge
	}
	b.fault.CompareAndSwap(nil, fault)
	return n, fault
}

// Stop ends the reading, when the handler does: a transport may read for longer. What is left of
// the body is read by net/http, for which the client has the time that it had for each piece.
func (b *Body) Stop() {
	if b.ended.Load() {
		return
	}
	b.over.Store(true)
	_ = b.conn.SetReadDeadline(time.Unix(1, 0))
	b.reading.Lock()
	defer b.reading.Unlock()
	rest := time.Time{}
	if b.stall > 0 {
		rest = time.Now().Add(b.stall)
	}
	_ = b.conn.SetReadDeadline(rest)
}
