// Package parking has requests wait outside of net/http, which has at least 14 KiB for a connection
// that it serves, most of it buffers; a parked one has three. It is taken up by net/http again when
// its turn has come, which costs some microseconds.
package parking

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/internal/clientconn"
	"github.com/penstock/penstock/internal/fair"
)

// A Lot is where connections are parked, and the listener by which they come back to net/http. Its
// methods may be called concurrently. Use [NewLot].
type Lot struct {
	lost   func()
	back   chan net.Conn
	closed chan struct{}
	close  func()
}

// NewLot returns an empty lot. It calls lost with each request that goes without being taken up
// again.
func NewLot(lost func()) *Lot {
	l := &Lot{lost: lost, back: make(chan net.Conn), closed: make(chan struct{})}
	l.close = sync.OnceFunc(func() { close(l.closed) })
	return l
}

// Accept returns the next connection that comes back.
func (l *Lot) Accept() (net.Conn, error) {
	select {
	case c := <-l.back:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close lets no connection come back any more.
func (l *Lot) Close() error {
	l.close()
	return nil
}

// Addr returns no address: nobody connects to a lot.
func (l *Lot) Addr() net.Addr { return &net.UnixAddr{} }

// A parked is the connection of a request that waits outside of net/http. There it begins with the
// bytes of that request.
type parked struct {
	net.Conn
	lot   *Lot
	head  []byte // is read first
	next  [1]byte
	place *fair.Place
	woken chan struct{}
	over  atomic.Pointer[Wait]
}

// A Wait is what became of a request that has waited.
type Wait struct {
	Call any // as it was given to Park
	Turn *fair.Turn
	Err  error // if there is no turn: [fair.ErrLeft] if it was late
}

// Waited returns what became of the wait of a request; nil if it has not waited yet. The requests
// that follow on its connection have not.
func Waited(ctx context.Context) *Wait {
	if p, ok := clientconn.From(ctx).(*parked); ok {
		return p.over.Swap(nil)
	}
	return nil
}

// Park has a request wait outside of net/http, until its turn comes or it is given up. At that time
// it is, if due reports it then, or else at the time to ask again that due returns. If Park reports
// true, the handler has nothing more to do. The request is not parked if it is not by HTTP/1, if
// its body is not in memory, or if its head has more than maxHead bytes when it is written again.
// Join is called to join the queue with what is to be called when the turn has come.
func (l *Lot) Park(c *http.ResponseController, req *http.Request, maxHead int, at time.Time,
	due func() (again time.Time, is bool), call any, join func(turn func()) *fair.Place) bool {

	hasBody := req.Body != nil && req.Body != http.NoBody
	if hasBody && req.GetBody == nil {
		return false
	}
	head := headOf(req)
	if head.Len() > maxHead { // it may be longer than it came, and too long to be read again
		return false
	}
	if hasBody {
		body, _ := req.GetBody()
		_, _ = head.ReadFrom(body) // from memory
	}
	conn, rw, err := c.Hijack()
	if err != nil { // not by HTTP/1
		return false
	}
	_, _ = io.CopyN(head, rw, int64(rw.Reader.Buffered()))
	if was, ok := conn.(*parked); ok {
		conn = was.Conn
		head.Write(was.head)
	}
	p := &parked{Conn: conn, lot: l, head: bytes.Clone(head.Bytes()), woken: make(chan struct{}, 1)}
	_ = conn.SetReadDeadline(at)
	p.place = join(p.wake)
	go p.wait(call, due)
	return true
}

// headOf returns the head of a request as it is read again.
func headOf(req *http.Request) *bytes.Buffer {
	b := new(bytes.Buffer)
	b.WriteString(req.Method + " " + req.RequestURI + " " + req.Proto + "\r\n")
	b.WriteString("Host: " + req.Host + "\r\n") // HTTP/1.1 must have it, though it be empty
	_ = req.Header.Write(b)                     // to memory
	b.WriteString("\r\n")
	return b
}

// wait waits for the turn. It is all that there is of the request meanwhile, so its stack is small.
func (p *parked) wait(call any, due func() (time.Time, bool)) {
	gone := p.sleep(due)
	turn, err := p.place.Leave()
	p.place = nil
	p.over.Store(&Wait{call, turn, err})
	if !gone {
		_ = p.SetReadDeadline(time.Time{})
		select {
		case p.lot.back <- p:
			return
		case <-p.lot.closed:
		}
	}
	_ = p.Close() // nobody reads what it says
}

// sleep returns when p was woken, or when it is due, or if the client has gone, which it reports.
func (p *parked) sleep(due func() (time.Time, bool)) (gone bool) {
	for {
		n, err := p.Conn.Read(p.next[:])
		if n > 0 {
			p.head = append(p.head, p.next[0]) // of the client's next request
			p.sleepDeaf(due)
			return false
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return true
		}
		at, is := due()
		if is {
			return false
		}
		_ = p.Conn.SetReadDeadline(at)
		select {
		case <-p.woken: // before that: the deadline that woke it is lost
			return false
		default:
		}
	}
}

// sleepDeaf is sleep without an eye on the client, of which a byte was read already.
func (p *parked) sleepDeaf(due func() (time.Time, bool)) {
	for {
		at, is := due()
		if is {
			return
		}
		late := time.NewTimer(time.Until(at))
		select {
		case <-p.woken:
			late.Stop()
			return
		case <-late.C:
		}
	}
}

// wake ends sleep.
func (p *parked) wake() {
	p.woken <- struct{}{}
	_ = p.Conn.SetReadDeadline(time.Unix(1, 0))
}

// Read reads the request that has waited, and then what comes.
func (p *parked) Read(b []byte) (int, error) {
	if len(p.head) == 0 {
		return p.Conn.Read(b)
	}
	n := copy(b, p.head)
	if p.head = p.head[n:]; len(p.head) == 0 {
		p.head = nil // which frees it
	}
	return n, nil
}

// Close closes the connection. A request that was not taken up has gone.
func (p *parked) Close() error {
	if w := p.over.Swap(nil); w != nil {
		if w.Turn != nil {
			w.Turn.Release()
		}
		p.lot.lost()
	}
	return p.Conn.Close()
}

// NetConn is for clientconn.Watch.
func (p *parked) NetConn() net.Conn { return p.Conn }

// CloseWrite is for net/http, which ends an answer by it whose request was not read to its end.
func (p *parked) CloseWrite() error {
	if c, ok := p.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return errors.ErrUnsupported
}
