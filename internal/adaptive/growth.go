package adaptive

import (
	"math"
	"time"
)

const (
	// After a refusal the limit does not grow for minCalm, twice as long each time that it grew and
	// was refused again, up to maxCalm. The first bears a factor of two. With half of the other a
	// full server without a queue refuses 1.3 % instead of 0.8.
	minCalm = 4 * time.Second
	maxCalm = 32 * time.Second

	// A refusal after so many times the limit were accepted is about one request.
	isolated = 10

	// What a refusal leaves of a limit that we have not raised ourselves, and what a timeout
	// leaves: the server still works on requests that nobody waits for.
	keptOverloaded = 0.8
	keptTimedOut   = 0.5
)

// A growth is what is known of refusals of a higher limit.
type growth struct {
	safe  float64       // the largest limit at which nothing was refused; if zero, not known
	cap   float64       // the limit does not grow above it …
	until time.Time     // … before this …
	step  float64       // … and then by so much
	calm  time.Duration // from the refusal until then
	cut   int64         // the latest request sent before the limit was lowered

	accepted float64 // since the latest refusal
}

// raise raises the limit as far as it may go.
func (c *Controller) raise(want float64, now time.Time) {
	g := &c.growth
	if want > g.cap && !now.Before(g.until) {
		g.cap = max(g.cap, c.limit) + g.step
	}
	limit := min(want, g.cap, c.ceiling, c.flow.ceiling(now))
	if int(limit) > int(c.limit) {
		c.reason = "latency"
	}
	c.limit = max(limit, c.limit)
}

// lower lowers the limit after a refusal: once for all that were sent before it was lowered.
func (c *Controller) lower(t Ticket, timedOut bool, now time.Time) {
	if c.limits.Fixed {
		return
	}
	if c.drain.limit > 0 {
		c.limit, c.drain.limit = c.drain.limit, 0
	}
	if !timedOut && c.tryApart(t, now) {
		return
	}
	g := &c.growth
	c.hold.crowded = true
	if !c.adapts { // the limit may be far above what was ever in flight
		c.limit = min(c.limit, float64(c.places))
	}
	ours := g.safe > 0 && c.limit > g.safe // we raised it
	switch {
	case !timedOut && ours && t.Number <= g.cut:
		// One more of those that were one too many.
		c.limit = max(c.limit-1, g.safe)
		g.cap, g.cut = c.limit, c.sequence
		c.beginRound(now)
		return
	case t.Number <= g.cut:
		return
	case timedOut:
		c.limit = max(c.limit*keptTimedOut, 1)
	case ours:
		c.limit = max(min(c.limit, float64(c.places))-1, g.safe)
	case g.accepted >= isolated*c.limit:
		return // one among so many: it may be about that request alone
	default:
		c.limit = max(c.limit*keptOverloaded, 1)
		g.safe = min(g.safe, c.limit)
	}
	c.limit = math.Floor(c.limit)
	c.starting = false
	g.cut = c.sequence
	g.calm = max(minCalm, min(2*g.calm, maxCalm))
	switch {
	case !ours:
		g.step = math.Inf(1) // others' doing, maybe: latency will tell
	case c.cause.onTrial():
		g.step = 0.5
	default:
		g.step = 1
	}
	g.cap, g.until = c.limit, now.Add(g.calm)
	c.beginRound(now)
}
