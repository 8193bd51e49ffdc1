package quota

import (
	"context"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"golang.org/x/time/rate"

	"github.com/penstock/penstock/internal/test"
	"github.com/penstock/penstock/throttle"
)

// engine is a Redis server in the bubble of a test.
type engine struct {
	t *testing.T
	m *miniredis.Miniredis

	mu   sync.Mutex
	dead bool
}

func newEngine(t *testing.T) *engine {
	m := miniredis.NewMiniRedis()
	m.ClockTTL(true)
	t.Cleanup(func() {
		time.Sleep(2 * time.Second) // goroutines of go-redis look at times whether to end
		m.Close()
	})
	return &engine{t: t, m: m}
}

func (e *engine) dial() (net.Conn, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.dead {
		return nil, net.ErrClosed
	}
	return e.m.Dial()
}

// open returns a host of the quota "q".
func (e *engine) open(o Options) (*Quota, error) { return e.openBy(e.dial, o) }

func (e *engine) openBy(dial func() (net.Conn, error), o Options) (*Quota, error) {
	e.t.Helper()
	t, err := parse("redis://server/0/q")
	test.OK(e.t, err)
	t.dialer = dial
	return open(e.t.Context(), t, o)
}

// host returns one that is closed when the test ends.
func (e *engine) host(o Options) *Quota { return e.via(e.dial, o) }

func (e *engine) via(dial func() (net.Conn, error), o Options) *Quota {
	e.t.Helper()
	q, err := e.openBy(dial, o)
	test.OK(e.t, err)
	e.t.Cleanup(func() { _ = q.Close(context.Background()) }) // it may be closed, or the server
	return q
}

// A link is a way to the server that can be cut: what is sent on it is lost then.
type link struct {
	e   *engine
	mu  sync.Mutex
	cut bool
}

func newLink(e *engine) *link { return &link{e: e} }

func (l *link) dialIf(yes bool) func() (net.Conn, error) {
	if !yes {
		return l.e.dial
	}
	return func() (net.Conn, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.cut {
			a, _ := net.Pipe() // nobody reads
			return a, nil
		}
		c, err := l.e.dial()
		if err == nil {
			c = &linked{c, l}
		}
		return c, err
	}
}

func (l *link) set(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
}

// A linked connection drops what is written while its link is cut.
type linked struct {
	net.Conn
	link *link
}

func (c *linked) Write(b []byte) (int, error) {
	c.link.mu.Lock()
	cut := c.link.cut
	c.link.mu.Unlock()
	if cut {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

func per(n float64) Options { return Options{Settings: Settings{Rate: rate.Limit(n)}} }

func TestLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		a, b := e.host(per(100)), e.host(Options{})
		if got := b.Settings().Rate; got != 100 {
			t.Fatalf("the second host sees a rate of %v", got)
		}
		begin := time.Now()
		l, err := a.Lease(t.Context(), 3)
		test.OK(t, err)
		want := throttle.Lease{
			First: begin.Add(250 * time.Millisecond), Every: 10 * time.Millisecond, N: 3,
		}
		if l != want {
			t.Errorf("%+v, want %+v", l, want)
		}
		l, err = b.Lease(t.Context(), 3)
		test.OK(t, err)
		want.First = want.First.Add(30 * time.Millisecond)
		if l != want {
			t.Errorf("%+v, want %+v", l, want)
		}
	})
}
