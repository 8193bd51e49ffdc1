package relay

import (
	"context"
	"time"

	"github.com/penstock/penstock/throttle"
)

// expiry returns when a call is given up that waits, and why: when its time is over, or if its
// target is down, when it was down for GiveUpAfter while the call has waited. In an outage only one
// request at a time is sent, so most of those that wait were not refused themselves.
func (r *Relay) expiry(c *call) (time.Time, error) {
	s := r.transport.Upstream(c.target.key).Stats()
	if s.Phase == throttle.PhaseDown && s.Paused.IsZero() {
		begun := c.until.Add(-c.limit.Duration)
		if s.Changed.After(begun) {
			begun = s.Changed
		}
		if at := begun.Add(r.GiveUpAfter); at.Before(c.until) {
			return at, errRefused
		}
	}
	return c.until, errLate
}

// look returns when to see whether a call that waits is due, which it is at that time at the
// latest: no outage that begins later ends it before.
func (r *Relay) look(at time.Time) time.Time {
	if soon := time.Now().Add(max(r.GiveUpAfter, grace)); soon.Before(at) {
		return soon
	}
	return at
}

// due reports whether a call is given up that waits, or else when to look again.
func (r *Relay) due(c *call) (again time.Time, is bool) {
	at, _ := r.expiry(c)
	return r.look(at), !at.After(time.Now())
}

// expireAt gives up a call at that time, or when expiry says that it is due, unless the timer that
// it returns is stopped.
func (r *Relay) expireAt(c *call, at time.Time) *time.Timer {
	return time.AfterFunc(time.Until(r.look(at)), func() { r.expire(c) })
}

// expire gives up a call that waits if it is due. One that is with the target is given up if it has
// to wait again.
func (r *Relay) expire(c *call) {
	at, why := r.expiry(c)
	switch {
	case at.After(time.Now()):
		timer := r.expireAt(c, at)
		context.AfterFunc(c, func() { timer.Stop() })
	case !c.flying.Load():
		c.cancel(why)
	}
}
