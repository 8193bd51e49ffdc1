package adaptive

import (
	"time"

	"github.com/penstock/penstock/internal/seconds"
)

const (
	// A server that has answered and now says nothing for leastSilence, and for silentTrips times
	// its latency, gets no more but for one request now and then: what it has it may never answer.
	// Where several requests wait that time is divided by their number, up to mostWitnesses: that
	// all of them take long by chance is less likely.
	leastSilence  = 100 * time.Millisecond
	silentTrips   = 8
	mostWitnesses = 3

	firstTry = time.Second      // the time before the first request in silence, doubled each time …
	mostTry  = 10 * time.Second // … up to this
)

// A silence is the time in which nothing was heard of requests in flight.
type silence struct {
	begin   time.Time // of all of them
	heard   time.Time // when something was last; before, nothing was in flight
	waiting int       // requests in flight then
	tries   int       // requests that were sent in it
	last    time.Time // when the last of them was
}

// hear records that a server has answered, or that a transfer goes on, and how many wait for an
// answer.
func (s *silence) hear(waiting int, now time.Time) {
	if s.begin.IsZero() {
		s.begin = now
	}
	s.heard, s.waiting, s.tries = now, waiting, 0
}

// silent returns the instant at which the server counts as silent, and whether it can.
func (c *Controller) silent() (from time.Time, may bool) {
	// A limit in flight, given or found, bounds what is lost, and would be missed where requests
	// that last long come after short ones.
	if c.adapts || c.limits.InFlight > 0 || c.limits.Fixed || c.hold.on() || c.inFlight == 0 ||
		c.latency == 0 {
		return from, false
	}
	wait := max(leastSilence, min(seconds.Duration(silentTrips*c.latency), time.Hour))
	wait /= time.Duration(min(max(c.silence.waiting, 1), mostWitnesses))
	// Rounded up, so that not each answer moves it by a little.
	const steps = 4
	step := wait / steps
	return c.silence.begin.Add((c.silence.heard.Sub(c.silence.begin)/step + 1 + steps) * step), true
}

// sentInSilence counts a request that is sent, if it is in a silence.
func (c *Controller) sentInSilence(now time.Time) {
	if c.inFlight == 1 {
		c.silence.hear(1, now)
	}
	if room, _ := c.roomInSilence(now); room >= 0 {
		c.silence.tries++
		c.silence.last = now
	}
}

// roomInSilence is how many may be in flight while nothing is heard, or negative if something is,
// and when that changes by itself; if zero, it does not.
func (c *Controller) roomInSilence(now time.Time) (room int, until time.Time) {
	from, may := c.silent()
	switch {
	case !may:
		return -1, until
	case now.Before(from):
		return -1, from
	}
	next := from.Add(firstTry)
	if tries := c.silence.tries; tries > 0 {
		next = c.silence.last.Add(min(firstTry<<min(tries, 10), mostTry))
	}
	if now.Before(next) {
		return c.places, next
	}
	return c.places + 1, until
}
