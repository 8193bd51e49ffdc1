package throttle

import (
	"math"
	"time"
)

const (
	minHold     = 11 * time.Second // a rate that was learned is held at least so long …
	holdCount   = 30               // … and for so many requests
	minDoubling = 0.5              // seconds
	pauseCost   = 0.02             // share of the time that looking for more may cost
	growthScale = 4.0              // seconds, of the cubic that then looks for more
	keep        = 0.75             // one refusal lowers the rate to no less than this share
	defaultWait = time.Second      // after a 429 that names no wait; doubled while nothing is accepted
	longestWait = time.Minute

	trimStep  = 0.005 // doubled while it does not help
	trimCalm  = time.Minute
	trimFloor = 0.1

	logged = 1024 // requests
)

// A pace is the part of a [controller] that finds the rate. There is none until
// the first throttled request. Then everybody pauses, and the rate doubles from
// what was accepted until it is refused again, which tells it: a token bucket of
// rate R and burst B lets B + R·t requests pass in the t seconds after it was
// full, and R·t between two refusals. From then on the rate is held, and after a
// while raised by a cubic, as CUBIC (RFC 9438) raises a window.
//
// Where the user gave the rate, only the trim is found: servers that count in a
// strict sliding window refuse a client at exactly their rate now and then.
type pace struct {
	given float64 // the user's rate; +Inf: none
	fixed bool
	trim  float64 // the share of the given rate in use
	step  float64 // the next to be trimmed

	learned float64       // at the instant from; +Inf: nothing
	from    time.Time     // a cool-down ended
	ramping bool          // it doubles
	idle    time.Duration // since from, in which less than the rate was asked for
	last    time.Time     // when the last request was sent

	// A cycle lasts from the end of one pause to the end of the next.
	since   time.Time
	count   int       // accepted in it
	late    int       // of these, sent after the first that was refused
	carried int       // those of the cycle before
	refused time.Time // when the first refused request was sent; zero: none was
	before  time.Time // the same of the cycle before; zero: there is none
	asked   float64   // the rate in force then
	ramped  bool      // it was doubling
	until   time.Time // the pause that it brought
	log     []time.Time

	// Of the first cycle, which starts with a full bucket.
	burst, firstCount, firstSpan float64

	wait  time.Duration // for 429s that name none
	quota quota
}

func (p *pace) setLimits(l Limits) {
	p.given, p.fixed = math.Inf(1), l.Fixed
	if l.Rate > 0 {
		p.given = float64(l.Rate)
	}
	p.trim, p.step = 1, trimStep
	if p.learned == 0 {
		p.learned = math.Inf(1)
	}
}

// rate is what may be sent a second.
func (p *pace) rate(now time.Time) float64 {
	if p.fixed {
		return p.given
	}
	return min(p.given*p.trimmed(now), p.found(now), p.quota.rateAt(now))
}

// found is the rate that was learned, and what was made of it since.
func (p *pace) found(now time.Time) float64 {
	if math.IsInf(p.learned, 1) || now.Before(p.from) {
		return p.learned
	}
	t := (now.Sub(p.from) - p.idle).Seconds()
	if p.ramping {
		return p.learned * math.Exp2(min(t/max(minDoubling, 4/p.learned), 60))
	}
	if t -= p.hold(); t < 0 {
		return p.learned
	}
	t /= growthScale
	return p.learned + math.Sqrt(p.learned)*t*t*t
}

// hold is for how many seconds the rate is held. The pause after a refusal costs
// what the server's burst does not make up for, and shall not cost much.
func (p *pace) hold() float64 {
	cost := max(0, min(p.wait.Seconds(), 2)-p.burst/p.learned)
	return max(minHold.Seconds(), holdCount/p.learned, cost/pauseCost)
}

// sent takes in that a request leaves.
func (p *pace) sent(now time.Time) {
	switch {
	case p.since.IsZero():
		p.since = now
	case !p.refused.IsZero() && !now.Before(p.until):
		p.before, p.refused = p.refused, time.Time{}
		p.since, p.from, p.idle = now, now, 0
		p.carried, p.count, p.late, p.log = p.late, 0, 0, p.log[:0]
	default:
		if gap := now.Sub(p.last) - seconds(2/p.found(now)); gap > 0 && !now.Before(p.from) {
			p.idle += gap
		}
	}
	p.last = now
}

// accepted takes in an accepted request.
func (p *pace) accepted(t ticket) {
	if t.at.Before(p.since) {
		return
	}
	p.count++
	if p.ramping {
		if len(p.log) == logged {
			p.log = append(p.log[:0], p.log[logged/2:]...)
		}
		p.log = append(p.log, t.at)
	}
	if !p.refused.IsZero() {
		if t.at.After(p.refused) {
			p.late++
		}
		p.estimate()
	}
}

// throttled takes in a request that was refused for its rate, and returns until
// when all pause.
func (p *pace) throttled(t ticket, until, now time.Time) time.Time {
	if !until.After(now) {
		switch {
		case p.count > 0 || p.wait == 0:
			p.wait = defaultWait
		case p.refused.IsZero():
			p.wait = min(2*p.wait, longestWait)
		}
		until = now.Add(p.wait)
	}
	switch {
	case t.at.Before(p.since): // of the cycle before
	case p.refused.IsZero():
		p.asked, p.ramped = p.found(now), p.ramping
		p.refused, p.until, p.from, p.wait = t.at, until, until, until.Sub(now)
		p.cut(now)
		p.estimate()
	case until.After(p.until):
		p.until, p.from = until, until
		p.estimate()
	}
	return until
}

// estimate works out the rate from what the cycle has told so far.
func (p *pace) estimate() {
	if !math.IsInf(p.given, 1) {
		return
	}
	span := p.refused.Sub(p.since).Seconds()
	count := float64(p.count - p.late)
	whole := p.until.Sub(p.since).Seconds()
	// Half a second is the mean of what rounding adds to a wait of whole seconds.
	rough := float64(max(p.count, 1)) / max(whole-0.5, 0.5)
	switch {
	case math.IsInf(p.asked, 1):
		p.learned, p.ramping = rough, true
		p.firstCount, p.firstSpan = count, span
	case p.ramped:
		p.learned, p.ramping = max(p.fit(), rough), false
	default:
		p.learned = (count + 0.5 - p.burst) / max(span, 1e-3)
		if !p.before.IsZero() {
			p.learned = max(p.learned, (count+float64(p.carried))/p.refused.Sub(p.before).Seconds())
		}
		p.learned = min(max(p.learned, keep*p.asked), p.asked)
	}
}

// fit returns the rate, and finds the burst, with which the first cycle and the
// doubling went as they did. Of the doubling only its end counts, from when the
// bucket ceased to be full: from there the estimate is the highest.
func (p *pace) fit() (r float64) {
	p.burst = p.firstCount
	for range 8 {
		r = 0
		n := 0.0
		for i := len(p.log) - 1; i >= 0; i-- {
			if p.log[i].After(p.refused) {
				continue
			}
			n++
			if span := p.refused.Sub(p.log[i]).Seconds(); span > 0 && n > p.burst {
				r = max(r, (n+0.5-p.burst)/span)
			}
		}
		p.burst = min(max(p.firstCount-r*p.firstSpan, 1), p.firstCount)
	}
	return r
}

// trimmed is the share of the given rate in use.
func (p *pace) trimmed(now time.Time) float64 {
	return p.trim
}

// cut trims the given rate.
func (p *pace) cut(now time.Time) {
	p.trim = max(p.trim-p.step, trimFloor)
	p.step = min(2*p.step, 0.25)
}

// A quota is what the server tells about its own limits.
type quota struct {
	rate  float64 // until the window ends
	next  float64 // afterwards
	until time.Time
	room  int // requests that may be in flight; 0: not told
}

func (q *quota) rateAt(now time.Time) float64 {
	switch {
	case q.until.IsZero():
		return math.Inf(1)
	case now.Before(q.until):
		return q.rate
	}
	return q.next
}
