package throttle

import (
	"math"
	"time"
)

// A door is what a [Bucket] has an [Upstream]'s callers pass before it reserves
// a token for them: one who waited behind it with a token in hand would let the
// token grow old, and old tokens leave as a burst.
type door struct {
	room     int // how many may be in flight
	most     int // of whom a probe may be one, whatever the room
	inFlight int // let in, and not yet landed

	// At this instant all of that may change by itself, and the first waiter looks again; never: it
	// does not.
	until time.Duration

	// While the server is thought to be down, one request may go at this instant
	// and nobody else, whatever the room; 0: it is not.
	probe time.Duration
}

// never is the instant of what does not happen, such as a probe while one is on its way.
const never time.Duration = math.MaxInt64

// shut tells why nobody may go at the given instant, and for how long, where it
// is known; else 0.
func (d *door) shut(now time.Duration) (why hold, wait time.Duration) {
	switch {
	case d.probe == never:
		return byDown, 0
	case d.probe > now:
		return byDown, d.probe - now
	case d.probe == 0 && d.inFlight >= d.room, d.probe > 0 && d.inFlight >= d.most:
		return byConcurrency, 0
	}
	return free, 0
}

// enter lets one in.
func (d *door) enter() {
	d.inFlight++
	if d.probe != 0 {
		d.probe = never
	}
}
