package lab

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// A wire is a connection on which an exchange writes as it likes, without net/http's care for what
// is right. Nothing is written after the first error.
type wire struct {
	net.Conn
	x   *exchange
	err error
}

// wire takes the connection from net/http, or breaks off where that cannot be.
func (x *exchange) wire() *wire {
	conn, _, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		x.breakOff()
	}
	return &wire{Conn: conn, x: x}
}

// close also counts the exchange out: when the last connection is gone, so is the server, and its
// record complete.
func (w *wire) close() {
	w.x.leave()
	w.Conn.Close()
	w.x.gone(w.Conn)
}

func (w *wire) write(text string) {
	if w.err == nil {
		_, w.err = io.WriteString(w.Conn, text)
	}
}

// forever is more than any client takes.
const forever = math.MaxInt64

// flood writes a text again and again, n bytes in all.
func (w *wire) flood(text string, n int64) {
	piece := strings.Repeat(text, max(1, bufferSize/len(text)))
	for ; n > 0 && w.err == nil; n -= int64(len(piece)) {
		w.write(piece[:min(n, int64(len(piece)))])
	}
}

// slowly writes a byte, waits, and so on.
func (w *wire) slowly(text string, interval time.Duration) {
	for i := range len(text) {
		if w.write(text[i : i+1]); w.err != nil {
			return
		}
		w.x.sleepUntil(time.Now().Add(interval))
	}
}

// finish writes the end of a whole answer and counts it.
func (w *wire) finish(text string, status int) {
	if w.err == nil {
		w.x.status = status
	}
	w.x.leave()
	w.write(text)
}

// drain keeps the connection open until the client closes it.
func (w *wire) drain() {
	w.x.leave()
	io.Copy(io.Discard, w.Conn)
}

// head is a status line and header fields, without the empty line after them.
func head(status int, fields ...string) string {
	text := fmt.Sprintf("HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	for _, f := range fields {
		text += f + "\r\n"
	}
	return text
}

// zeros is a member of a gzip file, of which any number can follow one another: a MiB of zeros.
var zeros = sync.OnceValue(func() string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(make([]byte, 1<<20))
	z.Close()
	return b.String()
})
