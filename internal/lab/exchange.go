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
	w     http.ResponseWriter
	r     *http.Request
	at    time.Time // when it arrived
	looks bool      // it asks what is stored: no upload, and not counted as a request

	whole   [sha256.Size]byte // of the body, once read
	size    int64             // of what is stored, which is the body or a file in it
	sum     [sha256.Size]byte
	stamp   stamp
	claimed bool // its key, until it leaves
	verdict int  // the status that the body deserves, 0 while that is open
	stored  bool
	status  int  // of the whole answer, 0 while there is none
	left    bool // has been counted out
}

// accept does what a server does that has no limit and makes no fault.
func (x *exchange) accept() {
	if x.looks {
		x.look()
		return
	}
	x.read(nil)
	x.keep()
	x.answer()
}

// read reads and hashes the body. With a pace that is not nil it reads in pieces of pace.piece and
// waits after each. When the body breaks off, so does the exchange: there is no client to answer.
func (x *exchange) read(pace *pace) {
	buffer := x.buffers.Get().(*[]byte)
	defer x.buffers.Put(buffer)
	piece := *buffer
	if pace != nil {
		piece = piece[:min(pace.piece, len(piece))]
	}
	hash, hashed := sha256.New(), x.ledger.names || x.r.Header[contentDigest] != nil
	for {
		n, err := x.r.Body.Read(piece)
		x.size += int64(n)
		if hashed {
			hash.Write(piece[:n])
		}
		if pace != nil && n > 0 {
			x.sleepUntil(pace.take(n, time.Now()))
		}
		if err == io.EOF {
			hash.Sum(x.whole[:0])
			x.sum = x.whole
			return
		}
		if err != nil {
			x.breakOff()
		}
	}
}

// answer says the verdict.
func (x *exchange) answer() {
	x.reply(x.verdict, text(x.verdict))
}

const stored = "stored\n"

// text is the body of an answer.
func text(status int) string {
	switch status {
	case http.StatusCreated:
		return stored
	case http.StatusBadRequest:
		return "the body is not what its Content-Digest says\n"
	case http.StatusConflict:
		return "a request with this Idempotency-Key is being worked on\n"
	case http.StatusPreconditionFailed:
		return "this name is stored already\n"
	}
	return http.StatusText(status) + "\n"
}

// refuse answers with a status that is an error, and with Retry-After unless that is negative.
func (x *exchange) refuse(status, retryAfter int) {
	if retryAfter >= 0 {
		x.w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	x.reply(status, text(status))
}

// redirect sends the client, with its body, to another place.
func (x *exchange) redirect(to string) {
	x.w.Header().Set("Location", to)
	x.reply(http.StatusTemporaryRedirect, text(http.StatusTemporaryRedirect))
}

func (x *exchange) reply(status int, body string) {
	if h := x.w.Header(); h["Content-Type"] == nil {
		h["Content-Type"] = plainText
	}
	x.w.WriteHeader(status)
	io.WriteString(x.w, body)
	if x.r.Context().Err() == nil { // else the client is gone
		x.status = status
	}
}

var plainText = []string{"text/plain; charset=utf-8"}

// leave counts the exchange out. It comes before the client can see the end, or a client's next
// request would seem to be in flight together with this one.
func (x *exchange) leave() {
	if !x.left {
		x.left = true
		x.ledger.leave(x.status, x.stored)
		if x.claimed {
			x.ledger.release(x.stamp)
		}
	}
}

// sleepUntil waits, whether or not the client is still there: a server that is working on a request
// does not look. When the lab is closed it breaks off.
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

// truncate sends the head of the answer and half of the body that it announces, and ends the
// exchange and the handler.
func (x *exchange) truncate() {
	x.leave()
	half := text(x.verdict)
	x.w.Header().Set("Content-Length", strconv.Itoa(2*len(half)))
	x.w.WriteHeader(x.verdict)
	io.WriteString(x.w, half)
	http.NewResponseController(x.w).Flush()
	x.breakOff()
}

// reset closes a connection such that the peer sees ECONNRESET. What kind of connection it is, the
// lab need not know.
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
