package adaptive

import (
	"math"
	"time"
)

const (
	// queueFactor times the root of the limit is how many requests we want to have queueing in the
	// server, so that it never runs dry. The value is load-bearing: half of it misses a tenth of
	// what a server with heavy tails could do, twice as much has a server with one core refuse 29 %
	// and is unfair to others.
	queueFactor = 0.8

	// Clients that share a server drain it together, on the wall clock, so that each sees how fast
	// it is without any of them. The period bears a factor of two.
	drainEvery = 20 * time.Second
	// drainDepth is load-bearing: at 0.8 clients that share a server differ by a factor of two.
	drainDepth = 0.65
	drainTrips = 16 // at least so many round trips from one drain to the next

	// blindly is the limit up to which slow start goes on as long as the server answers, but
	// nothing shows how fast it does its work.
	blindly = 16

	bufferedBody = 64 << 10 // a smaller body goes into a buffer at once: its time tells nothing
)

// A round is a handful of requests that were sent one after the other under one limit, as many as
// the limit allows. It ends when nine tenths of them are back: ending earlier would pick the fast
// ones.
type round struct {
	number   int64
	size     int
	members  []member
	back     int
	others   int  // sent later, and back already
	reached  bool // the limit was, so there is reason to change it
	answered bool // some request was answered, and it was no success
	skip     bool // it began with the leftovers of a drain

	n, logs, squares     float64 // of the log latencies of successes
	whole, bytes, upload float64 // sums, in seconds and bytes
}

type member struct {
	at   time.Time
	back bool
}

// A baseline is the mean log latency of an empty server. Latencies are compared by the mean of
// their logarithms: unlike a mean it is at home with heavy tails, and unlike a minimum it neither
// depends on how many samples there are nor drifts.
type baseline struct {
	log float64
	n   float64 // samples in it
}

// A drain is the plan of the next one.
type drain struct {
	next   time.Time
	queued bool    // a queue was seen since the last one
	limit  float64 // to return to; if zero, none is under way
}

// trips are fading means over all successes.
type trips struct{ n, whole, log float64 }

func (t *trips) add(whole, log float64) {
	t.n = min(t.n+1, 64)
	t.whole += (whole - t.whole) / t.n
	t.log += (log - t.log) / t.n
}

// kappa is the mean latency over that of the mean logarithm. It absorbs heavy tails, and the time
// that bodies take.
func (t *trips) kappa() float64 { return max(1, t.whole/math.Exp(t.log)) }

// A spread is a smoothed variance.
type spread struct{ squares, freedom float64 }

// variance returns the variance, in which a guess counts for two samples.
func (s spread) variance() float64 { return (s.squares + 2*0.04) / (s.freedom + 2) }

func (s *spread) add(squares, freedom float64) {
	const fade = 0.9
	s.squares = s.squares*fade + squares
	s.freedom = s.freedom*fade + freedom
}

// server returns the server's share of the latency in seconds, and its logarithm.
func (s *Sample) server() (seconds, log float64) {
	seconds = s.Latency.Seconds()
	if s.Server > 0 {
		seconds = min(s.Server.Seconds(), seconds)
	}
	return seconds, math.Log(max(seconds, 1e-6))
}

// join makes a request a member, unless the round is full.
func (r *round) join(t *Ticket) {
	if len(r.members) < r.size {
		t.index = len(r.members)
		r.members = append(r.members, member{at: t.At})
	}
}

// add records the latency of a success.
func (r *round) add(s Sample) {
	whole := s.Latency.Seconds()
	server, log := s.server()
	r.n++
	r.logs += log
	r.squares += log * log
	r.whole += whole
	if s.Bytes >= bufferedBody {
		r.bytes += float64(s.Bytes)
		r.upload += whole - server
	}
}

// beginRound begins a round.
func (c *Controller) beginRound(now time.Time) {
	c.round = round{
		number:  c.round.number + 1,
		size:    max(c.room(now), c.cause.leastRound()),
		members: c.round.members[:0],
	}
}

// back counts a request in among those of its round that have come back.
func (c *Controller) back(t Ticket, s Sample, now time.Time) {
	r := &c.round
	if t.round != r.number {
		return
	}
	if t.index < 0 {
		r.others++
	} else {
		r.members[t.index].back = true
		r.back++
		if s.Signal == SignalSuccess && s.Latency > 0 {
			r.add(s)
		}
	}
	switch s.Signal {
	case SignalThrottled:
		r.reached = false // it is the rate that holds us
	case SignalAnswered:
		r.answered = true
	}
	// A straggler is not waited for while twice the round has come and gone.
	if len(r.members) == r.size && (r.back*10 >= r.size*9 || r.others >= 2*r.size) {
		c.endRound(now)
	}
}

// endRound moves the limit by what the round has shown, and begins the next one.
func (c *Controller) endRound(now time.Time) {
	r := &c.round
	drained := false
	if r.n > 0 {
		drained = c.measure(now)
	} else if c.starting && r.answered && r.reached { // nothing speaks against more
		c.raise(min(2*c.limit, max(c.limit, blindly)), now)
	}
	c.beginRound(now)
	c.round.skip = drained
}

// measure works out the mean latency of the round, by which the limit follows the server. It
// reports whether that ended a drain.
func (c *Controller) measure(now time.Time) (drained bool) {
	r := &c.round
	c.spread.add(max(0, r.squares-r.logs*r.logs/r.n), r.n-1)
	typical := r.logs / r.n
	for _, m := range r.members {
		// Those that are slow count at the age they have.
		if age := math.Log(now.Sub(m.at).Seconds()); !m.back && age > typical {
			r.logs += age
			r.n++
		}
	}
	mean, variance := r.logs/r.n, c.spread.variance()
	switch {
	case r.skip:
	case c.drain.limit > 0:
		c.endDrain(mean, math.Sqrt(variance/r.n))
		return true
	default:
		c.follow(mean, variance, now)
	}
	return false
}

// follow moves the limit by the latency of the round.
func (c *Controller) follow(mean, variance float64, now time.Time) {
	r, b := &c.round, &c.baseline
	if b.n == 0 {
		b.log = mean
	}
	se := math.Sqrt(variance / r.n)
	queue, target := c.queue(mean-b.log, se), queueFactor*math.Sqrt(c.limit)
	if c.starting {
		if queue <= target/2 || !c.isSlower(mean-b.log, variance) {
			c.keepStarting(mean, now)
			return
		}
		c.starting = false
		c.reason = "latency"
		c.scheduleDrain(now)
	}
	if mean < b.log-2*se {
		b.log += 0.3 * (mean - b.log)
	}
	if queue > target/4 {
		c.drain.queued = true
	}
	if r.reached {
		c.growth.safe = max(c.growth.safe, min(c.limit, float64(r.size)))
	}
	switch want := c.limit - queue + target; {
	case want < c.limit:
		c.limit = max(want, 1)
		c.reason = "latency"
	case r.reached:
		c.raise(want, now)
	}
	if c.drain.next.IsZero() {
		c.scheduleDrain(now)
	}
}

// queue returns how many requests queue in the server, by Little's law, and on our own link, where
// the latency is so much above the baseline. One standard error of it counts as luck.
func (c *Controller) queue(slower, se float64) float64 {
	onLink := c.limit * c.measureLink(c.starting)
	if !c.adapts {
		return 0 // the user's limit is what it returns to
	}
	return c.limit/c.whole.kappa()*max(0, 1-math.Exp(se-slower)) + onLink
}

// isSlower reports whether the latency of the round is above that of the ones before by more than
// one and a half standard errors of both; by far more where the spread is known from few samples,
// which may be luck.
func (c *Controller) isSlower(slower, variance float64) bool {
	f := c.spread.freedom
	errors := 1.5 * (1 + 16/(f*math.Sqrt(f)))
	return slower > errors*math.Sqrt(variance/c.round.n+variance/max(c.baseline.n, 1))
}

// keepStarting doubles the limit, and counts the round in the baseline.
func (c *Controller) keepStarting(mean float64, now time.Time) {
	r, b := &c.round, &c.baseline
	b.n += r.n
	b.log += (mean - b.log) * r.n / b.n
	if r.reached {
		c.growth.safe = c.limit
		c.raise(2*c.limit, now)
	}
	if c.limit >= c.ceiling {
		c.starting = false
	}
}

// measureLink returns which share of the limit queues on our own link, judged by how long a byte
// takes.
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
	c.drain.next = now.Truncate(every).Add(every)
}

// beginDrain lets the server's queue run dry for one round.
func (c *Controller) beginDrain(now time.Time) {
	c.scheduleDrain(now)
	if !c.drain.queued {
		return
	}
	c.drain.queued = false
	c.drain.limit = c.limit
	c.limit = max(1, drainDepth*c.limit)
	c.beginRound(now)
}

// endDrain returns to the limit before the drain, whose mean latency is that of an empty server.
func (c *Controller) endDrain(mean, se float64) {
	c.limit, c.drain.limit = c.drain.limit, 0
	b := &c.baseline
	weight := 0.5 // of a small difference less: it is noise, mostly
	if math.Abs(mean-b.log) < 2*se {
		weight = 0.25
	}
	b.log += (mean - b.log) * weight
	c.measureLink(true)
}
