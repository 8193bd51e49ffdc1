// Package memnet is a network within one process: a net.Listener and the connections dialled to it,
// made of memory.
//
// It exists so that real net/http, server and Transport, runs on the fake time of testing/synctest,
// where a goroutine that waits for a socket would stop the clock. Everything here waits on channels
// only, and starts no goroutine. Make the Listener inside the bubble that uses it.
//
// It behaves like TCP where HTTP can tell: a connection holds a bounded number of bytes each way,
// so that back-pressure is real; either side may close its half; a reset is distinguished from an
// orderly end; what is not listened to is refused. It has no latency and loses nothing.
package memnet

import (
	"context"
	"net"
	"strconv"
	"sync"
	"syscall"
)

const (
	// bufferSize is how many bytes a connection holds in each direction before its writer waits:
	// about what a kernel gives a new TCP connection.
	bufferSize = 64 << 10

	// backlog is how many dialled connections wait for Accept before Dial does.
	backlog = 128
)

// Addr is the address of a listener or of one end of a connection. It has the form host:port, for
// servers that ask who called.
type Addr string

// Network returns "mem".
func (Addr) Network() string { return "mem" }

// String returns the address.
func (a Addr) String() string { return string(a) }

// A Listener accepts the connections that its own DialContext makes. Its methods are safe for
// concurrent use.
type Listener struct {
	addr Addr

	mu struct {
		sync.Mutex
		changed  signal
		queue    []*Conn // the server's ends, dialled and not yet accepted
		dialled  int
		refusing bool
		closed   bool
	}
}

// Listen returns a new Listener. Nothing else can reach it: there is no name space of addresses.
func Listen() *Listener {
	return &Listener{addr: "memnet:80"}
}

// Addr returns the listener's address, an Addr.
func (l *Listener) Addr() net.Addr { return l.addr }

// Accept waits for the next connection. After Close it fails with an error that is net.ErrClosed.
func (l *Listener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if l.mu.closed {
			return nil, l.opError("accept", net.ErrClosed)
		}
		if len(l.mu.queue) > 0 {
			c := l.mu.queue[0]
			l.mu.queue = l.mu.queue[1:]
			l.mu.changed.wake()
			return c, nil
		}
		changed := l.mu.changed.wait()
		l.mu.Unlock()
		<-changed
		l.mu.Lock()
	}
}

// DialContext connects to the listener, whatever the network and address: it has the form that
// http.Transport wants. Like a kernel it returns before the server has accepted, and waits only
// while the backlog is full. It fails with syscall.ECONNREFUSED once the listener is closed or
// while it refuses, and with the context's error.
func (l *Listener) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		switch {
		case ctx.Err() != nil:
			return nil, l.opError("dial", ctx.Err())
		case l.mu.closed || l.mu.refusing:
			return nil, l.opError("dial", syscall.ECONNREFUSED)
		case len(l.mu.queue) < backlog:
			l.mu.dialled++
			client, server := pipe(Addr("memnet:"+strconv.Itoa(1024+l.mu.dialled)), l.addr)
			l.mu.queue = append(l.mu.queue, server)
			l.mu.changed.wake()
			return client, nil
		}
		changed := l.mu.changed.wait()
		l.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		l.mu.Lock()
	}
}

// Refuse makes dialling fail as if nothing listened, until Refuse(false). Accept goes on waiting,
// and connections that were accepted live on; those that wait for Accept are reset.
func (l *Listener) Refuse(refuse bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.refusing = refuse
	if refuse {
		l.resetQueueLocked()
	}
}

// Close ends Accept and refuses new connections from now on. Connections that wait for Accept are
// reset, those that were accepted live on.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.closed {
		return l.opError("close", net.ErrClosed)
	}
	l.mu.closed = true
	l.resetQueueLocked()
	return nil
}

func (l *Listener) resetQueueLocked() {
	for _, c := range l.mu.queue {
		c.Reset()
	}
	l.mu.queue = nil
	l.mu.changed.wake()
}

func (l *Listener) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: l.addr.Network(), Addr: l.addr, Err: err}
}

// signal is a condition to wait for on a channel, so that a waiter can watch a timer or a context
// beside it. The lock of what it belongs to protects it.
type signal struct{ ch chan struct{} }

// wait returns a channel that the next wake closes.
func (s *signal) wait() <-chan struct{} {
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

func (s *signal) wake() {
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}
