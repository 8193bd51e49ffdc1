package relay

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// A clientError is the fault of the client: its body does not come, or not as long as it says.
type clientError struct {
	error
	status int
}

func (e *clientError) Unwrap() error { return e.error }

// guard returns a client's body whose errors say that they are the client's, and which notes them
// in the call: what a transport returns may be that the server has ended the context then. A client
// that sends nothing for so long, while it is read, is given up.
func guard(w http.ResponseWriter, body io.ReadCloser, stall time.Duration, c *call) *guarded {
	return &guarded{ReadCloser: body, conn: http.NewResponseController(w), stall: stall, call: c}
}

type guarded struct {
	io.ReadCloser
	conn  *http.ResponseController
	stall time.Duration
	call  *call

	reading sync.Mutex
	ended   atomic.Bool // it was read to its end
	over    atomic.Bool // it is not read any more
}

var errOver = errors.New("the request was answered")

func (g *guarded) Read(p []byte) (int, error) {
	g.reading.Lock()
	defer g.reading.Unlock()
	if g.stall > 0 {
		_ = g.conn.SetReadDeadline(time.Now().Add(g.stall))
		// While nothing is read, the server watches whether the client leaves.
		defer func() { _ = g.conn.SetReadDeadline(time.Time{}) }()
	}
	if g.over.Load() {
		return 0, errOver
	}
	n, err := g.ReadCloser.Read(p)
	if err == io.EOF {
		g.ended.Store(true)
	}
	if err == nil || err == io.EOF || g.over.Load() {
		return n, err
	}
	fault := &clientError{err, http.StatusBadRequest}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		fault.status = http.StatusRequestTimeout
	case errors.As(err, new(*http.MaxBytesError)):
		fault.status = http.StatusRequestEntityTooLarge
	}
	g.call.fault.CompareAndSwap(nil, fault)
	return n, fault
}

// stop ends the reading, when the handler does: a transport may read for longer. What is left of
// the body is read by net/http, for which the client has the time that it had for each piece.
func (g *guarded) stop() {
	if g.ended.Load() {
		return
	}
	g.over.Store(true)
	_ = g.conn.SetReadDeadline(time.Unix(1, 0))
	g.reading.Lock()
	defer g.reading.Unlock()
	rest := time.Time{}
	if g.stall > 0 {
		rest = time.Now().Add(g.stall)
	}
	_ = g.conn.SetReadDeadline(rest)
}

// A patientWriter gives up a client that reads nothing for so long while it is written to.
type patientWriter struct {
	http.ResponseWriter
	stall time.Duration
	conn  *http.ResponseController

	body    *guarded // that is read while the answer is written; else nil
	headed  bool     // the head of an answer was written
	interim int      // answers (1xx) so far
	flood   func()   // called if these have no end
}

// mostInterim is how many interim answers a request gets. Servers that send them to show that they
// are busy do so every few seconds. They are fewer than trip.MaxInterim allows, since clients have
// such a bound too, net/http the same: one that has reached its own does not get our answer.
const mostInterim = 1000

func patient(w http.ResponseWriter, stall time.Duration) *patientWriter {
	return &patientWriter{ResponseWriter: w, stall: stall, conn: http.NewResponseController(w)}
}

// Unwrap is for http.ResponseController.
func (w *patientWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// extend gives the client time from now on. Also for an answer without a body, or one that is
// flushed when the handler has returned, the deadline must not be that of the answer before.
func (w *patientWriter) extend() {
	if w.stall > 0 {
		_ = w.conn.SetWriteDeadline(time.Now().Add(w.stall))
	}
}

// limitRest limits the time for the rest of a body that is not wanted, and that net/http reads
// before it answers.
func (w *patientWriter) limitRest() {
	if w.stall > 0 {
		_ = w.conn.SetReadDeadline(time.Now().Add(w.stall))
	}
}

func (w *patientWriter) WriteHeader(status int) {
	w.extend()
	if status < 200 {
		if w.interim++; w.interim > mostInterim {
			w.flood()
			return
		}
	}
	if status >= 200 && w.body != nil && !w.body.ended.Load() {
		// When net/http reads the rest of a body it begins to watch the connection, and then reads
		// the next request while it watches, which panics (https://go.dev/issue/68560).
		w.Header().Set("Connection", "close")
	}
	w.headed = w.headed || status >= 200
	w.ResponseWriter.WriteHeader(status)
}

// flushHead sends the head of the answer, if there is one.
func (w *patientWriter) flushHead() {
	if w.headed {
		_ = w.conn.Flush()
	}
}

func (w *patientWriter) Write(p []byte) (int, error) {
	w.extend()
	return w.ResponseWriter.Write(p)
}
