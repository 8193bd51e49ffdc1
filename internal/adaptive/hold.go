package adaptive

import (
	"math"
	"time"

	"github.com/penstock/penstock/internal/adaptive/pace"
	"github.com/penstock/penstock/internal/seconds"
)

const (
	// While others are accepted a probe goes after a round trip, and this at least: before that
	// none can have told anything.
	leastProbe = 100 * time.Millisecond
	// Else the first refused probe is followed by another after firstProbe, doubled each time up to
	// pace.MostProbe. A server that is down for a minute gets ten requests by that, and one that is
	// back is noticed within ten seconds.
	firstProbe = 2 * time.Second

	// A probe that takes longer than slowProbe, and than slowTrips times the latency, may be a long
	// upload: another may go, and one more after twice that time.
	slowProbe = 10 * time.Second
	slowTrips = 4

	// A server that accepts others rests for so many round trips before the first probe, within
	// these: what was too much a moment ago may not be in another.
	restTrips = 16
	leastRest = 50 * time.Millisecond
	mostRest  = leastProbe

	downAfter = 3 // probes refused in a row: slow start begins anew
)

// A hold keeps back all requests but probes after a refusal, until something is accepted: by then
// the server may be full, or dead. A full one shows it by accepting those that are in flight; a
// dead one gets one request at a time, the probe, and ever more seldom.
type hold struct {
	state holdState

	next   time.Time // when the next probe may go; if zero, not before something ends
	probe  int64     // the number of the latest probe, while it is under way; else zero
	probes int       // under way, with those that are overdue
	rest   time.Duration

	// newest was the latest request when the latest refusal came: those that were sent later are
	// probes. If zero, one of them was accepted.
	newest  int64
	failed  int  // probes refused in a row
	crowded bool // a refusal spoke of how many are in flight: not only failures hold
}

// A holdState is whether the server accepts requests, as far as is known. It goes
//
//	from open to refused by a refusal,
//	from open or refused to asked by a refusal that names the instant of the next request,
//	from asked to refused by another one after that instant, by a refused probe and by resume,
//	from refused to open by anything that is accepted as long as no probe was refused, and none is
//	to show what a bare 429 is about,
//	from refused or asked to open by a probe that is accepted.
type holdState uint8

const (
	open    holdState = iota
	refused           // the next probe goes when we think fit
	asked             // nothing goes before the instant that the server named
)

func (h *hold) on() bool { return h.state != open }

// ask begins a hold up to an instant that was asked for, whatever is under way.
func (h *hold) ask(until time.Time, newest int64) {
	h.state, h.next, h.probe, h.newest = asked, until, 0, newest
}

// resume lets a probe go now that was to wait for the end of a pause.
func (h *hold) resume(now time.Time) {
	if h.state == asked && h.probe == 0 {
		h.state, h.next = refused, now
	}
}

// giveUp lets another probe go if t was the latest and said nothing.
func (h *hold) giveUp(t Ticket, now time.Time) {
	if t.Number == h.probe {
		h.probe, h.next = 0, now
	}
}

// nobodyTells brings the probe forward where nothing is in flight that could end the hold.
func (h *hold) nobodyTells(now time.Time) {
	soon := now.Add(h.rest)
	if h.state == refused && h.probe == 0 &&
		(h.next.IsZero() || h.failed == 0 && h.next.After(soon)) {
		h.next = soon
	}
}

// isLater reports whether a request was sent after the latest refusal had come.
func (h *hold) isLater(t Ticket) bool { return t.Number > h.newest || t.Number == h.probe }

// probe makes a request that leaves the latest probe.
func (c *Controller) probe(t *Ticket, now time.Time) {
	h := &c.hold
	slow := min(seconds.Duration(slowTrips*c.latency), time.Hour)
	patience := max(slowProbe, slow) << min(h.probes, 10)
	h.probes++
	t.probe = true
	h.probe, h.next = t.Number, now.Add(patience)
}

// alive ends the hold where the server is seen to take requests.
func (c *Controller) alive(t Ticket, now time.Time) {
	h := &c.hold
	later := h.isLater(t)
	if later && c.cause.bare429 == onProbe {
		c.cause.bare429 = aboutCrowd
		c.pace.Acquit()
	}
	if h.on() && later || h.state == refused && h.failed == 0 && c.cause.bare429 != onProbe {
		c.release(now)
	}
	// While others are accepted it is not down, only full.
	soon := now.Add(max(seconds.Duration(c.latency), leastProbe))
	if h.state == refused && h.probe == 0 && h.next.After(soon) {
		h.next = soon
	}
	if later {
		h.newest, h.failed = 0, 0
	}
}

// release ends the hold.
func (c *Controller) release(now time.Time) {
	h := &c.hold
	if h.failed > 0 || h.state == asked {
		c.ramp = float64(c.inFlight + 1)
	} else {
		c.ramp = math.Inf(1)
		if safe := c.growth.safe; h.crowded && c.limit > safe && safe > 0 {
			// Those in flight are what was not refused.
			c.limit = max(min(c.limit, float64(max(c.inFlight, c.places-1))), safe)
			c.growth.cap = c.limit
		}
	}
	if h.failed >= downAfter && c.adapts {
		c.limit, c.starting, c.drain.limit = 1, true, 0
		c.growth.cap, c.growth.safe = math.Inf(1), 0
	}
	// Or slow probes would keep all the places.
	c.limit = max(c.limit, min(float64(1+h.probes), c.ceiling))
	h.state, h.next, h.probe, h.crowded = open, time.Time{}, 0, false
	c.beginRound(now)
	c.reason = "accepted again"
}

// refuse records a request that was too much for the server, or that it failed to do: one such
// failure may be about its request, but a server that only fails is down, too.
func (c *Controller) refuse(t Ticket, s Sample, now time.Time) {
	h := &c.hold
	if h.newest > 0 && h.isLater(t) {
		h.failed++
	}
	h.newest = c.sequence
	if !h.on() {
		if h.rest = 0; c.growth.accepted > 0 && s.Signal == SignalOverloaded {
			h.rest = min(max(seconds.Duration(restTrips*c.latency), leastRest), mostRest)
		}
	}
	if c.cause.bare429 == onProbe { // which should tell now
		h.rest = 0
	}
	if t.Number == h.probe {
		h.probe, h.next = 0, time.Time{}
	}
	if h.state != asked || h.probe != 0 || !h.next.After(now) {
		h.state = refused
	}
	if h.probe == 0 {
		if s.Signal == SignalOverloaded && s.RetryAt.After(now) {
			if h.state == refused || s.RetryAt.After(h.next) {
				h.state, h.next = asked, s.RetryAt
			}
		} else if h.state == refused {
			h.next = now.Add(c.untilProbe(s.Signal))
		}
	}
	// A probe says nothing of how many are too many, nor does a failure.
	if h.failed == 0 && s.Signal != SignalFailed {
		c.lower(t, s.Signal == SignalTimedOut, now)
	}
	c.growth.accepted = 0
	c.reason = Signals[s.Signal]
}

// untilProbe returns how long after a refusal the next probe goes.
func (c *Controller) untilProbe(s Signal) time.Duration {
	h := &c.hold
	doubled := h.failed - 1
	switch {
	case h.failed == 0 && c.inFlight == 0:
		return h.rest
	case h.failed == 0: // those in flight will tell, unless it hangs
		return min(max(seconds.Duration(2*c.latency), time.Second), pace.LongestPause)
	case h.failed == 1 && (h.rest > 0 || s == SignalFailed):
		// This one may be at fault, or unlucky, too: another tells.
		return min(2*max(seconds.Duration(c.latency), leastProbe), firstProbe)
	case s == SignalFailed:
		doubled--
	}
	return min(firstProbe<<min(doubled, 10), pace.MostProbe)
}
