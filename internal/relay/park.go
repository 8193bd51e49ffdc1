package relay

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

// parkFrom is how many requests wait for a target when those that come then are parked. net/http
// has at least 14 KiB for a connection that it serves, most of it buffers; a parked one has three,
// and is taken up by net/http again when its turn has come, which costs some microseconds.
const parkFrom = 400

// A lot is where connections are parked, and the listener by which they come back to net/http.
type lot struct {
	back   chan net.Conn
	closed chan struct{}
	close  func()
}

func newLot() *lot {
	l := &lot{back: make(chan net.Conn), closed: make(chan struct{})}
	l.close = sync.OnceFunc(func() { close(l.closed) })
	return l
}

// Accept returns the next connection that comes back.
func (l *lot) Accept() (net.Conn, error) {
	select {
	case c := <-l.back:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close lets no connection come back any more.
func (l *lot) Close() error {
	l.close()
	return nil
}

// Addr returns no address: nobody connects to a lot.
func (l *lot) Addr() net.Addr { return &net.UnixAddr{} }

// A parked is the connection of a request that waits outside of net/http. There it begins with the
// bytes of that request.
type parked struct {
	net.Conn
	relay *Relay
	head  []byte // is read first
	next  [1]byte
	place *fair.Place
	woken chan struct{}
	over  atomic.Pointer[wait]
}

// A wait is what became of a request that has waited.
type wait struct {
	call *call
	turn *fair.Turn
	err  error // if there is no turn
}

// waited returns what became of the wait of a request; nil if it has not waited yet. The requests
// that follow on its connection have not.
func waited(ctx context.Context) *wait {
	if p, ok := clientconn.From(ctx).(*parked); ok {
		return p.over.Swap(nil)
	}
	return nil
}

// park has a request wait outside of net/http if many wait already. If it reports true, the handler
// has nothing more to do.
func (r *Relay) park(w *clientconn.Writer, req *http.Request, c *call) bool {
	hasBody := req.Body != nil && req.Body != http.NoBody
	if r.lot == nil || hasBody && req.GetBody == nil || c.body != nil ||
		r.fair.Queue(c.target.key).Waiting < r.parkFrom {
		return false
	}
	head := headOf(req)
	if head.Len() > headBytes { // it may be longer than it came, and too long to be read again
		return false
	}
	if hasBody {
		body, _ := req.GetBody()
		_, _ = head.ReadFrom(body) // from memory
	}
	conn, rw, err := w.Conn.Hijack()
	if err != nil { // not by HTTP/1
		return false
	}
	_, _ = io.CopyN(head, rw, int64(rw.Reader.Buffered()))
	if was, ok := conn.(*parked); ok {
		conn = was.Conn
		head.Write(was.head)
	}
	p := &parked{Conn: conn, relay: r, head: bytes.Clone(head.Bytes()),
		woken: make(chan struct{}, 1)}
	c.Context, c.cancel = r.base, nil // the request's own ends now
	_ = conn.SetReadDeadline(c.until)
	p.place = r.fair.Join(fair.WithTrace(c, &c.trace), c.target.key, max(req.ContentLength, 0),
		p.wake)
	go p.wait(c)
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
func (p *parked) wait(c *call) {
	gone := p.sleep(c.until)
	turn, err := p.place.Leave()
	p.place = nil
	if err == fair.ErrLeft {
		err = errLate
	}
	p.over.Store(&wait{c, turn, err})
	if !gone {
		_ = p.SetReadDeadline(time.Time{})
		select {
		case p.relay.lot.back <- p:
			return
		case <-p.relay.lot.closed:
		}
	}
	_ = p.Close() // nobody reads what it says
}

// sleep returns when p was woken, or when it is late, or if the client has gone, which it reports.
func (p *parked) sleep(until time.Time) (gone bool) {
	n, err := p.Conn.Read(p.next[:])
	if n == 0 {
		return !errors.Is(err, os.ErrDeadlineExceeded)
	}
	p.head = append(p.head, p.next[0]) // of the client's next request
	late := time.NewTimer(time.Until(until))
	defer late.Stop()
	select {
	case <-p.woken:
	case <-late.C:
	}
	return false
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
		if w.turn != nil {
			w.turn.Release()
		}
		p.relay.tally.lose()
		p.relay.tally.end()
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
