package courier

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/penstock/penstock/internal/outbox"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/internal/upstream"
	"github.com/penstock/penstock/retry"
)

const (
	// window is how many stored requests of a target are tried at once: as many as may be in
	// flight. All others are on disk only.
	window = upstream.MostInFlight

	// A stored request that cannot be sent now comes up again after a while: after long if that may
	// be its own fault, so that others are tried before it.
	soon    = 10 * time.Second
	faulty  = time.Minute
	holding = 10 * time.Minute
)

// A courier delivers what is stored for one target.
type courier struct {
	s    *Service
	t    Target
	wake chan struct{} // holds one

	mu       sync.Mutex
	stopping bool
	busy     map[*parcel]bool
	held     hold
}

func newCourier(s *Service, t Target) *courier {
	return &courier{s: s, t: t, wake: make(chan struct{}, 1), busy: map[*parcel]bool{}}
}

// accepted returns how many requests the target's server has accepted, live ones too.
func (c *courier) accepted() int64 {
	if known := c.s.Servers.Known(c.t.Key); known != nil {
		return known.Accepted()
	}
	return 0
}

func (c *courier) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// run delivers until the courier is stopped, and returns when all that is under way has ended.
func (c *courier) run(ctx context.Context) {
	var group sync.WaitGroup
	defer group.Wait()
	c.holdAsBefore()
	for {
		n, after := c.room(time.Now())
		var list []outbox.Entry
		if n > 0 {
			var due time.Time
			var err error
			if list, due, err = c.s.Store.Next(c.t.Name, n); err != nil {
				c.s.tellStore(err)
				due = time.Now().Add(faulty)
			}
			after = earlier(after, due)
		}
		for _, e := range list {
			p := c.take(ctx, e)
			group.Go(func() {
				defer c.done(p)
				c.s.deliver(p)
			})
		}
		var timer <-chan time.Time
		if !after.IsZero() {
			timer = time.After(time.Until(after))
		}
		select {
		case <-c.wake:
		case <-timer:
		case <-ctx.Done():
			return
		}
		if c.stopped() {
			return
		}
	}
}

// room returns how many more requests may be taken up, and when that changes by itself.
func (c *courier) room(now time.Time) (n int, after time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.held.on {
		return window - len(c.busy), time.Time{}
	}
	if now.Before(c.held.until) {
		return 0, c.held.until
	}
	return max(1-len(c.busy), 0), time.Time{}
}

func (c *courier) take(ctx context.Context, e outbox.Entry) *parcel {
	p := newParcel(ctx, c, e)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy[p] = true
	switch { // since it was decided to take it up
	case c.stopping:
		p.cancel(errStopping)
	case c.held.on && time.Now().Before(c.held.until):
		p.cancel(errHeld)
	}
	return p
}

func (c *courier) done(p *parcel) {
	p.cancel(nil)
	c.mu.Lock()
	delete(c.busy, p)
	c.mu.Unlock()
	c.poke()
}

func (c *courier) stopped() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stopping
}

// stop ends the courier. What is with the target may end there.
func (c *courier) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopping = true
	c.recallLocked(errStopping)
	c.poke()
}

// recallLocked ends the wait of what was taken up and is not with the target.
func (c *courier) recallLocked(why error) {
	for p := range c.busy {
		if !p.flying {
			p.cancel(why)
		}
	}
}

// under returns how many requests are under way.
func (c *courier) under() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.busy)
}

// flying returns how many requests are with the target.
func (c *courier) flying() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for p := range c.busy {
		if p.flying {
			n++
		}
	}
	return n
}

// A hold keeps back what is stored for a target that would refuse all of it, whatever it is: it has
// no address, or the credentials are not valid. One request at a time shows whether that is over.
type hold struct {
	on     bool
	until  time.Time // the next try
	status int       // of the last answers that refuse the relay's credentials
	alike  int       // how many these were in a row
}

// errHeld is why requests that were taken up wait with the others.
var errHeld = errors.New("the server takes no requests just now")

// heldUntil returns when the next request is tried while all are held back; zero if they are not.
func (c *courier) heldUntil() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held.until
}

// mostAlike is how many refused credentials in a row show that it is not about the one request.
const mostAlike = 10

// holdAsBefore goes on with a hold for refused credentials that a relay before this one has left:
// others would be failed to find it out anew. The first request is tried at once, since the
// credentials may be others now.
func (c *courier) holdAsBefore() {
	status, err := c.s.Store.Setback(c.t.Name, credentialStatuses[:]...)
	if err != nil {
		c.s.tellStore(err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if status != 0 {
		c.held = hold{on: true, status: status, alike: mostAlike}
	}
}

// judge records how a request ended, and reports whether it is to wait with the others.
func (c *courier) judge(end retry.Result, o *outbox.Outcome) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := &c.held
	unreachable := errors.Is(end.Err, retry.ErrUnreachable)
	refused := o.State == outbox.Failed && aboutCredentials(end.Status)
	switch {
	case refused && end.Status == h.status:
		h.alike++
	case refused:
		h.status, h.alike = end.Status, 1
	case o.State == outbox.Delivered, o.State == outbox.Failed && end.Status != 0:
		*h = hold{} // the server judges the request itself
		return false
	}
	if !unreachable && (!refused || h.alike < mostAlike) {
		return false
	}
	if h.until.IsZero() { // the first since it is on, or since the relay was started
		c.s.Log.Warn(status.DeliveryHeld(c.t.Name, o.Reason, faulty))
		c.recallLocked(errHeld)
	}
	h.on, h.until = true, time.Now().Add(faulty)
	return true
}

// credentialStatuses are about the account or its room, and not about what was sent.
var credentialStatuses = [...]int{401, 402, 407, 507}

func aboutCredentials(code int) bool { return slices.Contains(credentialStatuses[:], code) }

// earlier returns the earlier of two times, of which zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
