package adaptive

import (
	"math"
	"time"
)

const (
	// After the first refusal while hardly anything was in flight, so many requests are spaced
	// evenly, and after this time again: a clump of requests is refused by a rate limiter without a
	// burst, however few are in flight, and then nothing is ever tried that would distinguish it
	// from a full server.
	trialRequests = 64
	trialEvery    = 5 * time.Minute
	trialRound    = 8 // successes before the limit is raised, so that each limit is really tried

	// Where spacing was found to be the cause and refusals go on, it is not.
	trialTime = 10 * time.Second
	mostLoss  = 0.3
	mostFar   = 2
	mostVain  = 4   // refusals of less than half of what was seen to be allowed
	lossSpan  = 16. // requests, over which the loss is averaged
	leastBan  = 30 * time.Second
	mostBan   = 10 * time.Minute // that it is tried again costs trialTime
)

// A cause is what the refusals of a server are thought to follow: the rate of requests, or the
// number in flight. As a first guess 429 speaks of a rate and 503 of the number in flight, but
// servers answer either to both.
type cause struct {
	evidence evidence
	rate     bool      // they follow the rate, whatever their status
	given    bool      // that is a guess, since the user gave one
	crowd    bool      // they are known to follow the number in flight
	since    time.Time // when rate was concluded
	passed   float64   // requests a second that were seen to be allowed since then: the most
	// refusals since then at less than half of that; 0 again after many accepted in a row
	vain   int
	loss   float64       // the share that was refused since then, fading
	far    int           // refusals in a row of requests that left long after the last one
	ban    time.Duration // for how long it is not concluded again, after it was in error
	banned time.Time     // until then

	accepted int       // since the latest refusal
	trial    int       // requests left of the trial; if zero, there is none
	next     time.Time // when there may be another one
	excused  int64     // the last request whose refusal it is about
}

// onTrial reports whether requests are spaced evenly to find out what refusals follow.
func (c *cause) onTrial() bool { return c.trial > 0 && !c.rate }

// leastRound is how many requests make a round, at the least.
func (c *cause) leastRound() int {
	if c.onTrial() {
		return trialRound
	}
	return 1
}

// sent records that a request leaves. A request accepted long after a refusal says nothing about
// that one.
func (c *cause) sent(t *Ticket) { c.evidence.sent(t, c.accepted < trialRequests) }

// gaps returns the spacing of a request.
func (c *cause) gaps(t Ticket) spacing { return c.evidence.spacingOf(t) }

// tryApart reports whether a refusal is answered by spacing alone: the same number in flight is
// tried once more.
func (c *Controller) tryApart(t Ticket, now time.Time) bool {
	k := &c.cause
	switch {
	case t.number <= k.excused:
		return true
	case k.rate, !c.starting, k.evidence.inFlightOf(t) > fewInFlight, t.number <= c.cut,
		c.accepted == 0, now.Before(k.next):
		return false
	}
	k.trial, k.next, k.excused = trialRequests, now.Add(trialEvery), c.sequence
	c.harmed = false
	c.limit = min(c.limit, fewInFlight)
	c.begin(now)
	return true
}

// trialRate is the rate that spaces requests evenly over the time that one takes.
func (c *Controller) trialRate() float64 {
	if !c.cause.onTrial() || c.latency == 0 {
		return math.Inf(1)
	}
	const slack = 1.02 // a little more than the limit lets go, or the limit would never be reached
	return slack * c.limit / c.latency
}

// meaning returns the outcome by which the Controller goes: Throttled for a refusal that is about
// the rate, Overloaded for one that is about the number in flight, whatever the server calls it.
func (c *Controller) meaning(t Ticket, f Sample, now time.Time) Signal {
	k := &c.cause
	accepted := 0
	switch f.Signal {
	case SignalSuccess:
		k.evidence.accept(t, k.accepted < trialRequests)
		k.loss -= k.loss / lossSpan
		k.trial = max(k.trial-1, 0)
		// By now what was sent before the refusal has ended.
		if k.accepted++; k.accepted >= 4 && k.accepted&(k.accepted-1) == 0 {
			c.judge(now)
		}
		return SignalSuccess
	case SignalThrottled, SignalOverloaded:
		k.evidence.refuse(t, now)
		c.judge(now)
		accepted, k.accepted = k.accepted, 0
	default:
		return f.Signal
	}
	told := !f.RetryAt.IsZero() || len(f.Quotas) > 0
	if c.onlyRate() && f.Signal != SignalThrottled && c.pace.cycle.accepted > 0 && !k.rate && !k.crowd &&
		!now.Before(k.banned) {
		k.blameRate(now)
		k.given = true
	}
	switch {
	case f.Signal == SignalThrottled && told, f.Signal != SignalThrottled && c.limits.Fixed:
		return f.Signal
	// else the server is down
	case k.rate && (c.pace.cycle.accepted > 0 || !k.given && c.pace.pause.length < 2*fullWait):
		if !k.refuted(t, accepted, c.pace.rate(now), now) {
			return SignalThrottled
		}
		c.acquitRate(now)
	case f.Signal == SignalThrottled && !c.isQuota(t, f):
		if !c.crowded {
			c.doubt = true
			c.pace.suspect(t)
		}
		return SignalOverloaded
	}
	return f.Signal
}

// onlyRate reports whether the user knows the rate, about, and not the number in flight.
func (c *Controller) onlyRate() bool {
	return c.limits.Rate > 0 && c.limits.InFlight == 0 && !c.limits.Fixed
}

// judge concludes what refusals follow, where the evidence is clear.
func (c *Controller) judge(now time.Time) {
	k := &c.cause
	switch {
	case k.rate:
		k.given = k.given && !k.evidence.ofRate() // then it is a guess no more
	case k.evidence.ofRate() && !now.Before(k.banned):
		k.blameRate(now)
		c.doubt, c.crowded = false, false
		if math.IsInf(c.pace.learned, 1) {
			c.pace.emptied(k.accepted)
		}
	case k.evidence.ofCrowd():
		k.crowd = true
	}
}

// blameRate records that refusals are taken to follow the rate.
func (k *cause) blameRate(now time.Time) {
	k.rate, k.given, k.crowd, k.since, k.loss, k.far, k.passed, k.vain = true, false, false, now, 0,
		0, 0, 0
}

// refuted records a refusal, after so many requests were accepted, while refusals are taken to
// follow the rate, and reports whether they do not.
func (k *cause) refuted(t Ticket, accepted int, rate float64, now time.Time) bool {
	k.loss += (1 - k.loss) / lossSpan
	if k.far++; !k.evidence.far(t) {
		k.far = 0
	}
	if accepted >= enoughKnown { // it was right, and what is new may be the server's limit
		k.passed, k.vain, k.since = 0, 0, now
		k.evidence.forgetRate()
	}
	k.passed = max(k.passed, k.evidence.rate(now, time.Second))
	if rate < k.passed/2 {
		k.vain++
	}
	return k.far >= mostFar || k.vain >= mostVain || now.Sub(k.since) >= trialTime &&
		k.loss >= mostLoss
}

// acquitRate records that they do not, for a while.
func (c *Controller) acquitRate(now time.Time) {
	k := &c.cause
	k.rate = false
	k.ban = min(max(2*k.ban, leastBan), mostBan)
	k.banned = now.Add(k.ban)
	c.pace.drop()
}
