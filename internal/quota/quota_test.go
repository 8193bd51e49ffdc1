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
	t.Cleanup(m.Close)
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
func (e *engine) open(o Options) (*Quota, error) {
	e.t.Helper()
	t, err := parse("redis://server/0/q")
	test.OK(e.t, err)
	t.dialer = e.dial
	return open(e.t.Context(), t, o)
}

func (e *engine) host(o Options) *Quota {
	e.t.Helper()
	q, err := e.open(o)
	test.OK(e.t, err)
	e.t.Cleanup(func() { test.Check(e.t, q.Close(context.Background())) })
	return q
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
			First: begin.Add(200 * time.Millisecond), Every: 10 * time.Millisecond, N: 3,
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
