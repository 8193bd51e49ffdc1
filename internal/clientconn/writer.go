package clientconn

import (
	"net/http"
	"time"
)

// A Writer gives up a client that reads nothing for so long while it is written to. Use
// [NewWriter].
type Writer struct {
	http.ResponseWriter
	Conn  *http.ResponseController
	Body  *Body  // that is read while the answer is written; else nil
	Flood func() // is called if interim answers have no end

	stall   time.Duration
	headed  bool // the head of an answer was written
	interim int  // answers (1xx) so far
}

// MostInterim is how many interim answers a request gets. Servers that send them to show that they
// are busy do so every few seconds. They are fewer than trip.MaxInterim allows, since clients have
// such a bound too, net/http the same: one that has reached its own does not get our answer.
const MostInterim = 1000

// NewWriter returns a Writer that has this patience; if zero, it never gives up. Flood must be set
// before an interim answer is written.
func NewWriter(w http.ResponseWriter, stall time.Duration) *Writer {
	return &Writer{ResponseWriter: w, stall: stall, Conn: http.NewResponseController(w)}
}

// Unwrap is for http.ResponseController.
func (w *Writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// extend gives the client time from now on. Also for an answer without a body, or one that is
// flushed when the handler has returned, the deadline must not be that of the answer before.
func (w *Writer) extend() {
	if w.stall > 0 {
		_ = w.Conn.SetWriteDeadline(time.Now().Add(w.stall))
	}
}

// LimitRest limits the time for the rest of a body that is not wanted, and that net/http reads
// before it answers.
func (w *Writer) LimitRest() {
	if w.stall > 0 {
		_ = w.Conn.SetReadDeadline(time.Now().Add(w.stall))
	}
}

// WriteHeader writes the head of an answer, or an interim one.
func (w *Writer) WriteHeader(status int) {
	w.extend()
	if status < 200 {
		if w.interim++; w.interim > MostInterim {
			w.Flood()
			return
		}
	}
	if status >= 200 && w.Body != nil && !w.Body.ended.Load() {
		// When net/http reads the rest of a body it begins to watch the connection, and then reads
		// the next request while it watches, which panics (https://go.dev/issue/68560).
		w.Header().Set("Connection", "close")
	}
	w.headed = w.headed || status >= 200
	w.ResponseWriter.WriteHeader(status)
}

// FlushHead sends the head of the answer, if there is one.
func (w *Writer) FlushHead() {
	if w.headed {
		_ = w.Conn.Flush()
	}
}

// Write writes a piece of the answer.
func (w *Writer) Write(p []byte) (int, error) {
	w.extend()
	return w.ResponseWriter.Write(p)
}
