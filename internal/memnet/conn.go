package memnet

import (
	"bytes"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A Conn is one end of a connection. Its methods are safe for concurrent use; concurrent writes do
// not mix their bytes. Errors are *net.OpError, except for io.EOF.
type Conn struct {
	in, out       *stream
	local, remote Addr
	closed        atomic.Bool
}

func pipe(client, server Addr) (*Conn, *Conn) {
	up, down := new(stream), new(stream)
	return &Conn{in: down, out: up, local: client, remote: server},
		&Conn{in: up, out: down, local: server, remote: client}
}

// Read waits for at least one byte. After the peer's Close or CloseWrite it returns what is still
// queued and then io.EOF, after its Reset at once syscall.ECONNRESET.
func (c *Conn) Read(b []byte) (int, error) {
	n, err := c.in.read(b)
	if err != nil && err != io.EOF {
		err = c.opError("read", err)
	}
	return n, err
}

// Write returns when all of b is queued. After the peer's Close it fails with syscall.EPIPE, after
// its Reset with syscall.ECONNRESET.
func (c *Conn) Write(b []byte) (int, error) {
	n, err := c.out.write(b)
	if err != nil {
		err = c.opError("write", err)
	}
	return n, err
}

// Close ends both directions. The peer can still read what was written; what the peer wrote and
// nobody read is dropped.
func (c *Conn) Close() error {
	return c.close(io.EOF, syscall.EPIPE, false)
}

// Reset closes the connection as TCP does with a linger time of zero: the peer's reads and writes
// fail with syscall.ECONNRESET from now on, and what was under way is lost.
func (c *Conn) Reset() error {
	return c.close(syscall.ECONNRESET, syscall.ECONNRESET, true)
}

// close passes to the peer's reads and writes how it ended.
func (c *Conn) close(peerReads, peerWrites error, drop bool) error {
	if c.closed.Swap(true) {
		return c.opError("close", net.ErrClosed)
	}
	c.out.end(peerReads, net.ErrClosed, drop)
	c.in.end(net.ErrClosed, peerWrites, true)
	return nil
}

// CloseWrite ends the outgoing direction: the peer reads io.EOF after what is queued, and can still
// write.
func (c *Conn) CloseWrite() error {
	if c.closed.Load() {
		return c.opError("close", net.ErrClosed)
	}
	c.out.end(io.EOF, syscall.EPIPE, false)
	return nil
}

// LocalAddr returns the address of this end, an Addr.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the address of the other end, an Addr.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline is SetReadDeadline and SetWriteDeadline.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline makes reads fail with os.ErrDeadlineExceeded from t on, also those that wait
// already. The zero time is no deadline.
func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.setDeadline(c.in, &c.in.readDeadline, t)
}

// SetWriteDeadline does the same for writes.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.setDeadline(c.out, &c.out.writeDeadline, t)
}

func (c *Conn) setDeadline(s *stream, deadline *time.Time, t time.Time) error {
	if c.closed.Load() {
		return c.opError("set", net.ErrClosed)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	*deadline = t
	s.changed.wake()
	return nil
}

func (c *Conn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: c.local.Network(), Source: c.local, Addr: c.remote, Err: err}
}

// A stream is one direction of a connection: a bounded queue of bytes between one end's writes and
// the other end's reads.
type stream struct {
	mu            sync.Mutex // protects all below; never held while waiting
	changed       signal
	queue         bytes.Buffer
	writing       bool  // a Write is under way, perhaps waiting for room
	readErr       error // what reads return once the queue is empty
	writeErr      error // what writes return
	readDeadline  time.Time
	writeDeadline time.Time
}

// end sets how reads and writes fail from now on. An end that was closed by its own side stays so:
// what the other side does can no longer be seen there.
func (s *stream) end(readErr, writeErr error, drop bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.readErr != net.ErrClosed {
		s.readErr = readErr
	}
	if s.writeErr != net.ErrClosed {
		s.writeErr = writeErr
	}
	if drop {
		s.queue = bytes.Buffer{}
	}
	s.changed.wake()
}

func (s *stream) read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.readErr == net.ErrClosed:
			return 0, s.readErr
		case expired(s.readDeadline):
			return 0, os.ErrDeadlineExceeded
		case s.queue.Len() > 0:
			n, _ := s.queue.Read(b)
			s.changed.wake()
			return n, nil
		case s.readErr != nil:
			return 0, s.readErr
		case len(b) == 0:
			return 0, nil
		}
		s.waitLocked(s.readDeadline)
	}
}

func (s *stream) write(b []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	mine := false // the turn to write, so that two writes do not mix
	defer func() {
		if mine {
			s.writing = false
			s.changed.wake()
		}
	}()
	for {
		if s.writeErr != nil {
			return n, s.writeErr
		}
		if expired(s.writeDeadline) {
			return n, os.ErrDeadlineExceeded
		}
		if mine || !s.writing {
			mine, s.writing = true, true
			if room := min(bufferSize-s.queue.Len(), len(b)-n); room > 0 {
				s.queue.Write(b[n : n+room])
				n += room
				s.changed.wake()
			}
			if n == len(b) {
				return n, nil
			}
		}
		s.waitLocked(s.writeDeadline)
	}
}

// waitLocked returns after the next change or at the deadline, having let go of mu meanwhile. The
// waiter owns the timer, so a deadline costs nothing while nobody waits, and needs no goroutine.
func (s *stream) waitLocked(deadline time.Time) {
	changed := s.changed.wait()
	s.mu.Unlock()
	defer s.mu.Lock()
	if deadline.IsZero() {
		<-changed
		return
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	}
}

func expired(deadline time.Time) bool {
	return !deadline.IsZero() && !time.Now().Before(deadline)
}
