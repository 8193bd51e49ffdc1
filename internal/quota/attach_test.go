package quota

import (
	"context"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/test"
	"github.com/penstock/penstock/throttle"
)

// A hooked upstream calls a function, once, before it is told something.
type hooked struct {
	*throttle.Upstream
	cap   func(n int)
	pause func()
}

func (h *hooked) Cap(n int, until time.Time) {
	if f := h.cap; f != nil && n > 0 {
		h.cap = nil
		f(n)
	}
	h.Upstream.Cap(n, until)
}

func (h *hooked) Pause(until time.Time, source string) {
	if f := h.pause; f != nil {
		h.pause = nil
		f()
	}
	h.Upstream.Pause(until, source)
}

// meanwhile lets others run until something is so, and then as far as they come.
func meanwhile(isSo func() bool) {
	for !isSo() {
		runtime.Gosched()
	}
	for range 1000 {
		runtime.Gosched()
	}
}

// A limit that is removed while a part of it is on its way to an upstream does not come back.
func TestAllotWhileRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newEngine(t).host(inFlight(8))
		u := &hooked{Upstream: upstream()}
		u.cap = func(int) {
			go func() {
				none := 0
				test.OK(t, q.Set(t.Context(), Changes{InFlight: &none}))
			}()
			meanwhile(func() bool { return q.Settings().InFlight == 0 })
		}
		q.Attach(u)
		time.Sleep(time.Minute)
		if p, ok := u.TryAcquire(1); !ok {
			t.Error("nothing is let in, though there is no limit")
		} else {
			p.Release()
		}
	})
}

// slow is a connection on which an answer takes a while.
type slow struct{ net.Conn }

func (c slow) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	time.Sleep(20 * time.Millisecond)
	return n, err
}

// The first request of an upstream has its slot, or asks for it, before the upstream is attached,
// and goes by it.
func TestJoinGoesOn(t *testing.T) {
	for _, after := range []time.Duration{50 * time.Millisecond, 100 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			e := newEngine(t)
			q := e.via(func() (net.Conn, error) {
				c, err := e.dial()
				return slow{c}, err
			}, per(0.1))
			tr := &throttle.Transport{MaxUpstreams: 1}
			attached := q.Join(tr)
			u := tr.Upstream("a")
			begin := time.Now()
			done := make(chan error)
			go func() {
				_, err := u.Acquire(t.Context(), 1)
				done <- err
			}()
			time.Sleep(after)
			attached("a")
			test.OK(t, <-done)
			if took := time.Since(begin); took > 9*time.Second {
				t.Errorf("attached after %v, it gets a slot after %v: the first was lost", after,
					took)
			}
			time.Sleep(time.Minute)
			tr.Upstream("b")
			if _, ok := tr.Lookup("a"); !ok {
				t.Error("an upstream that is attached was forgotten")
			}
		})
	}
}

// An upstream gives up what it has each time that the server is back.
func TestReturnOwnEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, u := newEngine(t).host(per(0.01)), upstream()
		q.Attach(u)
		_, err := u.Acquire(t.Context(), 1)
		test.OK(t, err)
		for range 3 {
			done := make(chan error)
			go func() {
				_, err := u.Acquire(t.Context(), 1)
				done <- err
			}()
			time.Sleep(20 * time.Second)
			before := q.Part().Granted
			q.returnOwn()
			test.OK(t, <-done)
			if n := q.Part().Granted - before; n == 0 {
				t.Error("it went by a slot that it had before")
			}
		}
	})
}

// Slots of a rate are given up when another is set.
func TestSetGivesUpSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, u := newEngine(t).host(per(0.01)), upstream()
		q.Attach(u)
		_, err := u.Acquire(t.Context(), 1)
		test.OK(t, err)
		begin := time.Now()
		done := make(chan error)
		go func() {
			_, err := u.Acquire(t.Context(), 1)
			done <- err
		}()
		time.Sleep(80 * time.Second) // it has a slot in 20 s
		limit := per(100).Rate
		test.OK(t, q.Set(t.Context(), Changes{Rate: &limit}))
		test.OK(t, <-done)
		if took := time.Since(begin); took > 81*time.Second {
			t.Errorf("it got a slot after %v", took)
		}
	})
}

// What a host lets go of, when it is closed or an upstream is detached, is for the others once it
// is not in flight any more, and nobody goes by it meanwhile.
func TestPermitsLetGo(t *testing.T) {
	type host struct {
		*Quota
		*throttle.Upstream
		detach func()
	}
	for name, c := range map[string]struct {
		down     Down
		inFlight int
		letGo    func(host)
	}{
		"closed":               {Share, 0, func(h host) { h.Close(context.Background()) }},
		"closed, sends":        {Share, 5, func(h host) { h.Close(context.Background()) }},
		"closed, local":        {Local, 0, func(h host) { h.Close(context.Background()) }},
		"closed, local, sends": {Local, 5, func(h host) { h.Close(context.Background()) }},
		"detached, closed": {Share, 0, func(h host) {
			h.detach()
			h.Close(context.Background())
		}},
		"detached":        {Share, 0, func(h host) { h.detach() }},
		"detached, sends": {Share, 5, func(h host) { h.detach() }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEngine(t)
				o := inFlight(8)
				o.Down = c.down
				open := func() (h host) {
					h.Quota, h.Upstream = e.host(o), upstream()
					h.detach = h.Attach(h.Upstream)
					return h
				}
				fill := func(u *throttle.Upstream) (n int) {
					for range 20 {
						if _, ok := u.TryAcquire(1); ok {
							n++
						}
					}
					return n
				}
				a := open()
				time.Sleep(5 * time.Second)
				var permits []*throttle.Permit
				for range c.inFlight {
					p, err := a.Acquire(t.Context(), 1)
					test.OK(t, err)
					permits = append(permits, p)
				}
				c.letGo(a)
				if n := fill(a.Upstream); n > 0 && name[:6] == "closed" {
					t.Errorf("%d are let in afterwards", n)
				}
				b := open()
				time.Sleep(2 * time.Second)
				n := fill(b.Upstream)
				if want := 8; c.inFlight == 0 && n != want || n+c.inFlight > want {
					t.Errorf("%d are let in here while there are %d in flight there, of %d", n,
						c.inFlight, want)
				}
				for _, p := range permits {
					p.Done(throttle.Feedback{Signal: throttle.SignalSuccess})
				}
				time.Sleep(12 * time.Second)
				if n += fill(b.Upstream); n != 8 {
					t.Errorf("%d are let in at the end, want 8", n)
				}
			})
		})
	}
}

// A pause that ends while an upstream is being told of it does not come back.
func TestPauseWhileResumed(t *testing.T) {
	for name, late := range map[string]bool{"attached": false, "attached in the pause": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEngine(t)
				q, other := e.host(per(100)), e.host(per(100))
				u := &hooked{Upstream: upstream()}
				u.pause = func() {
					go func() {
						test.OK(t, other.Resume(t.Context()))
						_, err := q.State(t.Context())
						test.OK(t, err)
					}()
					meanwhile(func() bool {
						q.mu.Lock()
						defer q.mu.Unlock()
						return q.mu.contact.pause.until.IsZero()
					})
				}
				if !late {
					q.Attach(u)
				}
				time.Sleep(time.Second)
				test.OK(t, other.Pause(t.Context(), time.Now().Add(time.Hour), "retry-after"))
				if _, err := q.State(t.Context()); late {
					test.OK(t, err)
					q.Attach(u)
				}
				time.Sleep(10 * time.Second)
				if s := u.Stats(); !s.Paused.IsZero() {
					t.Errorf("paused for %v more, though others have ended it",
						time.Until(s.Paused))
				}
			})
		})
	}
}
