package adaptive

import (
	"math"
	"time"

	"github.com/penstock/penstock/internal/adaptive/evidence"
	"github.com/penstock/penstock/internal/adaptive/pace"
)

const (
	// After the first refusal while hardly anything was in flight, trialRequests are spaced evenly,
	// and after trialEvery again: a clump of requests is refused by a rate limiter without a burst,
	// however few are in flight, and then nothing is ever tried that would distinguish it from a
	// full server.
	trialRequests = 64
	trialEvery    = 5 * time.Minute
	trialRound    = 8 // successes before the limit is raised, so that each limit is really tried
	// trialSlack is how much more the trial's rate is than the limit lets go: else the limit would
	// never be reached.
	trialSlack = 1.02

	// Where the rate was found to be the cause and refusals go on, it is not: after testTime with
	// such a loss, or after so many refusals that it does not explain.
	testTime  = 10 * time.Second
	mostLoss  = 0.3
	lossSpan  = 16. // requests, over which the loss is averaged
	mostApart = 2   // of requests that left long after the one before
	mostVain  = 4   // at less than half of the rate that was seen to be allowed
	// Then it is not concluded again for a while. That it is tried again costs testTime.
	leastBan = 30 * time.Second
	mostBan  = 10 * time.Minute
)

// A cause is what the refusals of a server are thought to follow. As a first guess 429 speaks of a
// rate and 503 of the number in flight, but servers answer either to both.
type cause struct {
	evidence evidence.Evidence
	follows  follows
	bare429  bare429

	accepted int // since the latest refusal

	// While refusals follow the rate.
	since      time.Time // when that was concluded
	mostPassed float64   // the highest rate that was seen to be allowed since then
	// vain counts refusals since then at less than half of that rate, anew after many accepted in a
	// row.
	vain  int
	loss  float64 // the share that was refused since then, fading
	apart int     // refusals in a row of requests that left long after the one before

	ban    time.Duration // how long it is not concluded again, after it was in error
	banned time.Time     // until then

	trial     int       // requests left of the trial; if zero, there is none
	nextTrial time.Time // not before this
	excused   int64     // the latest request whose refusal the trial is about
}

// A follows is what refusals are known to follow.
type follows uint8

const (
	followUnknown follows = iota // what the server says is believed
	followGuess                  // the rate, since the user gave one; evidence may tell otherwise
	followRate                   // the rate, whatever the status; refusals may refute that
	followCrowd                  // the number in flight; evidence may show otherwise
)

// A bare429 is what a 429 says that comes without a hint while several requests are in flight.
type bare429 uint8

const (
	unexplained bare429 = iota // it may be about the rate, or the number in flight
	onProbe                    // it holds all, and the next probe, alone, shows which it is about
	aboutCrowd                 // the probe was accepted, so the number in flight
)

// byRate reports whether refusals follow the rate.
func (k *cause) byRate() bool { return k.follows == followGuess || k.follows == followRate }

// onTrial reports whether requests are spaced evenly to find out what refusals follow.
func (k *cause) onTrial() bool { return k.trial > 0 && !k.byRate() }

// leastRound is how many requests make a round, at the least.
func (k *cause) leastRound() int {
	if k.onTrial() {
		return trialRound
	}
	return 1
}

// sent records that a request leaves.
func (k *cause) sent(t *Ticket) { k.evidence.Sent(&t.Request, k.isFresh()) }

// isFresh reports whether a request that leaves or ends now says something about the latest
// refusal.
func (k *cause) isFresh() bool { return k.accepted < trialRequests }

// tryApart reports whether a refusal is answered by spacing alone: the same number in flight is
// tried once more.
func (c *Controller) tryApart(t Ticket, now time.Time) bool {
	k := &c.cause
	switch {
	case t.Number <= k.excused:
		return true
	case k.byRate(), !c.starting, k.evidence.InFlightOf(t.Request) > evidence.FewInFlight,
		t.Number <= c.growth.cut, c.growth.accepted == 0, now.Before(k.nextTrial):
		return false
	}
	k.trial, k.nextTrial, k.excused = trialRequests, now.Add(trialEvery), c.sequence
	c.hold.crowded = false
	c.limit = min(c.limit, evidence.FewInFlight)
	c.beginRound(now)
	return true
}

// trialRate is the rate that spaces requests evenly over the time that one takes.
func (c *Controller) trialRate() float64 {
	if !c.cause.onTrial() || c.latency == 0 {
		return math.Inf(1)
	}
	return trialSlack * c.limit / c.latency
}

// meaning returns the signal by which the controller goes: throttled for a refusal that is about
// the rate, overloaded for one that is about the number in flight, whatever the server calls it.
func (c *Controller) meaning(t Ticket, s Sample, now time.Time) Signal {
	k := &c.cause
	switch s.Signal {
	case SignalSuccess:
		k.evidence.Accept(t.Request, k.isFresh())
		k.loss -= k.loss / lossSpan
		k.trial = max(k.trial-1, 0)
		// By now what was sent before the refusal has ended.
		if k.accepted++; k.accepted >= 4 && k.accepted&(k.accepted-1) == 0 {
			c.judge(now)
		}
		return SignalSuccess
	case SignalThrottled, SignalOverloaded:
		return c.meaningOfRefusal(t, s, now)
	}
	return s.Signal
}

func (c *Controller) meaningOfRefusal(t Ticket, s Sample, now time.Time) Signal {
	k := &c.cause
	k.evidence.Refuse(t.Request, now)
	c.judge(now)
	accepted := k.accepted // before it
	k.accepted = 0
	throttled, cycle := s.Signal == SignalThrottled, c.pace.Accepted()
	hinted := !s.RetryAt.IsZero() || len(s.Quotas) > 0
	if c.onlyRate() && !throttled && cycle > 0 && k.follows == followUnknown &&
		!now.Before(k.banned) {
		k.blameRate(followGuess, now)
	}
	switch {
	case throttled && hinted, !throttled && c.limits.Fixed:
		return s.Signal
	case k.byRate() &&
		(cycle > 0 || k.follows == followRate && c.pace.LatestPause() < 2*leastProbe):
		if !k.refuted(t, accepted, c.pace.Rate(now), now) {
			return SignalThrottled
		}
		k.acquitRate(now)
		c.pace.Drop()
	case throttled && t.InFlight > 1 && t.Number != c.hold.probe &&
		math.IsInf(c.pace.Rate(t.At), 1): // its cause is not known
		if k.bare429 != aboutCrowd {
			k.bare429 = onProbe
			c.pace.Suspect(t.At)
		}
		return SignalOverloaded
	}
	return s.Signal
}

// onlyRate reports whether the user knows the rate, about, and not the number in flight.
func (c *Controller) onlyRate() bool {
	return c.limits.Rate > 0 && c.limits.InFlight == 0 && !c.limits.Fixed
}

// judge concludes what refusals follow, where the evidence is clear.
func (c *Controller) judge(now time.Time) {
	k := &c.cause
	switch {
	case k.byRate():
		if k.evidence.OfRate() {
			k.follows = followRate // a guess no more
		}
	case k.evidence.OfRate() && !now.Before(k.banned):
		k.blameRate(followRate, now)
		k.bare429 = unexplained
		c.pace.Emptied(k.accepted)
	case k.evidence.OfCrowd():
		k.follows = followCrowd
	}
}

// blameRate records that refusals are taken to follow the rate.
func (k *cause) blameRate(as follows, now time.Time) {
	k.follows, k.since = as, now
	k.mostPassed, k.vain, k.loss, k.apart = 0, 0, 0, 0
}

// acquitRate records that they do not, for a while.
func (k *cause) acquitRate(now time.Time) {
	k.follows = followUnknown
	k.ban = min(max(2*k.ban, leastBan), mostBan)
	k.banned = now.Add(k.ban)
}

// refuted records a refusal, after so many requests were accepted, while refusals are taken to
// follow the rate, and reports whether they do not.
func (k *cause) refuted(t Ticket, accepted int, rate float64, now time.Time) bool {
	k.loss += (1 - k.loss) / lossSpan
	if k.apart++; !k.evidence.IsApart(t.Request) {
		k.apart = 0
	}
	if accepted >= pace.EnoughKnown { // it was right, and what is new may be the server's limit
		k.mostPassed, k.vain, k.since = 0, 0, now
		k.evidence.ForgetRate()
	}
	k.mostPassed = max(k.mostPassed, k.evidence.Rate(now, time.Second))
	if rate < k.mostPassed/2 {
		k.vain++
	}
	return k.apart >= mostApart || k.vain >= mostVain ||
		now.Sub(k.since) >= testTime && k.loss >= mostLoss
}
