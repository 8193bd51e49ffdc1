package lab

import (
	"crypto/sha256"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// An exchange is one request on its way through a rule.
type exchange struct {
	*Server
	w  http.ResponseWriter
	r  *http.Request
	at time.Time // when it arrived

	size   int64 // of the body, once read
	sum    [sha256.Size]byte
	status int  // of the whole answer, 0 while there is none
	left   bool // has been counted out
}

// accept reads the body, stores it and says so.
func (x *exchange) accept() {
	x.read(nil)
	x.store()
	x.answer()
}

// read reads and hashes the body. With a pace that is not nil it reads in
// pieces of pace.piece and waits after each. When the body breaks off, so does
// the exchange: nobody is left to be answered.
func (x *exchange) read(pace *pace) {
	buffer := x.buffers.Get().(*[]byte)
	defer x.buffers.Put(buffer)
	piece := *buffer
	if pace != nil {
		piece = piece[:min(pace.piece, len(piece))]
	}
	hash := sha256.New()
	for {
		n, err := x.r.Body.Read(piece)
		x.size += int64(n)
		if x.ledger.names {
			hash.Write(piece[:n])
		}
		if pace != nil && n > 0 {
			x.sleepUntil(pace.take(n, time.Now()))
		}
		if err == io.EOF {
			hash.Sum(x.sum[:0])
			return
		}
		if err != nil {
			x.breakOff()
		}
	}
}

// store makes the body accepted, whatever becomes of the answer.
func (x *exchange) store() {
	name := x.r.URL.Path
	if x.r.URL.RawQuery != "" {
		name += "?" + x.r.URL.RawQuery
	}
	x.ledger.accept(name, x.r.Header.Get("Idempotency-Key"), x.size, x.sum)
}

const stored = "stored\n"

// answer says 201.
func (x *exchange) answer() {
	x.reply(http.StatusCreated, stored)
}

// refuse answers with a status that is an error, and with Retry-After unless
// that is negative.
func (x *exchange) refuse(status, retryAfter int) {
	if retryAfter >= 0 {
		x.w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	x.reply(status, http.StatusText(status)+"\n")
}

func (x *exchange) reply(status int, body string) {
	x.w.Header()["Content-Type"] = plainText
	x.w.WriteHeader(status)
	io.WriteString(x.w, body)
	if x.r.Context().Err() == nil { // else the client is gone
		x.status = status
	}
}

var plainText = []string{"text/plain; charset=utf-8"}

// leave counts the exchange out. It comes before the client can see the end, or
// a client's next request would seem to be in flight together with this one.
func (x *exchange) leave() {
	if !x.left {
		x.left = true
		x.ledger.leave(x.status)
	}
}

// sleepUntil waits, whether or not the client is still there: a server that is
// working on a request does not look. When the lab is closed it breaks off.
func (x *exchange) sleepUntil(t time.Time) {
	if !x.Server.sleepUntil(t) {
		x.breakOff()
	}
}

// breakOff ends the exchange and the handler and closes the connection.
func (x *exchange) breakOff() {
	panic(http.ErrAbortHandler)
}

// reset ends the exchange and the handler with a reset of the connection.
func (x *exchange) reset() {
	x.leave()
	if conn, _, err := http.NewResponseController(x.w).Hijack(); err == nil {
		reset(conn)
		x.gone(conn)
	}
	x.breakOff()
}

// truncate sends the head of a 201 and half of the body that it announces, and
// ends the exchange and the handler.
func (x *exchange) truncate() {
	x.leave()
	x.w.Header().Set("Content-Length", strconv.Itoa(2*len(stored)))
	x.w.WriteHeader(http.StatusCreated)
	io.WriteString(x.w, stored)
	http.NewResponseController(x.w).Flush()
	x.breakOff()
}

// reset closes a connection such that the peer sees ECONNRESET. What kind of
// connection it is, the lab need not know.
func reset(conn net.Conn) {
	switch c := conn.(type) {
	case interface{ Reset() error }:
		c.Reset()
		return
	case interface{ SetLinger(int) error }:
		c.SetLinger(0)
	}
	conn.Close()
}
