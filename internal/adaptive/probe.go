package adaptive

import (
	"math"
	"time"
)

const (
	downAfter = 3               // probes refused in a row: begin anew after that
	minProbe  = 2 * time.Second // the first wait before a probe, doubled each time …
	// where others are accepted it is a round trip, at least this
	fullWait = 100 * time.Millisecond
	maxProbe = 10 * time.Second // … up to this

	restTrips = 16                    // round trips before the first probe of a server that is up …
	leastRest = 50 * time.Millisecond // … at least this, and fullWait at most

	// A probe that takes longer than this, and than slowTrips times the latency, may be a long
	// upload: another may go, and one more after twice that time.
	slowProbe = 10 * time.Second
	slowTrips = 4
)

// After a refusal nothing is sent until something is accepted: by then the server
// may be full, or dead. A full one shows it by accepting those that are in flight;
// a dead one gets one request at a time, the probe, and ever more seldom.

// alive ends holding back where the server is seen to take requests.
func (c *Controller) alive(t Ticket, now time.Time) {
	later := t.number > c.refusal || t.number == c.trial
	if later && c.doubt {
		c.doubt, c.crowded = false, true
		c.pace.acquit()
	}
	if c.held && (later || c.refused == 0 && !c.doubt && !c.asked) {
		smooth := c.refused > 0 || c.asked
		c.held, c.probe, c.trial, c.asked = false, time.Time{}, 0, false
		if c.ramp = float64(c.inFlight + 1); !smooth {
			c.ramp = math.Inf(1)
			// those in flight are what was not refused
			if c.harmed && c.limit > c.unharmed && c.unharmed > 0 {
				c.limit = max(min(c.limit, float64(max(c.inFlight, c.places-1))), c.unharmed)
				c.cap = c.limit
			}
		}
		c.harmed = false
		if c.refused >= downAfter && c.finding {
			c.limit, c.starting, c.restore = 1, true, 0
			c.cap, c.unharmed = math.Inf(1), 0
		}
		// or slow probes would keep all the places
		c.limit = max(c.limit, min(float64(1+c.probes), c.most))
		c.begin(now)
		c.because("accepted again")
	}
	// While others are accepted it is not down, only full.
	if soon := now.Add(max(seconds(c.latency), fullWait)); c.held && c.trial == 0 &&
		c.probe.After(soon) && !c.asked {
		c.probe = soon
	}
	if later {
		c.refusal, c.refused = 0, 0
	}
}

// refuse records a request that was too much for the server, or that it failed to do: one such
// failure may be about its request, but a server that only fails is down, too.
func (c *Controller) refuse(t Ticket, f Sample, now time.Time) {
	if c.refusal > 0 && (t.number > c.refusal || t.number == c.trial) {
		c.refused++
	}
	c.refusal = c.sequence
	if !c.held {
		// it is up: what was too much a moment ago may not be in another
		if c.rest = 0; c.accepted > 0 && f.Signal == SignalOverloaded {
			c.rest = min(max(seconds(restTrips*c.latency), leastRest), fullWait)
		}
	}
	if c.doubt { // the probe is to show whether it was about the rate
		c.rest = 0
	}
	if t.number == c.trial {
		c.trial, c.probe = 0, time.Time{}
	}
	c.held, c.asked = true, c.asked && c.trial == 0 && c.probe.After(now)
	switch {
	case c.trial != 0: // one is on its way
	case f.Signal == SignalOverloaded && f.RetryAt.After(now):
		if !c.asked || f.RetryAt.After(c.probe) {
			c.probe, c.asked = f.RetryAt, true
		}
	case c.asked: // not before that
	case c.refused == 0:
		// Those in flight will tell, unless it hangs.
		c.probe = now.Add(min(max(seconds(2*c.latency), time.Second), longestPause))
		if c.inFlight == 0 {
			c.probe = now.Add(c.rest)
		}
	// this one may be at fault, or unlucky, too: another tells
	case c.refused == 1 && (c.rest > 0 || f.Signal == SignalFailed):
		c.probe = now.Add(min(2*max(seconds(c.latency), fullWait), minProbe))
	case f.Signal == SignalFailed:
		c.probe = now.Add(min(minProbe<<min(c.refused-2, 10), maxProbe))
	default:
		c.probe = now.Add(min(minProbe<<min(c.refused-1, 10), maxProbe))
	}
	// a probe says nothing of how many are too many, nor does a failure
	if c.refused == 0 && f.Signal != SignalFailed {
		c.lower(t, f.Signal == SignalTimedOut, now)
	}
	c.accepted = 0
	c.because(f.Signal.String())
}

// try makes a request that leaves the probe.
func (c *Controller) try(t *Ticket, now time.Time) {
	patience := max(slowProbe, min(seconds(slowTrips*c.latency), time.Hour)) << min(c.probes, 10)
	c.probes++
	t.probe = true
	c.trial, c.probe = t.number, now.Add(patience)
}

// Recall records that a request waits to be sent once more, perhaps since the server did not want
// it. If it was the probe, the next one may be.
func (c *Controller) Recall(t *Ticket, refused bool, now time.Time) {
	c.flow.end(t.number, now)
	c.pace.end(*t, false)
	t.recalled = true
	if t.probe {
		t.probe = false
		c.probes--
	}
	if refused {
		c.refuse(*t, Sample{Signal: SignalOverloaded}, now)
		c.tell(now, "")
	} else if t.number == c.trial {
		c.trial, c.probe = 0, now
	}
}

// Resume records that a pause was lifted.
func (c *Controller) Resume(now time.Time) {
	if c.held && c.trial == 0 && c.asked {
		c.probe, c.asked = now, false
	}
	c.pace.resume(now)
}
