package pace

import (
	"math"
	"time"

	"github.com/penstock/penstock/internal/seconds"
)

// How far a refusal lowers the rate.
const (
	// leastKept is the share of the rate that one refusal leaves at least. The value is
	// load-bearing: with 0.37 a quota that is halved and doubled is found only after two minutes,
	// with 1 half of the requests are refused.
	leastKept = 0.75
	// mostKept is the share that it leaves at most. A second refusal at once takes more. The value
	// is load-bearing: with 0.9 a bucket with a burst is used to 91 % and not to 97, with 0.975 a
	// new quota is found in 20 s and not in 10.
	mostKept = 0.95

	// Of the growth since the rate was held, this share is kept where the burst does not make up
	// for a pause of a second …
	growthKept = 0.1
	// … and this one by a bucket that holds hardlyBurst or less: it refuses what is hardly too
	// fast, so it refused at its rate.
	growthKeptWithoutBurst = 0.3
	hardlyBurst            = 2 // requests
	// Of a rate that such a bucket refused is kept: after it doubled, and no wait was asked for …
	keptWithoutBurst = 0.95
	// … where each refusal costs a pause that was asked for …
	keptWithoutBurstDear = 0.88
	// … and after it was held, all but this.
	leastCutWithoutBurst = 0.02
)

// LongestPause is how long a refusal that names no wait pauses all at most.
const LongestPause = time.Minute

// MostProbe is the longest time between requests that look whether a server accepts anything again,
// unless it asks for more.
const MostProbe = 10 * time.Second

// How long a refusal that names no wait pauses all.
const (
	defaultPause = time.Second // the first; doubled while nothing is accepted, up to LongestPause
	leastPause   = 5 * time.Millisecond
	cheapRate    = 15. // more requests a second than this are worth a shorter pause

	// shortPause is the longest pause that may be that of a bucket, whatever it is measured from. A
	// longer one that is not always the same is one of a window.
	shortPause = 2 * time.Second
	samePause  = 250 * time.Millisecond // pauses that differ by less are the same
)

const (
	fewRequests = 4 // do not show a burst

	// A rate ceases to double once so many requests were accepted since the first refusal. What one
	// or two teach is wrong by half, and held for hundreds. With half as many a bucket of 50/s is
	// found in 33 s and not at once, with twice as many one of 10/s refuses 1.09 % and not 1.03.
	enoughTaught = 16

	// mostOvershoots refute the given rate: two refusals, or four of a bucket with hardly a burst,
	// are no accident.
	mostOvershoots = 4
)

// A Refusal is that of a request for its rate.
type Refusal struct {
	Sent    time.Time // the request
	Until   time.Time // the server asked that nothing be sent before; if not after now, it did not
	Gap     float64   // seconds since the last accepted request before it; +Inf if there was none
	FourGap float64   // seconds since the fourth last; +Inf if there was none
	Allowed float64   // requests a second that the server is seen to allow; if zero, not known
}

// Refuse records a refusal, and returns until when all pause.
func (p *Pace) Refuse(r Refusal, now time.Time) (until time.Time) {
	if p.seenAllowed = 0; !p.held { // what was held shows more
		p.seenAllowed = r.Allowed
	}
	c := &p.cycle
	until = r.Until
	first := c.refused.IsZero()
	if p.pause.asked = until.After(now); !p.pause.asked {
		if first || p.pause.length == 0 && !p.everAccepted {
			p.pause.length = p.ownPause(r.Gap)
		}
		until = now.Add(p.pause.length)
	}
	if first && p.Closed() { // what it asks for is not enough
		if own := now.Add(min(time.Second<<min(p.fruitless, 10), MostProbe)); own.After(until) {
			until = own
		}
	}
	switch {
	case r.Sent.Before(c.began): // of the cycle before
	case first || c.suspected:
		p.endCycle(r, until, now)
	default: // one more that was in flight, and does not count as accepted
		if until.After(p.pause.end) {
			p.pauseUntil(until)
		}
		p.estimate()
	}
	return until
}

// ownPause returns how long to pause after the first refusal of a cycle that names no wait.
func (p *Pace) ownPause(gap float64) time.Duration {
	last := p.pause.length
	switch accepted := p.cycle.accepted > 0; {
	case last == 0 && !p.everAccepted, accepted && p.isHeld() && p.learned < cheapRate:
		return defaultPause
	case accepted:
		// A bucket fills while one waits: twice the time that was not enough, and not much less
		// than what it took the last time.
		enough := min(seconds.Duration(2*max(gap, 0)), defaultPause)
		return max(enough, min(last, LongestPause)/4, leastPause)
	}
	return min(2*last, LongestPause)
}

// endCycle records the first refusal of a cycle.
func (p *Pace) endCycle(r Refusal, until, now time.Time) {
	c := &p.cycle
	p.Suspect(r.Sent)
	c.suspected = false
	c.rate, c.wasDoubling = p.found(now), p.doubling
	if sent := 4 / max(r.FourGap, 0.001); c.rate > 2*sent && !math.IsInf(c.rate, 1) &&
		r.FourGap < r.Sent.Sub(p.learnedAt).Seconds() {
		c.rate = max(sent, p.learned) // the rate in force was not sent
	}
	if stated := p.Quota.Mean(); stated < c.rate { // and somebody else uses it, too
		c.rate, c.wasDoubling, p.held = stated, false, true
	}
	length := until.Sub(now)
	c.floor = p.floorOf(c.rate, length)
	p.pause.repeats = p.pause.asked && (length-p.pause.length).Abs() < samePause
	p.pause.length = length
	p.pause.longest = max(length, p.pause.longest*3/4)
	p.pauseUntil(until)
	p.excuse()
	// Refused again at once: further down. But while it doubled, refusals that name no wait follow
	// each other in milliseconds.
	if c.mostKept *= c.mostKept; c.mostKept == 0 || c.wasDoubling && !p.pause.asked ||
		c.refused.Sub(c.began) > 2*time.Second {
		c.mostKept = mostKept
	}
	if !math.IsInf(p.given, 1) && !p.givenTooHigh && !p.fixed {
		useless := p.trim.refused(now, c.accepted, p.given, length)
		if p.givenTooHigh = useless || p.givenIsTooHigh(); p.givenTooHigh {
			p.trim, c.rate = trim{}, math.Inf(1)
		}
	}
	p.estimate()
}

// floorOf returns what is kept of a refused rate at least, by what was known before.
func (p *Pace) floorOf(refused float64, pause time.Duration) float64 {
	floor := leastKept * refused
	switch {
	case refused <= p.learned:
	// Another refusal would be dear, and the burst tells the rate.
	case p.burst > hardlyBurst && pause > defaultPause:
		floor = p.learned
	default:
		floor = max(floor, p.learned)
		if p.burst < 0.75*p.learned { // it does not make up for the pause of a second
			share := growthKept
			if p.burst > 0 && p.burst <= hardlyBurst && p.learned >= 10 {
				share = growthKeptWithoutBurst
			}
			floor = max(floor, p.learned+share*(refused-p.learned))
		}
	}
	return max(floor, mostKept*min(refused, p.seenAllowed))
}

// givenIsTooHigh records a refusal of the given rate and reports whether that is far above what the
// server accepts: again and again less is accepted before a refusal than the pause would have let
// pass. One refusal may be an accident, and a bucket without a burst refuses what is hardly too
// fast, so such refusals count less. A full bucket that held several requests is emptied so soon
// only by a rate that is far too high, so one refusal is enough then.
func (p *Pace) givenIsTooHigh() bool {
	c := &p.cycle
	accepted, missed := float64(c.accepted+c.open), p.given*p.pause.length.Seconds()
	switch {
	// It is not about the rate, or trimming is cheap.
	case c.accepted == 0 || !p.pause.asked || p.pause.length <= defaultPause:
		return false
	case accepted >= missed:
		p.overshoots = 0
	case accepted < fewRequests:
		p.overshoots++
	case c.refusedBefore.IsZero() && accepted < missed/4:
		p.overshoots += mostOvershoots
	default:
		p.overshoots += 2
	}
	return p.overshoots >= mostOvershoots
}

// hardlyBursts reports whether the bucket has no burst to speak of: what it refused came too soon
// after the one before, so its rate is close to the one in force.
func (p *Pace) hardlyBursts() bool {
	return !p.pause.asked && p.burst > 0 && p.burst <= hardlyBurst
}

// Closed reports whether nothing is accepted any more, however slowly it is sent.
func (p *Pace) Closed() bool {
	wait := min(p.pause.length, defaultPause)
	// It does not grow where the server names it, so cycles in vain count as much as a doubled one.
	if p.pause.asked {
		wait <<= min(p.fruitless, 10)
	}
	return p.fruitless > 0 && p.cycle.accepted == 0 && wait >= defaultPause
}

// EnoughKnown is how many requests that were accepted at a rate teach it.
const EnoughKnown = 300

const (
	// One refusal in so many is isolated, and does not undo what many have taught …
	fewRefused  = 20
	mostExcuses = 3 // … and so many of them may come together

	// Where a refusal costs so many requests, and the rate is refused whenever it has grown a
	// little, it is held for longer: up to so many times.
	dearPause    = 20
	mostPatience = 4
)

// A lenience lets the rate be nearly what it was, where many requests have taught it and the
// refusal is isolated.
type lenience struct {
	rate     float64 // accepted a second for EnoughKnown requests; if zero, not known
	excuses  float64 // refusals that may be excused: one for each fewRefused accepted
	excused  bool    // the refusal of the cycle before was
	cut      float64 // the share that is taken off then
	patience float64 // by which factor the rate is held for longer
}

func (l *lenience) accept() { l.excuses = min(l.excuses+1./fewRefused, mostExcuses) }

// excuse raises the floor of a refused rate where the refusal is isolated. Where another refusal
// follows soon it was not; one that follows at once may be of the same incident.
func (p *Pace) excuse() {
	c, l := &p.cycle, &p.lenience
	switch n := p.sentBefore(); {
	case n < EnoughKnown:
	case p.doubling, math.IsInf(p.learned, 1):
		l.rate = EnoughKnown / max(c.refused.Sub(c.sent[n-EnoughKnown]).Seconds(), 0.001)
	default:
		l.rate = p.learned
	}
	const little = 1.005
	grown := !p.doubling && c.rate > little*p.learned
	l.cut = nextCut(l.cut, c.accepted)
	l.patience = p.bePatient(grown)

	before := l.excused
	l.excused = false
	switch {
	case l.excuses < 1, before && c.accepted > fewRefused/4 && c.accepted < fewRefused:
		if l.rate = 0; before {
			c.floor *= leastKept // what the one before would have taken
		}
	// Nothing is known of it, or it was looking for more.
	case l.rate == 0, math.IsInf(p.learned, 1), grown:
	default:
		l.excuses--
		l.excused = true
		c.floor = max(c.floor, (1-l.cut)*min(c.rate, l.rate))
	}
	switch { // it is as much too fast as what it refused came too soon: not by much
	case grown || p.burst <= 0 || p.burst > hardlyBurst:
	case p.hardlyBursts():
		c.floor = max(c.floor, (1-max(l.cut, leastCutWithoutBurst))*c.rate)
	default:
		c.floor = max(c.floor, keptWithoutBurstDear*c.rate)
	}
}

// bePatient returns by what factor the rate is held for longer from now on.
func (p *Pace) bePatient(grown bool) float64 {
	// In requests, of which a burst makes up for some.
	pause := p.learned * p.pause.length.Seconds()
	if !grown || math.IsInf(p.learned, 1) || p.cycle.rate > 1.2*p.learned || pause < dearPause ||
		p.burst > pause/2 {
		return 1
	}
	return min(2*max(p.lenience.patience, 1), mostPatience)
}

// nextCut returns which share to take off a rate that was refused after so many requests were
// accepted, where the share taken off before was cut.
func nextCut(cut float64, accepted int) float64 {
	switch {
	case cut > 0 && accepted < fewRefused:
		return 2 * cut
	case cut > 0 && accepted < 5*fewRefused:
		return 1.5 * cut
	}
	return trimStep
}
