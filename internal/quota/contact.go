package quota

import (
	"math"
	"time"

	"github.com/penstock/penstock/internal/suspend"
)

const (
	// silent is after how long without a word the others reckon that a process sends by itself; the
	// scripts have the same number.
	silent = 600 * time.Millisecond
	// least is the least horizon of the scripts.
	least = 200 * time.Millisecond
	// booked is how long what they were granted until then goes on, mostly.
	booked = 250 * time.Millisecond
	// patience is how long calls fail before a process sends by itself.
	patience = 500 * time.Millisecond
	// alone is how long a process goes on with its share. The scripts keep it for 5 s longer.
	alone = 30 * time.Second
)

// contact is what a process knows of the server: whether it is there, and what its clock says.
type contact struct {
	last      time.Time     // when the last call that was answered was sent; zero if there was none
	suspended time.Duration // how long the machine had been suspended by then
	failing   time.Time     // since when calls fail; zero if they do not
	err       error         // why
	down      bool          // for so long that this process goes on by itself
	closed    bool          // for so long that it does not any more
	offset    offset
	pause     pause  // in force
	version   string // of the server, if it says
}

// fail notes that a call that was sent at an instant failed, and reports whether the server is down
// from now on.
func (c *contact) fail(sent, now time.Time, err error) bool {
	if c.failing.IsZero() {
		c.failing = sent
	}
	c.err = err
	before := c.down
	c.down = before || c.patience(now) <= 0
	return c.down && !before
}

// patience returns for how long yet a process whose calls fail does not send by itself.
func (c *contact) patience(now time.Time) time.Duration {
	return max(patience-now.Sub(c.failing), silent+booked-c.age(now))
}

// age returns how long ago the last contact was.
func (c *contact) age(now time.Time) time.Duration {
	if c.last.IsZero() {
		return math.MaxInt64
	}
	age := now.Sub(c.last)
	if slept := suspend.Total() - c.suspended; slept > time.Second {
		age += slept
	}
	return age
}

// ok notes that a call was answered, and reports whether the server is back.
func (c *contact) ok(sent time.Time) bool {
	back := c.down
	c.last, c.suspended = sent, suspend.Total()
	c.failing, c.err, c.down, c.closed = time.Time{}, nil, false, false
	return back
}

// An offset is the difference between the clock of this machine and the server's. Of the answers of
// some seconds the one that took least time on its way is the best witness.
type offset struct {
	base    time.Time // by this machine's clock
	at      int64     // and by the server's, at the same instant
	next    time.Time // the best witness since
	nextAt  int64
	changes time.Time // when it takes over
}

// offsetSpan is for how long a witness is good: two clocks differ by less than a millisecond in it.
const offsetSpan = 5 * time.Second

// see notes that the server's clock said at, at the latest at received.
func (o *offset) see(at int64, received time.Time) {
	delay := received.Sub(o.local(at))
	// One that is too late by more than a call may take is of another clock.
	if o.base.IsZero() || delay < 0 || delay > 2*callTimeout {
		o.base, o.at = received, at
		o.next, o.nextAt, o.changes = received, at, received.Add(offsetSpan)
		return
	}
	if received.Sub(o.next) <= micros(at-o.nextAt) {
		o.next, o.nextAt = received, at
	}
	if !received.Before(o.changes) {
		o.base, o.at = o.next, o.nextAt
		o.next, o.nextAt, o.changes = received, at, received.Add(offsetSpan)
	}
}

// local returns an instant of the server's clock by this machine's.
func (o *offset) local(at int64) time.Time { return o.base.Add(micros(at - o.at)) }

// remote is the inverse of local.
func (o *offset) remote(t time.Time) int64 { return o.at + t.Sub(o.base).Microseconds() }
