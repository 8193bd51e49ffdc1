package adaptive

import (
	"math"
	"time"
)

const (
	minHold   = 11 * time.Second // a rate that was learned is held at least so long …
	holdCount = 36               // … and for so many requests, if as many have taught it …
	// … and for so many times the pause: looking for more costs a twelfth of the time at most …
	pauseHold = 11.
	// … but for no more seconds than this for that reason: long pauses are those of windows, mostly
	mostPauseHold = 40.
	// where the doubling begins at least: a pause of an hour tells no rate
	leastRamp   = 0.1
	minDoubling = 0.5  // seconds
	maxDoubling = 10.0 // seconds
	growthScale = 4.0  // seconds, of the cubic that then looks for more
	slowRate    = 0.5  // a lower one grows as this does, but in longer seconds
	keep        = 0.75 // one refusal lowers the rate to no less than this share …
	yield       = 0.95 // … and no more than this
	// a bucket that holds so little, or less, refuses what is hardly too fast …
	hardlyBurst = 2
	yieldStrict = 0.95 // … so of a rate that doubled this share is kept …
	// … or this, also of one that was held, where each refusal asks for a pause …
	yieldDear   = 0.88
	leastStrict = 0.02 // … and of one that was held all but this
	lean        = 0.1  // of what it had grown is kept, too, where refusals are dear …
	// … or more, where the bucket has hardly a burst: it refused at its rate
	leanStrict = 0.3
	// a longer pause that is not always the same is one of a window
	shortWait = 2 * time.Second
	// after a refusal that names no wait, at most; doubled while nothing is accepted
	defaultWait = time.Second
	// requests a second: more of them are worth a shorter pause than defaultWait
	cheapPause  = 15.
	leastWait   = 5 * time.Millisecond
	longestWait = time.Minute
	// without a request: a bucket is full again, as far as is known
	lull = 10 * time.Second

	logged = 1024 // requests

	sameWait = 250 * time.Millisecond // pauses that differ by less are the same
	several  = 4                      // requests: fewer do not show a burst
	// two refusals, or four of a bucket with hardly a burst, are no accident; see isFar
	mostScant = 4

	enoughKnown = 300 // requests that were accepted at a rate teach it
	// one refusal in so many is isolated: it does not undo what many have taught …
	fewRefused  = 20
	mostExcused = 3 // … and so many of them may come together

	// Where a refusal costs so many requests, and the rate is refused whenever it has grown a
	// little, it is held for longer.
	dearPause    = 20
	mostPatience = 4
)

// A pace is the part of a [Controller] that finds the rate. There is none until the first throttled
// request. Then all requests pause, and the rate doubles from what was accepted until it is refused
// again, which shows it: a token bucket of rate R and burst B lets B + R·t requests pass in the t
// seconds after it was full, and R·t between two refusals. From then on the rate is held, and after
// a while raised by a cubic, as CUBIC (RFC 9438) raises a window.
//
// Where the user gave the rate, only its trim is found, unless that is of no use.
type pace struct {
	given float64 // the user's rate; +Inf: none
	fixed bool
	trim  trim // of that
	scant int  // refusals in a row that cost more than was accepted before them; see isFar
	far   bool // the given rate is far above what the server takes: it is learned all the same

	learned float64       // at the instant from; +Inf: nothing
	from    time.Time     // a cool-down ended
	ramping bool          // it doubles
	idle    time.Duration // since from, in which less than the rate was asked for
	last    time.Time     // when the last request was sent

	// A cycle lasts from the end of one pause to the end of the next.
	since   time.Time
	count   int // accepted in it
	pending int // sent in it, and not ended
	// when the first request of this cycle that was refused was sent; if zero, none was
	refused   time.Time
	before    time.Time // the same of the cycle before; if zero, there is none
	asked     float64   // the rate in force then
	ramped    bool      // it was doubling
	barren    int       // cycles before this one in which nothing was accepted
	kept      float64   // what was learned before these
	floor     float64   // what is kept of it at least
	least     float64   // what is known to be allowed; if zero, nothing
	yield     float64   // and at most
	taught    float64   // requests accepted in the cycles that the rate was learned in
	proven    bool      // a rate was held
	suspected bool      // it is not known yet whether it was for the rate
	filled    bool      // the first cycle is over, as far as it was with a full bucket
	until     time.Time // the pause that it brought
	log       []time.Time

	// Of the first cycle, which starts with a full bucket.
	burst, firstCount, firstSpan float64

	// What many requests have taught; see excuse.
	known float64 // accepted a second for enoughKnown requests; if zero, not known
	// refusals that may be excused: one for each fewRefused requests that were accepted
	excuses  float64
	excused  bool    // the refusal of the cycle before was
	step     float64 // what is taken off then
	patience float64 // by which the hold is longer

	wait   time.Duration // the latest pause
	hinted bool          // it was asked for
	// and it was as long as the one before: no window's end is what it waits for
	steady  bool
	longest time.Duration // of the latest pauses
	ever    bool          // something was accepted
	quota   quota
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
		p.trim, p.scant, p.far = trim{}, 0, p.far && p.learned < p.given
	}
}

// rate is what may be sent a second.
func (p *pace) rate(now time.Time) float64 {
	if p.fixed {
		return p.given
	}
	return min(p.given*(1-p.trim.at(now)), p.found(now), p.quota.rateAt(now))
}

// mean is the rate over some time, for people: a quota makes it change with each
// answer.
func (p *pace) mean(now time.Time) float64 {
	if p.fixed {
		return p.given
	}
	return min(p.given*(1-p.trim.at(now)), p.found(now), p.quota.mean())
}

// found is the rate that was learned, and what was made of it since.
func (p *pace) found(now time.Time) float64 {
	if math.IsInf(p.learned, 1) || now.Before(p.from) || p.last.Before(p.from) {
		return p.learned
	}
	t := (now.Sub(p.from) - p.idle).Seconds()
	if gap := now.Sub(p.last) - seconds(2/p.learned); gap > 0 {
		t -= gap.Seconds() // idle up to now
	}
	if p.ramping {
		// To be slower than the pause that a refusal would cost saves nothing.
		return ramp(p.learned, t, min(max(p.wait, shortWait).Seconds(), maxDoubling))
	}
	if t -= p.hold(); t < 0 {
		return p.learned
	}
	// Below slowRate time is stretched. Otherwise the rate would be many times higher when the next
	// request leaves than when it was ordered to wait, and the time that it waited would count as
	// idle.
	stretch := max(slowRate/p.learned, 1)
	t /= growthScale * stretch
	return p.learned + math.Sqrt(p.learned*stretch)/stretch*t*t*t
}

// ramp returns a rate that doubles for t seconds: with every fourth request, but within most
// seconds each time.
func ramp(r, t, most float64) float64 {
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

// hold returns for how many seconds the rate is held: longer where it was measured with care, and
// where the quota is one of long windows. What only a few requests have taught may be luck, so no
// more requests than these count.
func (p *pace) hold() float64 {
	hold := max(minHold.Seconds(), min(holdCount, p.taught)/p.learned)
	if !p.proven {
		hold *= 2
	}
	pause := p.longest.Seconds()
	return max(hold*max(p.patience, 1), min(pauseHold*pause, mostPauseHold), min(4*pause, 300))
}

// sent records that a request leaves.
func (p *pace) sent(now time.Time) {
	switch {
	case p.since.IsZero(), p.refused.IsZero() && math.IsInf(p.learned, 1) && now.Sub(p.last) > lull:
		p.since, p.count, p.pending = now, 0, 0
	case !p.refused.IsZero() && !p.suspected && !now.Before(p.until):
		if p.barren++; p.count > 0 {
			p.barren, p.kept = 0, p.learned
		}
		if p.ramped { // it was learned anew
			p.taught = 0
		}
		p.taught += float64(p.count)
		p.before, p.refused = p.refused, time.Time{}
		p.since, p.from, p.idle = now, now, 0
		p.count, p.pending, p.log = 0, 0, p.log[:0]
	default:
		// Where something else holds requests up, the rate is not what is tried.
		if gap, due := now.Sub(p.last), seconds(1/p.found(now)); gap > 2*due &&
			!now.Before(p.from) {
			p.idle += gap - due
		}
	}
	p.last = now
	p.pending++
	if len(p.log) == logged {
		p.log = append(p.log[:0], p.log[logged/2:]...)
	}
	p.log = append(p.log, now)
}

// ended records that a request has ended, however it did.
func (p *pace) ended(t Ticket, accepted bool) {
	if t.at.Before(p.since) {
		if accepted {
			p.barren = 0
		}
		return
	}
	p.pending--
	if accepted {
		return
	}
	for i := len(p.log) - 1; i >= 0 && !p.log[i].Before(t.at); i-- {
		if p.log[i].Equal(t.at) {
			p.log = append(p.log[:i], p.log[i+1:]...)
			return
		}
	}
}

// accepted records an accepted request.
func (p *pace) accepted(t Ticket) {
	if t.at.Before(p.since) {
		return
	}
	p.count++
	p.ever = true
	p.excuses = min(p.excuses+1./fewRefused, mostExcused)
	if !p.refused.IsZero() && !p.suspected {
		p.estimate()
	}
}

// throttled records a request that was refused for its rate, and returns until
// when all pause.
func (p *pace) throttled(t Ticket, until time.Time, gaps spacing, now time.Time) time.Time {
	p.hinted = until.After(now)
	if !p.hinted {
		switch {
		case p.wait == 0 && !p.ever, p.count > 0 && p.refused.IsZero() && p.learnedRate() &&
			p.learned < cheapPause:
			p.wait = defaultWait
		case p.count > 0 && p.refused.IsZero():
			// A bucket fills while one waits: twice the time that was not enough, and not much less
			// than what it took the last time.
			p.wait = max(min(seconds(2*max(gaps[0], 0)), defaultWait), min(p.wait, longestWait)/4,
				leastWait)
		case p.refused.IsZero():
			p.wait = min(2*p.wait, longestWait)
		}
		until = now.Add(p.wait)
	}
	if p.closed() && p.refused.IsZero() { // what it asks for is not enough
		if own := now.Add(min(time.Second<<min(p.barren, 10), maxProbe)); own.After(until) {
			until = own
		}
	}
	switch {
	case t.at.Before(p.since): // of the cycle before
	case p.refused.IsZero() || p.suspected:
		p.suspect(t)
		p.asked, p.ramped, p.suspected = p.found(now), p.ramping, false
		if sent := 4 / max(gaps[2], 0.001); p.asked > 2*sent && !math.IsInf(p.asked, 1) &&
			gaps[2] < t.at.Sub(p.from).Seconds() {
			p.asked = max(sent, p.learned) // what was asked for was not sent
		}
		if told := p.quota.mean(); told < p.asked { // and somebody else uses it, too
			p.asked, p.ramped, p.proven = told, false, true
		}
		switch p.floor = keep * p.asked; {
		case p.asked <= p.learned:
		// another refusal would be dear, and the burst tells the rate
		case p.burst > hardlyBurst && until.Sub(now) > defaultWait:
			p.floor = p.learned
		default:
			p.floor = max(p.floor, p.learned)
			if p.burst < 0.75*p.learned { // it does not make up for the pause of a second
				share := lean
				if p.burst > 0 && p.burst <= hardlyBurst && p.learned >= 10 {
					share = leanStrict
				}
				p.floor = max(p.floor, p.learned+share*(p.asked-p.learned))
			}
		}
		p.floor = max(p.floor, yield*min(p.asked, p.least))
		wait := until.Sub(now)
		p.steady = p.hinted && (wait-p.wait).Abs() < sameWait
		p.until, p.from, p.idle, p.wait = until, until, 0, wait
		p.excuse()
		// Refused again at once: further down.
		if p.yield *= p.yield; p.refused.Sub(p.since) > 2*time.Second || p.yield == 0 {
			p.yield = yield
		}
		p.longest = max(p.wait, p.longest*3/4)
		if !math.IsInf(p.given, 1) && !p.far && !p.fixed {
			useless := p.trim.refused(now, p.count, p.given, p.wait)
			if p.far = useless || p.isFar(); p.far {
				p.trim, p.asked = trim{}, math.Inf(1)
			}
		}
		p.estimate()
	default: // one more that was in flight, and does not count as accepted
		if until.After(p.until) {
			p.until, p.from, p.idle = until, until, 0
		}
		p.estimate()
	}
	return until
}

// isFar records a refusal of the given rate and reports whether that is far above what the server
// accepts: again and again less is accepted before a refusal than the pause would have let pass.
// One refusal may be an accident, and a bucket without a burst refuses what is hardly too fast, so
// such refusals count less. A full bucket that held several requests is emptied so soon only by a
// rate that is far too high, so one refusal is enough then.
func (p *pace) isFar() bool {
	switch accepted, missed := float64(p.count+p.pending), p.given*p.wait.Seconds(); {
	// it is not about the rate, or trimming is cheap
	case p.count == 0 || !p.hinted || p.wait <= defaultWait:
		return false
	case accepted >= missed:
		p.scant = 0
	case accepted < several:
		p.scant++
	case p.before.IsZero() && accepted < missed/4:
		p.scant += mostScant
	default:
		p.scant += 2
	}
	return p.scant >= mostScant
}

// excuse lets the rate be nearly what it was, where many requests have taught it and the refusal is
// isolated. Where another refusal follows soon it was not; one that follows at once may be of the
// same incident.
func (p *pace) excuse() {
	switch n := p.logged(); {
	case n < enoughKnown:
	case p.ramping, math.IsInf(p.learned, 1):
		p.known = enoughKnown / max(p.refused.Sub(p.log[n-enoughKnown]).Seconds(), 0.001)
	default:
		p.known = p.learned
	}
	const little = 1.005
	grown := !p.ramping && p.asked > little*p.learned
	p.step = nextStep(p.step, p.count)
	p.patience = p.bePatient(grown)

	before := p.excused
	p.excused = false
	switch {
	case p.excuses < 1, before && p.count > fewRefused/4 && p.count < fewRefused:
		if p.known = 0; before {
			p.floor *= keep // what the one before would have taken
		}
	// nothing is known of it, or it was looking for more
	case p.known == 0, math.IsInf(p.learned, 1), grown:
	default:
		p.excuses--
		p.excused = true
		p.floor = max(p.floor, (1-p.step)*min(p.asked, p.known))
	}
	switch { // it is as much too fast as what it refused came too soon: not by much
	case grown || p.burst <= 0 || p.burst > hardlyBurst:
	case p.strict():
		p.floor = max(p.floor, (1-max(p.step, leastStrict))*p.asked)
	default:
		p.floor = max(p.floor, yieldDear*p.asked)
	}
}

// bePatient returns by what factor the rate is held for longer from now on.
func (p *pace) bePatient(grown bool) float64 {
	pause := p.learned * p.wait.Seconds() // in requests, of which a burst makes up for some
	if !grown || math.IsInf(p.learned, 1) || p.asked > 1.2*p.learned || pause < dearPause ||
		p.burst > pause/2 {
		return 1
	}
	return min(2*max(p.patience, 1), mostPatience)
}

// nextStep returns which share to take off a rate that was refused after so many requests were
// accepted.
func nextStep(step float64, accepted int) float64 {
	switch {
	case step > 0 && accepted < fewRefused:
		return 2 * step
	case step > 0 && accepted < 5*fewRefused:
		return 1.5 * step
	}
	return trimStep
}

// resume records that a pause was lifted.
func (p *pace) resume(now time.Time) {
	if p.until.After(now) {
		p.until, p.from, p.idle = now, now, 0
		if !p.suspected {
			p.estimate() // it was not paused for so long
		}
	}
}

// learnedRate reports whether a rate was learned and is held.
func (p *pace) learnedRate() bool { return !math.IsInf(p.learned, 1) && !p.ramping }

// strict reports whether the bucket has no burst to speak of: what it refused came too soon after
// the one before, so its rate is close to the one in force.
func (p *pace) strict() bool { return !p.hinted && p.burst > 0 && p.burst <= hardlyBurst }

// closed reports whether nothing is accepted any more, however slowly it is sent.
func (p *pace) closed() bool {
	wait := min(p.wait, defaultWait)
	// it does not grow where the server names it, so cycles in vain count as much as a doubled one
	if p.hinted {
		wait <<= min(p.barren, 10)
	}
	return p.barren > 0 && p.count == 0 && wait >= defaultWait
}

// suspect records a request that may have been refused for its rate.
func (p *pace) suspect(t Ticket) {
	if p.refused.IsZero() {
		p.refused, p.suspected = t.at, true
	}
}

// acquit records that it was not.
func (p *pace) acquit() {
	if !p.suspected {
		return
	}
	if p.count > 0 { // else it is as full as it was
		p.fill()
		p.filled = true
	}
	p.refused, p.suspected = time.Time{}, false
}

// drop forgets the rate: it is not what the refusals follow.
func (p *pace) drop() {
	p.learned, p.ramping, p.refused, p.suspected = math.Inf(1), false, time.Time{}, false
	p.known, p.until = 0, time.Time{}
	p.trim, p.scant, p.far = trim{}, 0, false
}

// estimate works out the rate from what the cycle has told so far.
func (p *pace) estimate() {
	if p.fixed || !math.IsInf(p.given, 1) && !p.far {
		return
	}
	if p.closed() { // how fast is not the question
		if p.kept > 0 {
			p.learned, p.ramping = p.kept, false
		}
		return
	}
	count := float64(p.count + p.pending) // refusals are quick: what has not ended will be accepted
	whole := p.until.Sub(p.since).Seconds()
	// half a second is the mean of what rounding adds to a wait of whole seconds
	if p.hinted || p.wait >= defaultWait {
		whole = max(whole-0.5, 0.5)
	}
	switch {
	case math.IsInf(p.asked, 1):
		count = max(count, 1)
	case count == 0: // it came too soon
		p.learned, p.ramping = keep*p.asked, p.ramped
		return
	}
	rough := count / max(whole, leastWait.Seconds())
	if math.IsInf(p.asked, 1) && p.least > 0 { // without what was in the bucket
		rough = min(rough, p.least)
	}
	switch {
	case math.IsInf(p.asked, 1):
		p.learned, p.ramping = max(rough, p.known, leastRamp), true
		p.fill()
	case p.ramped && (p.wait <= shortWait || p.steady && count >= several):
		p.burst = p.firstCount
		for range 8 {
			p.learned = p.fit()
			p.burst = min(max(p.firstCount-p.learned*p.firstSpan, 1), p.firstCount)
		}
		p.learned, p.ramping = max(p.learned, rough, yield*min(p.asked, p.least)), false
		switch {
		case p.strict():
			p.learned = max(p.learned, yieldStrict*p.asked)
		case p.burst <= hardlyBurst: // dearer, where the pause was asked for
			p.learned = max(p.learned, yieldDear*p.asked)
		}
		if p.excused {
			p.learned = max(p.learned, p.floor)
		}
	case p.ramped:
		p.burst, p.learned, p.ramping = p.firstCount, rough, false
	default:
		p.learned = max(rough, count/p.refused.Sub(p.before).Seconds())
		span := p.refused.Sub(p.since).Seconds()
		p.proven = p.proven || span >= minHold.Seconds()
		// it is not known, or had grown so far that only the end tells
		if !p.proven || keep*p.asked > p.floor {
			p.learned = max(p.learned, p.fit())
		}
		p.learned = max(min(p.learned, p.yield*p.asked), p.floor)
	}
}

// fill notes how the bucket, which was full, was emptied for the first time.
func (p *pace) fill() {
	if !p.filled {
		later := len(p.log) - p.logged()
		// Half a token is the mean of what was left when it refused.
		p.firstCount, p.firstSpan = float64(p.count+p.pending-later)+0.5,
			max(p.refused.Sub(p.begun()).Seconds(), 0)
	}
}

// begun returns when the first request of this cycle was sent that was accepted, or may be: in an
// outage the bucket stays full.
func (p *pace) begun() time.Time {
	if n := len(p.log); n > 0 && n >= p.count+p.pending {
		return p.log[0]
	}
	return p.since
}

// emptied returns how many requests emptied the bucket, where the cycle did not begin with a full
// one.
func (p *pace) emptied(count int) {
	p.filled, p.firstCount, p.firstSpan = true, float64(max(count, 1)), 0
}

// logged returns how many of the requests in the log were not sent after the one that was refused.
func (p *pace) logged() int {
	n := len(p.log)
	for n > 0 && p.log[n-1].After(p.refused) {
		n--
	}
	return n
}

// fit returns the rate at which the bucket was filled while it was emptied. Of a
// rate that grew only the end counts, from when the bucket ceased to be full:
// from there the estimate is the highest.
func (p *pace) fit() (r float64) {
	// the bucket held between no and one token when it refused; too high a rate costs a pause …
	n := 0.25
	if p.ramped && p.burst > hardlyBurst {
		n = 0.5 // … but later, where a burst has to be used up first
	}
	for i := p.logged() - 1; i >= 0; i-- {
		n++
		if span := p.refused.Sub(p.log[i]).Seconds(); span > 0 && n > p.burst {
			r = max(r, (n-p.burst)/span)
		}
	}
	return r
}
