package throttle

import "time"

// Callers in a [line] pass a door before tokens are reserved for them: a caller that waited behind
// it with a token in hand would let the token grow old, and old tokens leave as a burst.
type door struct {
	room     int // how many may be in flight
	most     int // of these a probe may be one, whatever the room
	inFlight int // let in, and not yet landed

	// The instant at which all of that may change by itself, and the first waiter looks again; or
	// never.
	until time.Duration

	// While the server is thought to be down, one request may go at this instant and no other,
	// whatever the room. If zero, the server is not down.
	probe time.Duration
}

// shut returns why no caller may go at the given instant, and for how long; 0 if that is not known.
func (d *door) shut(now time.Duration) (why Holding, wait time.Duration) {
	switch {
	case d.probe == never:
		return HoldingDown, 0
	case d.probe > now:
		return HoldingDown, d.probe - now
	case d.probe == 0 && d.inFlight >= d.room, d.probe > 0 && d.inFlight >= d.most:
		return HoldingConcurrency, 0
	}
	return HoldingNone, 0
}

// enter lets one in.
func (d *door) enter() {
	d.inFlight++
	if d.probe != 0 {
		d.probe = never
	}
}
