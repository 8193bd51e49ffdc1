package pace

import "math"

// rounding is the mean of what rounding adds to a wait of whole seconds. The value is load-bearing:
// with 1 nearly three requests in a hundred are refused.
const rounding = 0.5

// estimate works out the rate from what the cycle has told so far.
func (p *Pace) estimate() {
	if p.fixed || !math.IsInf(p.given, 1) && !p.givenTooHigh {
		return
	}
	if p.Closed() { // how fast is not the question
		if p.fruitfulRate > 0 {
			p.learned, p.doubling = p.fruitfulRate, false
		}
		return
	}
	c, length := &p.cycle, p.pause.length
	unknown := math.IsInf(c.rate, 1)
	count := float64(c.accepted + c.open) // refusals are quick: what is open will be accepted
	whole := p.pause.end.Sub(c.began).Seconds()
	if p.pause.asked || length >= defaultPause {
		whole = max(whole-rounding, 0.5)
	}
	switch {
	case unknown:
		count = max(count, 1)
	case count == 0: // it came too soon
		p.learned, p.doubling = leastKept*c.rate, c.wasDoubling
		return
	}
	rough := count / max(whole, leastPause.Seconds())
	if unknown && p.seenAllowed > 0 { // without what was in the bucket
		rough = min(rough, p.seenAllowed)
	}
	switch {
	case unknown:
		p.learned, p.doubling = max(rough, p.lenience.rate, doublingFrom), true
		p.countFirst()
	case c.wasDoubling && (length <= shortPause || p.pause.repeats && count >= fewRequests):
		p.solve(rough)
		// To look once more costs hardly anything where no wait is asked for.
		p.doubling = p.taughtBy+count < enoughTaught && !p.pause.asked && length < defaultPause &&
			!p.hardlyBursts()
	case c.wasDoubling:
		p.burst, p.learned, p.doubling = p.firstCount, rough, false
	default:
		p.learned = max(rough, count/c.refused.Sub(c.refusedBefore).Seconds())
		p.held = p.held || c.refused.Sub(c.began) >= minHold
		// It is not known, or had grown so far that only the end tells.
		if !p.held || leastKept*c.rate > c.floor {
			p.learned = max(p.learned, p.inflow())
		}
		p.learned = max(min(p.learned, c.mostKept*c.rate), c.floor)
	}
}

// solve works out rate and burst from two cycles: in the first one a full bucket was emptied, in
// this one the rate doubled until it was refused.
func (p *Pace) solve(rough float64) {
	c := &p.cycle
	p.burst = p.firstCount
	for range 8 { // each depends on the other; that converges
		p.learned = p.inflow()
		p.burst = min(max(p.firstCount-p.learned*p.firstSpan, 1), p.firstCount)
	}
	p.learned = max(p.learned, rough, mostKept*min(c.rate, p.seenAllowed))
	switch {
	case p.hardlyBursts():
		p.learned = max(p.learned, keptWithoutBurst*c.rate)
	case p.burst <= hardlyBurst: // dearer, where the pause was asked for
		p.learned = max(p.learned, keptWithoutBurstDear*c.rate)
	}
	if p.lenience.excused {
		p.learned = max(p.learned, c.floor)
	}
}

// inflow returns the rate at which the bucket was filled while it was emptied. Of a rate that grew
// only the end counts, from when the bucket ceased to be full: from there the estimate is the
// highest.
func (p *Pace) inflow() (r float64) {
	c := &p.cycle
	// The bucket held between no and one token when it refused; too high a rate costs a pause …
	n := 0.25
	if c.wasDoubling && p.burst > hardlyBurst {
		n = 0.5 // … but later, where a burst has to be used up first
	}
	for i := p.sentBefore() - 1; i >= 0; i-- {
		n++
		if span := c.refused.Sub(c.sent[i]).Seconds(); span > 0 && n > p.burst {
			r = max(r, (n-p.burst)/span)
		}
	}
	return r
}

// sentBefore returns how many of the remembered requests were not sent after the refused one.
func (p *Pace) sentBefore() int {
	n := len(p.cycle.sent)
	for n > 0 && p.cycle.sent[n-1].After(p.cycle.refused) {
		n--
	}
	return n
}

// countFirst notes how the bucket, which was full, was emptied for the first time.
func (p *Pace) countFirst() {
	if p.firstCounted {
		return
	}
	c := &p.cycle
	all, later := c.accepted+c.open, len(c.sent)-p.sentBefore()
	// In an outage the bucket stays full: the first that was accepted, or may be, counts.
	began := c.began
	if n := len(c.sent); n > 0 && n >= all {
		began = c.sent[0]
	}
	// Half a token is the mean of what was left when it refused.
	p.firstCount = float64(all-later) + 0.5
	p.firstSpan = max(c.refused.Sub(began).Seconds(), 0)
}

// Emptied records how many requests emptied the bucket, where the cycle did not begin with a full
// one. If a rate was learned already, that says nothing new.
func (p *Pace) Emptied(count int) {
	if !math.IsInf(p.learned, 1) {
		return
	}
	p.firstCounted, p.firstCount, p.firstSpan = true, float64(max(count, 1)), 0
}
