package adaptive

import (
	"math"
	"time"
)

// A rate that was learned is held for a while: that is what shows it. Then a cubic looks for more.
const (
	// The hold lasts for minHold at least, a second more than the ten of common windows. Half of it
	// does as well; twice as much finds a quota that has grown only after half a minute.
	minHold = 11 * time.Second
	// It lasts for so many requests, if as many have taught the rate: a burst of a few is used up
	// by then. With half of them a slow bucket without a burst refuses 4 % and not 2.6.
	holdRequests = 36
	// It lasts for so many times the pause that a refusal costs, so that looking for more costs a
	// twelfth of the time at most: but no more seconds for that reason than maxHoldForPauses, as
	// long pauses are those of windows, mostly. Both bear a factor of two.
	holdPauses       = 11.
	maxHoldForPauses = 40.

	// cubicScale is the time in seconds in which the cubic adds the root of the rate. With half of
	// it clients that share a quota waste 1.6 % and not 1.3; twice as much does as well.
	cubicScale = 4.0
	slowRate   = 0.5 // requests a second; below that the seconds of the cubic are longer

	// While it is not known, the rate doubles with every fourth request, within these seconds. It
	// begins with doublingFrom at least: a pause of an hour tells no rate. maxDoubling bears a
	// factor of two; with half of minDoubling a new quota is found in 18 s and not in 10.
	minDoubling  = 0.5
	maxDoubling  = 10.0
	doublingFrom = 0.1 // requests a second

	// lull is the time without a request after which a bucket is taken to be full again.
	lull = 10 * time.Second

	logged = 1024 // requests whose instants are remembered
)

// A pace is the part of a [Controller] that finds the rate. There is none until the first throttled
// request. Then all requests pause, and the rate doubles from what was accepted until it is refused
// again, which shows it: a token bucket of rate R and burst B lets B + R·t requests pass in the t
// seconds after it was full, and R·t between two refusals. From then on the rate is held, and after
// a while raised by a cubic, as CUBIC (RFC 9438) raises a window.
//
// Where the user gave the rate, only its trim is found, unless that is of no use.
type pace struct {
	given        float64 // the user's rate; +Inf: none
	fixed        bool    // and it holds as it is
	trim         trim    // what is taken off it
	overshoots   int     // refusals in a row that cost more than was accepted; see givenIsTooHigh
	givenTooHigh bool    // so the rate is learned all the same

	learned   float64       // the rate at the instant learnedAt; +Inf: nothing was learned
	learnedAt time.Time     // the end of a pause
	doubling  bool          // it doubles from there; else it is held, and then grows
	idle      time.Duration // since then, in which less was sent than the rate allows
	lastSent  time.Time

	cycle cycle
	pause pause
	// Of the bucket, as the first cycle shows it, which starts with a full one.
	burst, firstCount, firstSpan float64
	firstCounted                 bool // nothing is added to them any more

	fruitless    int     // cycles in a row, up to this one, in which nothing was accepted
	fruitfulRate float64 // what was learned before these; if zero, nothing
	seenAllowed  float64 // a rate that the server is seen to allow; if zero, none is
	taughtBy     float64 // requests accepted in the cycles that the rate was learned in
	held         bool    // a rate was held for minHold, or stated
	everAccepted bool
	lenience     lenience
	quota        quota
}

// A cycle lasts from the end of one pause to the end of the next. It ends with a refusal, and what
// was accepted in it tells the rate.
type cycle struct {
	began    time.Time
	accepted int
	open     int         // sent, and not ended
	sent     []time.Time // the latest, those left out that were refused

	refused       time.Time // when the first that was refused was sent; if zero, none was
	refusedBefore time.Time // the same of the cycle before; if zero, there is none
	suspected     bool      // it is not known yet whether that was about the rate

	// At the refusal.
	rate        float64 // in force; +Inf: none
	wasDoubling bool
	floor       float64 // what is kept of it at least …
	mostKept    float64 // … and the share of it that is kept at most
}

// A pause is the latest one that a refusal brought.
type pause struct {
	end     time.Time
	length  time.Duration
	asked   bool          // the server named it
	repeats bool          // and it is as long as the one before: it is not for the end of a window
	longest time.Duration // fading: of the latest pauses
}

func (p *pace) setLimits(l Limits) {
	was := p.given
	p.given, p.fixed = math.Inf(1), l.Fixed
	if l.Rate > 0 {
		p.given = l.Rate
	}
	if p.learned == 0 {
		p.learned = math.Inf(1)
	}
	if p.given != was { // a trim is a share of the old one
		p.trim, p.overshoots = trim{}, 0
		p.givenTooHigh = p.givenTooHigh && p.learned < p.given
	}
}

// rate is how many requests may be sent a second now.
func (p *pace) rate(now time.Time) float64 { return p.within(p.quota.rateAt(now), now) }

// mean is the rate over some time, for people: a quota makes it change with each answer.
func (p *pace) mean(now time.Time) float64 { return p.within(p.quota.mean(), now) }

// within is the rate that is given and found, within that of a quota.
func (p *pace) within(quota float64, now time.Time) float64 {
	if p.fixed {
		return p.given
	}
	return min(p.given*(1-p.trim.at(now)), p.found(now), quota)
}

// isHeld reports whether a rate was learned and does not double.
func (p *pace) isHeld() bool { return !math.IsInf(p.learned, 1) && !p.doubling }

// found is the rate that was learned, and what was made of it since.
func (p *pace) found(now time.Time) float64 {
	if math.IsInf(p.learned, 1) || now.Before(p.learnedAt) || p.lastSent.Before(p.learnedAt) {
		return p.learned
	}
	t := (now.Sub(p.learnedAt) - p.idle).Seconds()
	if gap := now.Sub(p.lastSent) - seconds(2/p.learned); gap > 0 {
		t -= gap.Seconds() // idle up to now
	}
	if p.doubling {
		// To be slower than the pause that a refusal would cost saves nothing.
		return doubled(p.learned, t, min(max(p.pause.length, shortPause).Seconds(), maxDoubling))
	}
	if t -= p.holdSeconds(); t < 0 {
		return p.learned
	}
	// Below slowRate time is stretched. Otherwise the rate would be many times higher when the next
	// request leaves than when it was ordered to wait, and the time that it waited would count as
	// idle.
	stretch := max(slowRate/p.learned, 1)
	t /= cubicScale * stretch
	return p.learned + math.Sqrt(p.learned*stretch)/stretch*t*t*t
}

// doubled returns a rate that doubles for t seconds: with every fourth request, but within most
// seconds each time.
func doubled(r, t, most float64) float64 {
	for range 60 {
		d := min(max(minDoubling, 4/r), most)
		if t < d {
			return r * math.Exp2(max(t, 0)/d)
		}
		r *= 2
		t -= d
	}
	return r
}

// holdSeconds returns for how many seconds the rate is held: longer where it was measured with
// care, and where the quota is one of long windows. What only a few requests have taught may be
// luck, so no more requests than these count.
func (p *pace) holdSeconds() float64 {
	hold := max(minHold.Seconds(), min(holdRequests, p.taughtBy)/p.learned)
	if !p.held {
		hold *= 2
	}
	pause := p.pause.longest.Seconds()
	forPauses := max(min(holdPauses*pause, maxHoldForPauses), min(4*pause, 300))
	return max(hold*max(p.lenience.patience, 1), forPauses)
}

// send records that a request leaves.
func (p *pace) send(now time.Time) {
	c := &p.cycle
	switch {
	case c.began.IsZero(),
		c.refused.IsZero() && math.IsInf(p.learned, 1) && now.Sub(p.lastSent) > lull:
		c.began, c.accepted, c.open = now, 0, 0
	case !c.refused.IsZero() && !c.suspected && !now.Before(p.pause.end):
		p.nextCycle(now)
	default:
		// Where something else holds requests up, the rate is not what is tried.
		gap, due := now.Sub(p.lastSent), seconds(1/p.found(now))
		if gap > 2*due && !now.Before(p.learnedAt) {
			p.idle += gap - due
		}
	}
	p.lastSent = now
	c.open++
	if len(c.sent) == logged {
		c.sent = append(c.sent[:0], c.sent[logged/2:]...)
	}
	c.sent = append(c.sent, now)
}

// nextCycle begins a cycle with the first request after a pause.
func (p *pace) nextCycle(now time.Time) {
	c := &p.cycle
	if p.fruitless++; c.accepted > 0 {
		p.fruitless, p.fruitfulRate = 0, p.learned
	}
	if c.wasDoubling { // it was learned anew
		p.taughtBy = 0
	}
	p.taughtBy += float64(c.accepted)
	p.learnedAt, p.idle = now, 0
	c.refusedBefore, c.refused = c.refused, time.Time{}
	c.began, c.accepted, c.open, c.sent = now, 0, 0, c.sent[:0]
}

// end records that a request has ended, however it did.
func (p *pace) end(t Ticket, accepted bool) {
	c := &p.cycle
	if t.at.Before(c.began) {
		if accepted {
			p.fruitless = 0
		}
		return
	}
	c.open--
	if accepted {
		return
	}
	for i := len(c.sent) - 1; i >= 0 && !c.sent[i].Before(t.at); i-- {
		if c.sent[i].Equal(t.at) {
			c.sent = append(c.sent[:i], c.sent[i+1:]...)
			return
		}
	}
}

// accept records an accepted request.
func (p *pace) accept(t Ticket) {
	c := &p.cycle
	if t.at.Before(c.began) {
		return
	}
	c.accepted++
	p.everAccepted = true
	p.lenience.accept()
	if !c.refused.IsZero() && !c.suspected {
		p.estimate()
	}
}

// resume records that a pause was lifted.
func (p *pace) resume(now time.Time) {
	if p.pause.end.After(now) {
		p.pauseUntil(now)
		if !p.cycle.suspected {
			p.estimate() // it was not paused for so long
		}
	}
}

// pauseUntil sets the end of the pause, from which the rate learned now holds.
func (p *pace) pauseUntil(end time.Time) { p.pause.end, p.learnedAt, p.idle = end, end, 0 }

// suspect records a request that may have been refused for its rate.
func (p *pace) suspect(t Ticket) {
	if p.cycle.refused.IsZero() {
		p.cycle.refused, p.cycle.suspected = t.at, true
	}
}

// acquit records that it was not.
func (p *pace) acquit() {
	c := &p.cycle
	if !c.suspected {
		return
	}
	if c.accepted > 0 { // else it is as full as it was
		p.countFirst()
		p.firstCounted = true
	}
	c.refused, c.suspected = time.Time{}, false
}

// drop forgets the rate: it is not what the refusals follow.
func (p *pace) drop() {
	p.learned, p.doubling = math.Inf(1), false
	p.cycle.refused, p.cycle.suspected = time.Time{}, false
	p.lenience.rate, p.pause.end = 0, time.Time{}
	p.trim, p.overshoots, p.givenTooHigh = trim{}, 0, false
}
