package quota

import (
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
