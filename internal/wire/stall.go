package wire

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/penstock/penstock/internal/acked"
	"github.com/penstock/penstock/internal/human"
)

// A stallConn fails when no byte has moved for too long, in either direction. What is read is no
// reason to wait any longer until more can be written: a server may talk and talk.
type stallConn struct {
	net.Conn
	limit time.Duration
	clock

	readBy, writeBy atomic.Int64 // deadlines, as instants
	asked           atomic.Int64 // when something was last written
	heard           atomic.Int64 // bytes, since
	sending         atomic.Bool  // a ReadFrom is under way
	writes          atomic.Int64 // calls of Write under way
	sent            atomic.Int64 // bytes
	idle            idling

	free  func()                   // gives its place to another; if nil, it has none
	lived func(idle time.Duration) // called when the other side closes it, if not nil
}

func newStallConn(c net.Conn, limit time.Duration) *stallConn {
	return &stallConn{Conn: c, limit: limit, clock: clock{time.Now()}}
}

// A clock counts instants from when it was made: the wall clock may be set meanwhile.
type clock struct{ made time.Time }

// now returns the present instant, in nanoseconds.
func (c clock) now() int64 { return int64(time.Since(c.made)) }

// late reports whether a deadline was noticed so late that the process was stopped when it passed.
func (c clock) late(by *atomic.Int64) bool { return c.now()-by.Load() > int64(lateness) }

func (c *stallConn) Close() error {
	if c.free != nil {
		defer c.free()
	}
	return c.Conn.Close()
}

// A StallError says that a connection moved no byte for too long.
type StallError struct {
	Limit time.Duration
	State StallState
}

// A StallState is what a request had come to when nothing moved any more.
type StallState int

const (
	NothingMoves StallState = iota
	NoAnswer                // all was sent, and nothing came back
	EndlessHead             // an answer came, and so slowly that it has no end
)

func (e *StallError) Error() string {
	limit := human.Exact(e.Limit)
	switch e.State {
	case NoAnswer:
		return "all was sent, and no answer came for " + limit
	case EndlessHead:
		return "the headers of the answer were not complete within " + limit
	}
	return "no byte moved for " + limit
}

// Timeout reports true, as [net.Error] asks.
func (e *StallError) Timeout() bool { return true }

// Temporary reports true, as [net.Error] asks.
func (e *StallError) Temporary() bool { return true }

// Acked returns how many bytes the other side has acknowledged, or, where that cannot be known, how
// many were written.
func (c *stallConn) Acked() int64 {
	if n, ok := acked.Bytes(c.Conn); ok {
		return n
	}
	return c.sent.Load()
}

// A deadline is put off when bytes move, or are about to. To do that at each byte would cost more
// than moving the byte, so it is done when a sixteenth of the limit has passed since the last time.
// To set one fails on a closed connection only.

func (c *stallConn) reading() {
	if c.limit <= 0 {
		return
	}
	now := c.now()
	by := now + int64(c.limit)
	if c.heard.Load() < maxAnswerHead {
		by = min(by, c.asked.Load()+2*int64(c.limit)) // else an answer that drips would have no end
	}
	if by-c.readBy.Load() > int64(c.limit/16) {
		c.readUntil(now, by)
	}
}

func (c *stallConn) readUntil(now, by int64) {
	c.readBy.Store(by)
	_ = c.Conn.SetReadDeadline(time.Now().Add(time.Duration(by - now)))
}

func (c *stallConn) writing() {
	if c.limit <= 0 {
		return
	}
	now := c.now()
	c.asked.Store(now)
	c.heard.Store(0)
	if by := now + int64(c.limit); by-c.writeBy.Load() > int64(c.limit/16) {
		c.writeUntil(now, by)
	}
}

// writeUntil sets both deadlines: while bytes are written, the answer may take longer.
func (c *stallConn) writeUntil(now, by int64) {
	c.writeBy.Store(by)
	c.readBy.Store(by)
	_ = c.Conn.SetDeadline(time.Now().Add(time.Duration(by - now)))
}

const (
	// lateness is by how much too late a deadline is noticed if the process was stopped when it
	// passed.
	lateness = 100 * time.Millisecond
	// secondLook is for how long it is then looked whether an answer has come meanwhile: once a
	// deadline has passed, the system gives out nothing that it has received.
	secondLook = time.Second
)

func expired(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

func (c *stallConn) stalled(err error) error {
	if !expired(err) {
		return err
	}
	switch now := c.now(); {
	case c.sending.Load() || c.writes.Load() > 0 || c.Acked() < c.sent.Load():
		return &StallError{c.limit, NothingMoves}
	case c.heard.Load() > 0 && now-c.asked.Load() >= 2*int64(c.limit):
		return &StallError{2 * c.limit, EndlessHead}
	}
	return &StallError{c.limit, NoAnswer}
}

func (c *stallConn) Read(p []byte) (int, error) {
	c.reading()
	for {
		n, err := c.Conn.Read(p)
		switch now := c.now(); {
		case expired(err) && c.sending.Load():
			// ReadFrom reports whether bytes move. Its own deadline is left alone: it may have
			// expired as well.
			c.readUntil(now, now+int64(c.limit))
			continue
		case expired(err) && c.late(&c.readBy):
			c.readUntil(now, now+int64(secondLook))
			continue
		case n > 0:
			c.heard.Add(int64(n))
			c.idle.moved(now, true)
		case c.lived != nil && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)):
			c.lived(c.idle.closed(now))
		}
		return n, c.stalled(err)
	}
}

// again reports whether to go on writing after a deadline has passed: if some bytes were written,
// or may be since it was noticed late.
func (c *stallConn) again(n int64, err error) bool {
	switch {
	case !expired(err):
		return false
	case n > 0:
		return true
	case c.late(&c.writeBy):
		now := c.now()
		c.writeUntil(now, now+int64(secondLook))
		return true
	}
	return false
}

func (c *stallConn) Write(p []byte) (n int, err error) {
	c.writes.Add(1)
	defer c.writes.Add(-1)
	c.idle.moved(c.now(), false)
	c.writing()
	for {
		m, err := c.Conn.Write(p[n:])
		n += m
		c.sent.Add(int64(m))
		if !c.again(int64(m), err) {
			return n, c.stalled(err)
		}
		c.writing()
	}
}

// A sender is a body that writes itself, as far as it has at most so many bytes: its files by
// ReadFrom. It reports whether it does.
type sender interface {
	SendTo(w io.Writer, most int64) (n int64, ok bool, err error)
}

// ReadFrom lets files go by sendfile. All else goes by Write, piece by piece: a reader may wait,
// for its bandwidth, and then it is not the connection that stalls.
func (c *stallConn) ReadFrom(r io.Reader) (n int64, err error) {
	whole, ok := r.(*io.LimitedReader)
	if !ok {
		whole = &io.LimitedReader{R: r, N: 1<<63 - 1}
	}
	to, canSend := c.Conn.(io.ReaderFrom)
	if body, ok := whole.R.(sender); ok && canSend {
		n, ok, err = body.SendTo(c, whole.N)
		whole.N -= n
		if ok {
			return n, err
		}
	}
	c.sending.Store(true)
	defer c.sending.Store(false)
	defer c.writing()
	if _, isFile := whole.R.(syscall.Conn); !isFile || !canSend {
		return io.Copy(struct{ io.Writer }{c}, r)
	}
	// One call for a whole file would run into the deadline however fast it went.
	const part = 1 << 20
	for whole.N > 0 {
		c.idle.moved(c.now(), false)
		c.writing()
		// Sendfile wants the file directly below one LimitedReader.
		some := &io.LimitedReader{R: whole.R, N: min(whole.N, part)}
		want := some.N
		m, err := to.ReadFrom(some)
		n += m
		whole.N -= m
		c.sent.Add(m)
		switch {
		case c.again(m, err): // slowly, but they move
		case err != nil || m < want:
			return n, c.stalled(err)
		}
	}
	return n, nil
}

// idling is how long a connection was idle.
type idling struct {
	mu    sync.Mutex
	last  int64 // when bytes last moved
	in    bool  // they came in
	pause int64 // before the request, or the last words of the other side
}

// moved records that bytes came in, or are about to go out.
func (i *idling) moved(now int64, in bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.in:
		i.pause = now - i.last
	case in: // an answer begins
		i.pause = 0
	}
	i.last, i.in = now, in
}

// closed returns how long the connection was idle until the other side closed it: since the last
// answer, or before a request that was too late, or before what TLS has to say at the end.
func (i *idling) closed(now int64) time.Duration {
	i.mu.Lock()
	defer i.mu.Unlock()
	if since := time.Duration(now - i.last); i.in && since >= soonest {
		return since
	}
	return time.Duration(i.pause)
}
