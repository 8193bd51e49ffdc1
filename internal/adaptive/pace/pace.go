// Package pace finds how many requests a second a server allows, from which of them it refuses for
// their rate.
//
// A [Pace] is a state machine without a clock or a lock: its owner reports what happened, and when.
package pace

import (
	"math"
	"time"

	"github.com/penstock/penstock/internal/adaptive/quota"
	"github.com/penstock/penstock/internal/seconds"
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

// A Pace finds a rate. There is none until the first request that is refused for its rate. Then all
// requests pause, and the rate doubles from what was accepted until it is refused again, which
// shows it: a token bucket of rate R and burst B lets B + R·t requests pass in the t seconds after
// it was full, and R·t between two refusals. From then on the rate is held, and after a while
// raised by a cubic, as CUBIC (RFC 9438) raises a window.
//
// Where the user gave the rate, only its trim is found, unless that is of no use.
//
// Use [New]. A Pace is not safe for concurrent use, and its instants must not go back.
type Pace struct {
	Quota quota.Quota // what the server states; the owner reports it

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

// New returns a Pace that has learned nothing, with no rate given.
func New() Pace { return Pace{given: math.Inf(1), learned: math.Inf(1)} }

// SetLimit sets the rate that the user gave: requests a second, or 0 if none is given. If it is
// fixed, nothing is to be found.
func (p *Pace) SetLimit(rate float64, fixed bool) {
	was := p.given
	p.given, p.fixed = math.Inf(1), fixed
	if rate > 0 {
		p.given = rate
	}
	if p.given != was { // a trim is a share of the old one
		p.trim, p.overshoots = trim{}, 0
		p.givenTooHigh = p.givenTooHigh && p.learned < p.given
	}
}

// Rate is how many requests may be sent a second now; +Inf if nothing bounds that.
func (p *Pace) Rate(now time.Time) float64 { return p.within(p.Quota.RateAt(now), now) }

// Mean is the rate over some time, for people: a quota makes it change with each answer.
func (p *Pace) Mean(now time.Time) float64 { return p.within(p.Quota.Mean(), now) }

// Learned reports whether a limit in force was found, or stated.
func (p *Pace) Learned() bool {
	return !math.IsInf(p.learned, 1) || p.trim.share > 0 || !p.fixed && p.Quota.Mean() < p.given
}

// Trimmed reports whether something is taken off the given rate.
func (p *Pace) Trimmed() bool { return p.trim.share > 0 }

// Accepted returns how many requests were accepted since the end of the latest pause.
func (p *Pace) Accepted() int { return p.cycle.accepted }

// LatestPause returns how long the latest pause is that a refusal brought; 0 if none did.
func (p *Pace) LatestPause() time.Duration { return p.pause.length }

// within is the rate that is given and found, within that of a quota.
func (p *Pace) within(quota float64, now time.Time) float64 {
	if p.fixed {
		return p.given
	}
	return min(p.given*(1-p.trim.at(now)), p.found(now), quota)
}

// isHeld reports whether a rate was learned and does not double.
func (p *Pace) isHeld() bool { return !math.IsInf(p.learned, 1) && !p.doubling }

// found is the rate that was learned, and what was made of it since.
func (p *Pace) found(now time.Time) float64 {
	if math.IsInf(p.learned, 1) || now.Before(p.learnedAt) || p.lastSent.Before(p.learnedAt) {
		return p.learned
	}
	t := (now.Sub(p.learnedAt) - p.idle).Seconds()
	if gap := now.Sub(p.lastSent) - seconds.Duration(2/p.learned); gap > 0 {
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
func (p *Pace) holdSeconds() float64 {
	hold := max(minHold.Seconds(), min(holdRequests, p.taughtBy)/p.learned)
	if !p.held {
		hold *= 2
	}
	pause := p.pause.longest.Seconds()
	forPauses := max(min(holdPauses*pause, maxHoldForPauses), min(4*pause, 300))
	return max(hold*max(p.lenience.patience, 1), forPauses)
}

// Send records that a request leaves.
func (p *Pace) Send(now time.Time) {
	c := &p.cycle
	switch {
	case c.began.IsZero(),
		c.refused.IsZero() && math.IsInf(p.learned, 1) && now.Sub(p.lastSent) > lull:
		c.began, c.accepted, c.open = now, 0, 0
	case !c.refused.IsZero() && !c.suspected && !now.Before(p.pause.end):
		p.nextCycle(now)
	default:
		// Where something else holds requests up, the rate is not what is tried.
		gap, due := now.Sub(p.lastSent), seconds.Duration(1/p.found(now))
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
func (p *Pace) nextCycle(now time.Time) {
	c := &p.cycle
	if p.fruitless++; c.accepted > 0 {
		p.fruitless, p.fruitfulRate = 0, p.learned
	}
	p.taughtBy += float64(c.accepted)
	if math.IsInf(c.rate, 1) { // up to the first refusal they show a burst, not a rate
		p.taughtBy = 0
	}
	p.learnedAt, p.idle = now, 0
	c.refusedBefore, c.refused = c.refused, time.Time{}
	c.began, c.accepted, c.open, c.sent = now, 0, 0, c.sent[:0]
}

// End records that a request, which was sent at that instant, has ended, however it did.
func (p *Pace) End(sent time.Time, accepted bool) {
	c := &p.cycle
	if sent.Before(c.began) {
		if accepted {
			p.fruitless = 0
		}
		return
	}
	c.open--
	if accepted {
		return
	}
	for i := len(c.sent) - 1; i >= 0 && !c.sent[i].Before(sent); i-- {
		if c.sent[i].Equal(sent) {
			c.sent = append(c.sent[:i], c.sent[i+1:]...)
			return
		}
	}
}

// Accept records an accepted request.
func (p *Pace) Accept(sent time.Time) {
	c := &p.cycle
	if sent.Before(c.began) {
		return
	}
	c.accepted++
	p.everAccepted = true
	p.lenience.accept()
	if !c.refused.IsZero() && !c.suspected {
		p.estimate()
	}
}

// Resume records that a pause was lifted.
func (p *Pace) Resume(now time.Time) {
	if p.pause.end.After(now) {
		p.pauseUntil(now)
		if !p.cycle.suspected {
			p.estimate() // it was not paused for so long
		}
	}
}

// pauseUntil sets the end of the pause, from which the rate learned now holds.
func (p *Pace) pauseUntil(end time.Time) { p.pause.end, p.learnedAt, p.idle = end, end, 0 }

// Expect records that another client has found a rate, which is held as if it was found here. In a
// pause, and where the user gave a rate, it does nothing.
func (p *Pace) Expect(rate float64, now time.Time) {
	if p.fixed || !math.IsInf(p.given, 1) || now.Before(p.pause.end) || p.cycle.suspected ||
		p.Closed() || !(rate > 0) || math.IsInf(rate, 1) {
		return
	}
	if p.doubling && rate <= p.found(now) {
		return // it is about to find more
	}
	if !p.doubling {
		p.held = true
	}
	p.learned, p.learnedAt, p.idle = rate, now, 0
}

// Suspect records a request that may have been refused for its rate.
func (p *Pace) Suspect(sent time.Time) {
	if p.cycle.refused.IsZero() {
		p.cycle.refused, p.cycle.suspected = sent, true
	}
}

// Acquit records that it was not.
func (p *Pace) Acquit() {
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

// Drop forgets the rate: it is not what the refusals follow.
func (p *Pace) Drop() {
	p.learned, p.doubling = math.Inf(1), false
	p.cycle.refused, p.cycle.suspected = time.Time{}, false
	p.lenience.rate, p.pause.end = 0, time.Time{}
	p.trim, p.overshoots, p.givenTooHigh = trim{}, 0, false
}
