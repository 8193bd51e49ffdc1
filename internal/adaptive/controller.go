package adaptive

import (
	"math"
	"time"
)

const (
	mostInFlight = 256
	blindly      = 16 // as long as the server answers, but nothing shows how it does
	boundless    = math.MaxInt32

	// queueFactor times the root of the limit is how many requests we want to
	// have queueing in the server: enough that it never runs dry.
	queueFactor = 0.8

	// Clients that share a server drain it together, on the wall clock, so that
	// each sees how fast it is without any of them.
	drainEvery = 20 * time.Second
	drainDepth = 0.65
	drainTrips = 16 // at least so many round trips from one drain to the next

	// After a refusal the limit does not grow for so long, twice as long each time
	// that it grew and was refused again.
	minCap = 4 * time.Second
	maxCap = 32 * time.Second

	isolated = 10 // a refusal after so many times the limit were accepted is about one request
)

// A Controller finds the pace that a server can take, from how its requests end:
// how many may be in flight, from latency and overload, and how many a second,
// from throttling and quotas (see pace). It is a state machine without a clock, a
// lock or a goroutine.
//
// The limit of requests in flight follows the queue in the server, which Little's
// law gives from the latency above that of an empty server, as TCP Vegas and
// Netflix's Gradient2 do. Latencies are compared by the mean of their logarithms:
// unlike a mean it is at home with heavy tails, and unlike a minimum it neither
// depends on how many samples there are nor drifts.
type Controller struct {
	limits Limits
	pace   pace
	flow   flow

	limit    float64 // of requests in flight
	most     float64 // its ceiling
	allowed  int     // in flight, as the server stated; if zero, it did not
	finding  bool    // latency has a say: neither limit was given
	starting bool    // doubling
	inFlight int     // sent, and not yet heard of
	places   int     // taken: in flight, or their answers are being read

	round    round
	base     float64 // mean log latency of an empty server
	baseN    float64 // samples in it
	spread   spread  // of log latencies within a round
	trips    trips
	link     float64 // seconds for a byte on an idle link; if zero, not known
	latency  float64 // whole latency, seconds, smoothed; if zero, not known
	queued   bool    // a queue was seen since the last drain
	drain    time.Time
	restore  float64   // the limit to go back to after a drain; if zero, none is under way
	cut      int64     // the last request sent before the limit was cut
	unharmed float64   // the largest limit at which nothing was refused
	cap      float64   // the limit does not grow above this
	capped   time.Time // until then
	calm     time.Duration
	growth   float64 // then it grows by this
	ramp     float64 // after a probe was accepted the room grows from 1 to the limit

	// After a refusal.
	accepted float64 // since the last one
	held     bool
	refusal  int64     // the last request sent before it; if zero, one sent later was accepted
	refused  int       // requests that were refused although sent after a refusal had come
	probe    time.Time // when the next may go; if zero, not before something ends
	asked    bool      // the server named that instant
	trial    int64     // which request is the probe, the latest if there are several; if zero, none
	probes   int       // under way, overdue ones too
	doubt    bool      // a 429 without a hint came: the next probe, alone, shows what it meant
	crowded  bool      // it meant that too many were in flight
	cause    cause     // of the refusals
	silence  silence
	rest     time.Duration // before the first probe, where nothing is in flight
	// held by a refusal that speaks of how many are in flight, not only by failures
	harmed bool

	sequence int64
	phase    Phase
	reason   string
	changed  time.Time
}

// A Ticket is a request that was sent.
type Ticket struct {
	at       time.Time
	number   int64
	round    int64
	index    int  // in the round; below 0: not one of it
	probe    bool // it was sent as a probe
	recalled bool // it waits to be sent once more

	// with itself, and with those whose answers are being read: a server is busy with them, too
	inFlight int
	unlikely contradiction // if it is accepted
}

// A round is a handful of requests that were sent one after the other under one
// limit, as many as the limit allows.
type round struct {
	number   int64
	size     int
	members  []member
	back     int
	others   int  // sent later, and back already
	reached  bool // the limit was, so there is reason to change it
	answered bool // somebody was answered, and it was no success
	skip     bool // it began with the leftovers of a drain

	n, logs, squares     float64 // of the log latencies of successes
	whole, bytes, upload float64 // sums, in seconds and bytes
}

type member struct {
	at   time.Time
	back bool
}

// trips are fading means over all successes, the stragglers of each round included.
type trips struct{ n, whole, log float64 }

func (t *trips) add(whole, log float64) {
	t.n = min(t.n+1, 64)
	t.whole += (whole - t.whole) / t.n
	t.log += (log - t.log) / t.n
}

// kappa is the mean latency over that of the mean logarithm. It absorbs heavy
// tails, and the time that bodies take.
func (c *Controller) kappa() float64 { return max(1, c.trips.whole/math.Exp(c.trips.log)) }

// A spread is a smoothed variance.
type spread struct{ squares, freedom float64 }

// variance returns the variance, in which a guess counts for two samples.
func (s spread) variance() float64 { return (s.squares + 2*0.04) / (s.freedom + 2) }

func (s *spread) add(squares, freedom float64) {
	const fade = 0.9
	s.squares = s.squares*fade + squares
	s.freedom = s.freedom*fade + freedom
}

// New returns a controller that knows nothing yet.
func New(l Limits, now time.Time) *Controller {
	c := new(Controller)
	c.limit, c.starting, c.finding = 1, true, true
	c.cap, c.ramp = math.Inf(1), math.Inf(1)
	c.SetLimits(l, now)
	return c
}

// ceiling is what the limit may not exceed, by the user's or the server's word.
func (c *Controller) ceiling() float64 {
	switch {
	case c.limits.InFlight > 0:
		return min(float64(c.limits.InFlight), boundless)
	case c.limits.Fixed:
		return boundless
	case c.allowed > 0:
		return min(mostInFlight, float64(c.allowed))
	}
	return mostInFlight
}

// learned reports whether a limit in force was found.
func (c *Controller) learned() bool {
	return c.finding && !c.starting || !math.IsInf(c.pace.learned, 1) || c.limit < c.most ||
		c.pace.trim.off > 0
}

// SetLimits records new ceilings. What was learned is kept below them.
func (c *Controller) SetLimits(l Limits, now time.Time) {
	was, most := c.finding, c.most
	if l.Rate != c.limits.Rate {
		c.cause.passed = 0 // the server's may be another, too
		c.cause.evidence.forgetRate()
	}
	c.limits = l
	if c.cause.given && !c.onlyRate() {
		c.cause.rate, c.cause.given = false, false
	}
	c.finding = l.InFlight == 0 && l.Rate == 0 && !l.Fixed
	c.most = c.ceiling()
	c.restore = min(c.restore, c.most)
	c.pace.setLimits(l)
	if l.Fixed {
		c.cap, c.ramp, c.unharmed = math.Inf(1), math.Inf(1), 0
		c.cause = cause{}
	}
	refused := !math.IsInf(c.cap, 1) // the server takes no more: that holds below any ceiling
	switch {
	case refused && (was || c.limit < most):
		c.limit = min(c.limit, c.most)
	case !c.finding:
		c.limit, c.starting, c.restore = c.most, false, 0
	case !was:
		c.limit, c.starting = max(1, float64(c.inFlight)), true
	default:
		c.limit = min(c.limit, c.most)
	}
	c.begin(now)
	c.tell(now, "limits")
}

// room is how many may be in flight.
func (c *Controller) room(now time.Time) int {
	n := max(int(min(c.limit, c.ramp)), 1)
	if c.cause.onTrial() { // a fraction of a request more is a higher rate
		n = max(int(math.Ceil(min(c.limit, c.ramp))), 1)
	}
	if n == boundless {
		n = math.MaxInt
	}
	if c.limits.Fixed {
		return n
	}
	if few := c.roomInSilence(now); few >= 0 {
		n = min(n, max(few, 1))
	}
	if left := c.pace.quota.left(c.sequence, now); left < n-c.places {
		return c.places + left
	}
	return n
}

// rate is how many may leave a second.
func (c *Controller) rate(now time.Time) float64 { return min(c.pace.rate(now), c.trialRate()) }

// mean is the rate over some time, for people.
func (c *Controller) mean(now time.Time) float64 { return min(c.pace.mean(now), c.trialRate()) }

// Orders returns what is to be done. What a quota orders changes by itself when its window ends.
func (c *Controller) Orders(now time.Time) Orders {
	o := Orders{
		Held: c.held, Probe: c.probe, Most: int(c.most), Room: c.room(now), Rate: c.rate(now),
	}
	until := c.changeInSilence(now)
	if end := c.pace.quota.until; !c.limits.Fixed && now.Before(end) &&
		(until.IsZero() || end.Before(until)) {
		until = end
	}
	o.Until = until
	if c.asked && c.trial == 0 && !o.Probe.IsZero() {
		// the pause keeps the time, also where the machine sleeps meanwhile
		o.Probe = time.Unix(1, 0)
	}
	return o
}

// State returns what was found.
func (c *Controller) State(now time.Time) State {
	s := State{
		Phase: c.phase, Reason: c.reason, Changed: c.changed,
		Learned: c.learned(), Rate: c.mean(now), Probe: c.probe,
		Latency: seconds(c.latency), BytesPerSecond: c.flow.bytesPerSecond(),
	}
	if c.trial != 0 {
		s.Probe = time.Time{}
	}
	return s
}

// Places returns how many are in flight, or their answers are being read.
func (c *Controller) Places() int { return c.places }

// Refused reports whether the server refuses, as far as is known.
func (c *Controller) Refused() bool { return c.held }

// Sent records that a request leaves.
func (c *Controller) Sent(now time.Time) Ticket {
	c.sequence++
	c.inFlight++
	c.places++
	c.pace.send(now)
	t := Ticket{at: now, number: c.sequence, round: c.round.number, index: -1, inFlight: c.places}
	c.cause.sent(&t)
	c.sentInSilence(now)
	if c.held {
		c.try(&t, now)
		return t
	}
	if c.finding && !c.starting && c.restore == 0 && !c.drain.IsZero() && !now.Before(c.drain) {
		c.beginDrain(now)
		t.round = c.round.number
	}
	r := &c.round
	if c.places >= c.room(now) && c.roomInSilence(now) < 0 {
		r.reached = true
	}
	if (c.finding || c.limit < c.most) && len(r.members) < r.size {
		t.index = len(r.members)
		r.members = append(r.members, member{at: now})
	}
	return t
}

// Resent records that a recalled request leaves.
func (c *Controller) Resent(t *Ticket, now time.Time) {
	t.at, t.recalled = now, false
	c.places++
	c.pace.send(now)
	if c.held {
		c.try(t, now)
	}
}

// Done records how a request ended, and returns the pause that follows from it.
func (c *Controller) Done(t Ticket, f Sample, now time.Time) Pause {
	if f.Signal == 0 {
		f.Signal = SignalIgnored
	}
	if f.Signal == SignalSuccess && f.Latency <= 0 {
		f.Latency = now.Sub(t.at)
	}
	var p Pause
	c.inFlight--
	if t.probe {
		c.probes--
	}
	c.flow.end(t.number, now)
	if !c.limits.Fixed {
		c.told(t, f, now)
	}
	if f.Own && !c.held { // while nothing is accepted it is a refusal like any other
		p.Until, p.Source, f.Signal = f.RetryAt, f.Source, SignalIgnored
	}
	if f.Signal != SignalIgnored {
		c.silence.hear(c.inFlight, now)
	}
	if !t.recalled {
		c.pace.end(t, f.Signal == SignalSuccess)
	}
	f.Signal = c.meaning(t, f, now)
	switch f.Signal {
	case SignalSuccess:
		c.pace.accept(t)
		c.success(t, f, now)
	case SignalAnswered:
		c.alive(t, now)
	case SignalThrottled:
		c.doubt, c.crowded = false, false
		c.alive(t, now)
		if c.pace.seenAllowed = 0; c.cause.rate && !c.pace.held { // what was held shows more
			c.pace.seenAllowed = c.cause.evidence.rate(now, time.Second/2)
		}
		p.Until, p.Source = c.pace.refuse(t, f.RetryAt, c.cause.gaps(t), now), f.Source
		if p.Own = p.Until.After(f.RetryAt); p.Own {
			p.Source = ""
		}
		if c.pace.closed() { // one at a time finds out when it opens
			c.held, c.asked, c.trial = true, true, 0
			c.probe, c.refusal = p.Until, c.sequence
		}
		c.because(f.Signal.String())
		if c.pace.trim.off > 0 {
			c.because("trim")
		}
	case SignalOverloaded, SignalTimedOut, SignalFailed:
		if f.Signal == SignalOverloaded {
			p.Until, p.Source = f.RetryAt, f.Source
		}
		c.refuse(t, f, now)
	}
	if !c.limits.Fixed {
		if used := c.pace.quota.usedUp(c.inFlight, c.sequence, now); used.After(p.Until) {
			p = Pause{Until: used, Source: "quota"}
			c.because("quota")
		}
	}
	if t.number == c.trial { // it said nothing: the next one may
		c.trial, c.probe = 0, now
	}
	if c.held && c.trial == 0 && c.inFlight == 0 && !c.asked {
		if soon := now.Add(c.rest); c.probe.IsZero() || c.refused == 0 && c.probe.After(soon) {
			c.probe = soon
		}
	}
	c.back(t, f, now)
	c.tell(now, "")
	return p
}

// Landed records that a request gave its place back.
func (c *Controller) Landed() { c.places-- }

// isQuota reports whether a throttled request speaks of a rate. One without a hint
// may also mean that too many are in flight, unless it was alone.
func (c *Controller) isQuota(t Ticket, f Sample) bool {
	return !f.RetryAt.IsZero() || len(f.Quotas) > 0 || t.inFlight == 1 || t.number == c.trial ||
		!math.IsInf(c.pace.rate(t.at), 1)
}

// told records what an answer stated about quotas.
func (c *Controller) told(t Ticket, f Sample, now time.Time) {
	if f.InFlight > 0 && f.InFlight != c.allowed {
		c.allowed = f.InFlight
		c.most = c.ceiling()
		c.limit, c.restore = min(c.limit, c.most), min(c.restore, c.most)
		c.begin(now)
	}
	q := &c.pace.quota
	if f.Signal == SignalThrottled || f.Signal == SignalOverloaded {
		q.refused(t.number)
	}
	q.take(f.Quotas, t, c.sequence, c.inFlight, now)
	// What the server states need not be searched for.
	if rate := q.rateAt(now); c.starting && !math.IsInf(rate, 1) && c.latency > 0 {
		if want := math.Ceil(2*rate*c.latency) + 1; want > c.limit {
			c.limit = min(want, c.most)
			c.begin(now)
		}
	}
}

// success records an accepted request.
func (c *Controller) success(t Ticket, f Sample, now time.Time) {
	if s := f.Latency.Seconds(); s > 0 {
		if c.latency == 0 {
			c.latency = s
		}
		c.latency += (s - c.latency) / 8
		_, log := f.server()
		c.trips.add(s, log)
	}
	c.accepted++
	c.alive(t, now)
	if c.ramp++; c.ramp >= c.limit {
		c.ramp = math.Inf(1)
	}
}

// lower lowers the limit after a refusal.
func (c *Controller) lower(t Ticket, hard bool, now time.Time) {
	if c.limits.Fixed {
		return
	}
	if c.restore > 0 {
		c.limit, c.restore = c.restore, 0
	}
	if !hard && c.tryApart(t, now) {
		return
	}
	c.harmed = true
	if !c.finding { // the limit may be far above what was ever in flight
		c.limit = min(c.limit, float64(c.places))
	}
	ours := c.unharmed > 0 && c.limit > c.unharmed
	switch {
	case !hard && ours && t.number <= c.cut:
		// One more of those that were one too many.
		c.limit = max(c.limit-1, c.unharmed)
		c.cap = c.limit
		c.cut = c.sequence
		c.begin(now)
		return
	case t.number <= c.cut:
		return
	case hard:
		c.limit = max(c.limit*0.5, 1)
	case ours:
		c.limit = max(min(c.limit, float64(c.places))-1, c.unharmed)
	case c.accepted >= isolated*c.limit:
		return // one among so many: it may be about that request alone
	default:
		c.limit = max(c.limit*0.8, 1)
		c.unharmed = min(c.unharmed, c.limit)
	}
	c.limit = math.Floor(c.limit)
	c.starting = false
	c.cut = c.sequence
	c.growth = 1
	if c.cause.onTrial() {
		c.growth = 0.5
	}
	if c.calm = max(minCap, min(2*c.calm, maxCap)); !ours {
		c.growth = math.Inf(1) // others' doing, maybe: latency will tell
	}
	c.cap, c.capped = c.limit, now.Add(c.calm)
	c.begin(now)
}

// back counts a request in among those of its round that have come back.
func (c *Controller) back(t Ticket, f Sample, now time.Time) {
	r := &c.round
	if t.round != r.number {
		return
	}
	if t.index < 0 {
		r.others++
	} else {
		r.members[t.index].back = true
		r.back++
	}
	if f.Signal == SignalSuccess && f.Latency > 0 && t.index >= 0 {
		r.sample(f)
	}
	switch f.Signal {
	case SignalThrottled:
		r.reached = false // it is the rate that holds us
	case SignalAnswered:
		r.answered = true
	}
	// Nobody waits for a straggler while twice the round has come and gone.
	if len(r.members) == r.size && (r.back*10 >= r.size*9 || r.others >= 2*r.size) {
		c.decide(now)
	}
}

// server returns the server's share of the latency in seconds, and its logarithm.
func (f *Sample) server() (seconds, log float64) {
	seconds = f.Latency.Seconds()
	if f.Server > 0 {
		seconds = min(f.Server.Seconds(), seconds)
	}
	return seconds, math.Log(max(seconds, 1e-6))
}

// sample records the latency of a success.
func (r *round) sample(f Sample) {
	whole := f.Latency.Seconds()
	server, log := f.server()
	r.n++
	r.logs += log
	r.squares += log * log
	r.whole += whole
	if f.Bytes >= 64<<10 { // a smaller body goes into a buffer at once
		r.bytes += float64(f.Bytes)
		r.upload += whole - server
	}
}

// begin begins a round.
func (c *Controller) begin(now time.Time) {
	c.round = round{number: c.round.number + 1, size: max(c.room(now), c.cause.leastRound()),
		members: c.round.members[:0]}
}

// decide ends a round: the heart of the matter.
func (c *Controller) decide(now time.Time) {
	r := &c.round
	own := r.n
	if own == 0 {
		if c.starting && r.answered && r.reached { // nothing speaks against more
			c.raise(min(2*c.limit, max(c.limit, blindly)), now)
		}
		c.begin(now)
		return
	}
	c.spread.add(max(0, r.squares-r.logs*r.logs/own), own-1)
	typical := r.logs / own
	for _, m := range r.members {
		// Those that are slow count at the age they have.
		if age := math.Log(now.Sub(m.at).Seconds()); !m.back && age > typical {
			r.logs += age
			r.n++
		}
	}
	mean := r.logs / r.n
	variance := c.spread.variance()
	se := math.Sqrt(variance / r.n)
	switch {
	case r.skip:
	case c.restore > 0:
		c.limit, c.restore = c.restore, 0
		weight := 0.5 // of a small difference less: it is noise, mostly
		if math.Abs(mean-c.base) < 2*se {
			weight = 0.25
		}
		c.base += (mean - c.base) * weight
		c.measureLink(true)
		c.begin(now)
		c.round.skip = true
		return
	default:
		c.follow(mean, se, variance, now)
	}
	c.begin(now)
}

// follow moves the limit by the latency of the round.
func (c *Controller) follow(mean, se, variance float64, now time.Time) {
	r := &c.round
	if c.baseN == 0 {
		c.base = mean
	}
	queue := c.limit / c.kappa() * max(0, 1-math.Exp(c.base-mean+se))
	queue += c.limit * c.measureLink(c.starting)
	if !c.finding {
		queue = 0 // the user's limit is what it returns to
	}
	target := queueFactor * math.Sqrt(c.limit)
	if c.starting {
		slower := mean - c.base
		// A spread that is known from few samples may be luck.
		f := c.spread.freedom
		sure := 1.5 * (1 + 16/(f*math.Sqrt(f)))
		ended := queue > target/2 && slower > sure*math.Sqrt(variance/r.n+variance/max(c.baseN, 1))
		if !ended {
			c.baseN += r.n
			c.base += (mean - c.base) * r.n / c.baseN
			if r.reached {
				c.unharmed = c.limit
				c.raise(2*c.limit, now)
			}
			if c.limit >= c.most {
				c.starting = false
			}
			return
		}
		c.starting = false
		c.because("latency")
		c.scheduleDrain(now)
	}
	if mean < c.base-2*se {
		c.base += 0.3 * (mean - c.base)
	}
	if queue > target/4 {
		c.queued = true
	}
	if r.reached {
		c.unharmed = max(c.unharmed, min(c.limit, float64(r.size)))
	}
	switch want := c.limit - queue + target; {
	case want < c.limit:
		c.limit = max(want, 1)
		c.because("latency")
	case r.reached:
		c.raise(want, now)
	}
	if c.drain.IsZero() {
		c.scheduleDrain(now)
	}
}

// raise raises the limit as far as it may go.
func (c *Controller) raise(want float64, now time.Time) {
	if want > c.cap && !now.Before(c.capped) {
		c.cap = max(c.cap, c.limit) + c.growth
	}
	limit := min(want, c.cap, c.most, c.flow.ceiling(now))
	if int(limit) > int(c.limit) {
		c.because("latency")
	}
	c.limit = max(limit, c.limit)
}

// measureLink returns which share of the limit queues on our own link, judged by
// how long a byte takes.
func (c *Controller) measureLink(idle bool) float64 {
	r := &c.round
	if r.bytes == 0 || r.upload <= 0 {
		return 0
	}
	each := r.upload / r.bytes
	switch {
	case c.link == 0 || each < c.link:
		c.link = each
	case idle:
		c.link += (each - c.link) / 2
	}
	return r.upload / r.whole * max(0, 1-c.link/each)
}

// scheduleDrain sets the next drain, on the grid that all clients share.
func (c *Controller) scheduleDrain(now time.Time) {
	every := drainEvery
	for every.Seconds() < drainTrips*c.latency && every < time.Hour {
		every *= 2
	}
	c.drain = now.Truncate(every).Add(every)
}

// beginDrain lets the server's queue run dry for one round.
func (c *Controller) beginDrain(now time.Time) {
	c.scheduleDrain(now)
	if !c.queued {
		return
	}
	c.queued = false
	c.restore = c.limit
	c.limit = max(1, drainDepth*c.limit)
	c.begin(now)
}

func (c *Controller) because(reason string) { c.reason = reason }

// tell notes the phase.
func (c *Controller) tell(now time.Time, reason string) {
	phase := PhaseSteady
	switch {
	case c.held && c.refused > 0:
		phase = PhaseDown
	case c.held:
		phase = PhaseHoldingBack
	case c.limits.Fixed:
		phase = PhaseFixed
	case c.starting:
		phase = PhaseStarting
	}
	if reason != "" {
		c.reason = reason
	}
	if phase != c.phase {
		c.phase, c.changed = phase, now
	}
}

// seconds converts, saturating.
func seconds(s float64) time.Duration {
	// As a float64 the longest duration is one too many.
	if s *= float64(time.Second); s < math.MaxInt64 {
		return time.Duration(s)
	}
	return math.MaxInt64
}
