package adaptive

import (
	"math"
	"time"

	"github.com/penstock/penstock/internal/adaptive/evidence"
	"github.com/penstock/penstock/internal/adaptive/pace"
	"github.com/penstock/penstock/internal/adaptive/quota"
	"github.com/penstock/penstock/internal/seconds"
)

const (
	// mostInFlight bounds a limit that is found. The value is arbitrary: few servers are faster
	// with more, and each request in flight costs a connection and a buffer.
	mostInFlight = 256
	boundless    = math.MaxInt32
)

// A Controller finds the pace that a server can take, from how its requests end: how many may be in
// flight, from latency and overload, and how many a second, from throttling and quotas (see
// [pace.Pace]).
//
// The limit of requests in flight follows the queue in the server, which Little's law gives from
// the latency above that of an empty server, as TCP Vegas and Netflix's Gradient2 do.
//
// Use [New]. A Controller is not safe for concurrent use, and its instants must not go back.
type Controller struct {
	limits   Limits
	stated   int     // how many may be in flight by the server's word; if zero, it did not say
	ceiling  float64 // of limit, by the user's or the server's word
	limit    float64 // of requests in flight
	adapts   bool    // latency has a say: neither limit was given
	starting bool    // slow start: the limit doubles

	sequence int64   // the number of the latest request
	inFlight int     // sent, and not ended
	places   int     // in flight, or their answers are being read
	latency  float64 // of successes in seconds, smoothed; if zero, not known
	whole    trips   // both latencies of successes, stragglers included

	round    round
	baseline baseline
	spread   spread  // of log latencies within a round
	link     float64 // seconds for a byte on an idle link; if zero, not known
	drain    drain
	growth   growth
	// ramp is how many may be in flight after a probe was accepted: it grows from 1 to the limit.
	ramp float64

	hold    hold
	cause   cause // of refusals
	silence silence
	pace    pace.Pace
	flow    flow

	phase   Phase
	reason  string
	changed time.Time // when the phase did
}

// A Ticket is a request that was sent.
type Ticket struct {
	evidence.Request
	round    int64
	index    int  // in the round; below 0: it is not a member
	probe    bool // it was sent as a probe
	recalled bool // it waits to be sent once more
}

// New returns a controller that knows nothing yet.
func New(l Limits, now time.Time) *Controller {
	c := &Controller{limit: 1, starting: true, adapts: true, ramp: math.Inf(1), pace: pace.New()}
	c.growth.cap = math.Inf(1)
	c.SetLimits(l, now)
	return c
}

// SetLimits records new ceilings. What was learned is kept below them.
func (c *Controller) SetLimits(l Limits, now time.Time) {
	adapted, ceiling := c.adapts, c.ceiling
	if l.Rate != c.limits.Rate { // the server's may be another, too
		c.cause.mostPassed = 0
		c.cause.evidence.ForgetRate()
	}
	c.limits = l
	if c.cause.follows == followGuess && !c.onlyRate() {
		c.cause.follows = followUnknown
	}
	c.adapts = l.InFlight == 0 && l.Rate == 0 && !l.Fixed
	c.setCeiling()
	c.pace.SetLimit(l.Rate, l.Fixed)
	if l.Fixed {
		c.growth.cap, c.growth.safe, c.ramp = math.Inf(1), 0, math.Inf(1)
		c.cause = cause{bare429: c.cause.bare429}
	}
	// If the server refused more, that holds below any ceiling.
	refused := !math.IsInf(c.growth.cap, 1) && (adapted || c.limit < ceiling)
	switch {
	case !refused && !c.adapts:
		c.limit, c.starting, c.drain.limit = c.ceiling, false, 0
	case !refused && !adapted:
		c.limit, c.starting = max(1, float64(c.inFlight)), true
	default:
		c.limit = min(c.limit, c.ceiling)
	}
	c.beginRound(now)
	c.reason = "limits"
	c.setPhase(now)
}

// setCeiling works out the ceiling. A drain that is under way does not return to more.
func (c *Controller) setCeiling() {
	switch {
	case c.limits.InFlight > 0:
		c.ceiling = min(float64(c.limits.InFlight), boundless)
	case c.limits.Fixed:
		c.ceiling = boundless
	case c.stated > 0:
		c.ceiling = min(mostInFlight, float64(c.stated))
	default:
		c.ceiling = mostInFlight
	}
	c.drain.limit = min(c.drain.limit, c.ceiling)
}

// Orders returns what is to be done.
func (c *Controller) Orders(now time.Time) Orders {
	o := Orders{
		Room: c.room(now), Rate: min(c.pace.Rate(now), c.trialRate()),
		Held: c.hold.on(), Probe: c.hold.next, Most: int(c.ceiling),
	}
	_, o.Until = c.roomInSilence(now)
	if c.hold.state == asked && c.hold.probe == 0 && !o.Probe.IsZero() {
		// the pause keeps the time, also where the machine sleeps meanwhile
		o.Probe = time.Unix(1, 0)
	}
	// What a quota orders changes when its window ends.
	if end := c.pace.Quota.Ends(); !c.limits.Fixed && now.Before(end) &&
		(o.Until.IsZero() || end.Before(o.Until)) {
		o.Until = end
	}
	return o
}

// room is how many may be in flight.
func (c *Controller) room(now time.Time) int {
	limit := min(c.limit, c.ramp)
	if c.cause.onTrial() { // a fraction of a request more is a higher rate
		limit = math.Ceil(limit)
	}
	n := max(int(limit), 1)
	if n == boundless {
		n = math.MaxInt
	}
	if c.limits.Fixed {
		return n
	}
	if few, _ := c.roomInSilence(now); few >= 0 {
		n = min(n, max(few, 1))
	}
	if left := c.pace.Quota.Left(c.sequence, now); left < n-c.places {
		return c.places + left
	}
	return n
}

// State returns what was found.
func (c *Controller) State(now time.Time) State {
	s := State{
		Phase: c.phase, Reason: c.reason, Changed: c.changed,
		Learned: c.adapts && !c.starting || c.limit < c.ceiling || c.pace.Learned(),
		Rate:    min(c.pace.Mean(now), c.trialRate()), Probe: c.hold.next,
		Latency: seconds.Duration(c.latency), BytesPerSecond: c.flow.BytesPerSecond(),
	}
	if c.hold.probe != 0 {
		s.Probe = time.Time{}
	}
	return s
}

// Places returns how many are in flight, or their answers are being read.
func (c *Controller) Places() int { return c.places }

// Refused reports whether the server refuses, as far as is known.
func (c *Controller) Refused() bool { return c.hold.on() }

// Sent records that a request leaves.
func (c *Controller) Sent(now time.Time) Ticket {
	c.sequence++
	c.inFlight++
	c.places++
	c.pace.Send(now)
	t := Ticket{
		Request: evidence.Request{At: now, Number: c.sequence, InFlight: c.places},
		round:   c.round.number, index: -1,
	}
	c.cause.sent(&t)
	c.sentInSilence(now)
	if c.hold.on() {
		c.probe(&t, now)
		return t
	}
	if c.adapts && !c.starting && c.drain.limit == 0 && !c.drain.next.IsZero() &&
		!now.Before(c.drain.next) {
		c.beginDrain(now)
		t.round = c.round.number
	}
	if few, _ := c.roomInSilence(now); few < 0 && c.places >= c.room(now) {
		c.round.reached = true
	}
	if c.adapts || c.limit < c.ceiling {
		c.round.join(&t)
	}
	return t
}

// Recall records that a request waits to be sent again; refused says that the server turned it
// away. If it was the probe, the next request may be the probe.
func (c *Controller) Recall(t *Ticket, refused bool, now time.Time) {
	c.flow.End(t.Number, now)
	c.pace.End(t.At, false)
	t.recalled = true
	if t.probe {
		t.probe = false
		c.hold.probes--
	}
	if refused {
		c.refuse(*t, Sample{Signal: SignalOverloaded}, now)
		c.setPhase(now)
	} else {
		c.hold.giveUp(*t, now)
	}
}

// Resent records that a recalled request leaves.
func (c *Controller) Resent(t *Ticket, now time.Time) {
	t.At, t.recalled = now, false
	c.places++
	c.pace.Send(now)
	if c.hold.on() {
		c.probe(t, now)
	}
}

// Landed records that a request gave its place back: its answer was read, or it was recalled.
func (c *Controller) Landed() { c.places-- }

// Resume records that a pause was lifted.
func (c *Controller) Resume(now time.Time) {
	c.hold.resume(now)
	c.pace.Resume(now)
}

// Expect records that another client of the server has found how many requests a second it allows.
func (c *Controller) Expect(rate float64, now time.Time) { c.pace.Expect(rate, now) }

// Done records how a request ended, and returns the pause that follows from it. The request keeps
// its place until [Controller.Landed].
func (c *Controller) Done(t Ticket, s Sample, now time.Time) (p Pause) {
	if s.Signal == 0 {
		s.Signal = SignalIgnored
	}
	if s.Signal == SignalSuccess && s.Latency <= 0 {
		s.Latency = now.Sub(t.At)
	}
	c.inFlight--
	if t.probe {
		c.hold.probes--
	}
	c.flow.End(t.Number, now)
	mean := c.pace.Mean(now)
	if !c.limits.Fixed {
		c.takeStated(t, s, now)
	}
	restated := c.pace.Mean(now) != mean
	if s.Own && !c.hold.on() { // while nothing is accepted it is a refusal like any other
		p.Until, p.Source, s.Signal = s.RetryAt, s.Source, SignalIgnored
	}
	if s.Signal != SignalIgnored {
		c.silence.hear(c.inFlight, now)
	}
	if !t.recalled {
		c.pace.End(t.At, s.Signal == SignalSuccess)
	}
	s.Signal = c.meaning(t, s, now)
	switch s.Signal {
	case SignalSuccess:
		c.pace.Accept(t.At)
		c.success(t, s, now)
	case SignalAnswered:
		c.alive(t, now)
	case SignalThrottled:
		p = c.throttled(t, s, now)
	case SignalOverloaded:
		p.Until, p.Source = s.RetryAt, s.Source
		c.refuse(t, s, now)
	case SignalTimedOut, SignalFailed:
		c.refuse(t, s, now)
	}
	if !c.limits.Fixed {
		if used := c.pace.Quota.UsedUp(c.inFlight, c.sequence, now); used.After(p.Until) {
			p = Pause{Until: used, Source: "quota"}
			c.reason = "quota"
		}
	}
	c.hold.giveUp(t, now)
	if c.inFlight == 0 {
		c.hold.nobodyTells(now)
	}
	c.back(t, s, now)
	switch s.Signal {
	case SignalSuccess, SignalAnswered, SignalIgnored: // the reason of a refusal says more
		if restated {
			c.reason = "quota"
		}
	}
	c.setPhase(now)
	return p
}

// success records an accepted request.
func (c *Controller) success(t Ticket, s Sample, now time.Time) {
	if whole := s.Latency.Seconds(); whole > 0 {
		if c.latency == 0 {
			c.latency = whole
		}
		c.latency += (whole - c.latency) / 8
		_, log := s.server()
		c.whole.add(whole, log)
	}
	c.growth.accepted++
	c.alive(t, now)
	if c.ramp++; c.ramp >= c.limit {
		c.ramp = math.Inf(1)
	}
}

// throttled records a request that was refused for its rate.
func (c *Controller) throttled(t Ticket, s Sample, now time.Time) (p Pause) {
	c.cause.bare429 = unexplained
	c.alive(t, now)
	r := pace.Refusal{Sent: t.At, Until: s.RetryAt}
	r.Gap, r.FourGap = c.cause.evidence.Gaps(t.Request)
	if c.cause.byRate() {
		r.Allowed = c.cause.evidence.Rate(now, time.Second/2)
	}
	p.Until, p.Source = c.pace.Refuse(r, now), s.Source
	if p.Own = p.Until.After(s.RetryAt); p.Own {
		p.Source = ""
	}
	if c.pace.Closed() { // one at a time finds out when it opens
		c.hold.ask(p.Until, c.sequence)
	}
	c.reason = Signals[s.Signal]
	if c.pace.Trimmed() {
		c.reason = "trim"
	}
	return p
}

// takeStated records what an answer stated about limits: that need not be searched for.
func (c *Controller) takeStated(t Ticket, s Sample, now time.Time) {
	if s.InFlight > 0 && s.InFlight != c.stated {
		c.stated = s.InFlight
		c.setCeiling()
		c.limit = min(c.limit, c.ceiling)
		c.beginRound(now)
	}
	q := &c.pace.Quota
	if s.Signal == SignalThrottled || s.Signal == SignalOverloaded {
		q.Refused(t.Number)
	}
	q.Take(s.Quotas, quota.Answer{Number: t.Number, Sent: t.At, Came: now}, c.sequence, c.inFlight)
	if rate := q.RateAt(now); c.starting && !math.IsInf(rate, 1) && c.latency > 0 {
		if want := math.Ceil(2*rate*c.latency) + 1; want > c.limit {
			c.limit = min(want, c.ceiling)
			c.beginRound(now)
		}
	}
}

// setPhase notes the phase that follows from the state.
func (c *Controller) setPhase(now time.Time) {
	phase := PhaseSteady
	switch {
	case c.hold.on() && c.hold.failed > 0:
		phase = PhaseDown
	case c.hold.on():
		phase = PhaseHoldingBack
	case c.limits.Fixed:
		phase = PhaseFixed
	case c.starting:
		phase = PhaseStarting
	}
	if phase != c.phase {
		c.phase, c.changed = phase, now
	}
}
