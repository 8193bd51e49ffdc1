package adaptive

import (
	"math"
	"time"

	"github.com/penstock/penstock/internal/adaptive/throughput"
)

// ProgressEvery is how often [Controller.Progress] should be called for each transfer: a span has
// two samples at least.
const ProgressEvery = throughput.MinSpan / 2

const (
	// patientSpan is how long a span must be before it shows that a raise did not pay: on a long
	// way a new connection takes about that long to reach its speed.
	patientSpan = 4 * throughput.MinSpan

	// worthwhile is the share of a proportional gain from which on a raise has paid.
	worthwhile = 0.5

	// sumAge is how old a sum may be for another to be compared with it.
	sumAge = 10 * time.Second

	// Slow start doubles the limit up to doubleTo and from then on raises it by half: a transfer
	// that was one too many stays for as long as it takes.
	doubleTo = 8

	// Where more did not pay, more is tried again after a lull, doubled each time.
	minLull = 4 * time.Second
	maxLull = 64 * time.Second
)

// A flow is what a [Controller] knows of the bodies that are on their way. Rounds end only with
// their requests. While bodies take many seconds, the sum of bytes a second shows whether more of
// them at once gain anything or only take from each other.
type flow struct {
	throughput.Flow

	before  total         // the latest that counted
	doubted bool          // it replaced one that was too high
	round   int64         // of the Controller, when it was last looked at
	enough  float64       // the limit above which more do not have more; if zero, not known
	lull    time.Duration // before more is tried
	next    time.Time     // then
}

// A total is what all transfers under way had together.
type total struct {
	at    time.Time
	n     int     // transfers
	rate  float64 // bytes a second
	limit float64 // of requests in flight, up to which a raise has paid
}

// Progress records how much of a request's body the server has acknowledged. The size is negative
// if it is not known.
func (c *Controller) Progress(t Ticket, acked, size int64, now time.Time) {
	if t.recalled {
		return // that connection is dead
	}
	if c.flow.Report(t.Number, acked, size, now) {
		c.silence.hear(c.inFlight, now)
	}
	if c.flow.IsMeasured(now) {
		c.followFlow(now)
	}
}

// followFlow moves the limit by what the transfers had in the span.
func (c *Controller) followFlow(now time.Time) {
	f := &c.flow
	sum, limit := f.Sum(now), c.limit
	f.Careful = !c.starting
	if f.round != c.round.number { // rounds end, and move the limit as well
		f.round = c.round.number
		f.wait(minLull, now)
	}
	// Where it is not the transfers that take the time, rounds know better.
	if !c.adapts || c.hold.on() || c.drain.limit > 0 || sum.Rate == 0 || 4*sum.Far < 3*c.places {
		f.enough = 0
		f.Discard(now)
		return
	}
	if !f.Next(sum, now) {
		return
	}
	was, this := f.before, total{now, f.Len(), sum.Rate, c.limit}
	if now.Sub(was.at) > sumAge {
		was = total{}
	}
	more := c.starting || !now.Before(f.next)
	switch {
	case was.n == 0:
	case this.n <= was.n:
		this.limit = min(this.limit, was.limit)
	case this.rate/was.rate-1 >= worthwhile*(float64(this.n)/float64(was.n)-1):
		c.growth.safe = max(c.growth.safe, float64(this.n))
		f.lull, f.doubted, more = 0, false, true
	case sum.Span < patientSpan:
		return
	case this.rate < was.rate/throughput.Alike && !f.doubted:
		// More transfers do not have less: the sum before was of buffers that filled.
		f.doubted = true
	default:
		c.saturated(was, this, now)
		this.limit, more = c.limit, false
	}
	f.before = this
	// Below the limit no request has come for its last raise, and above it are those that are left
	// of one that did not pay.
	if more && c.places == int(c.limit) {
		f.enough = 0
		f.wait(minLull, now)
		step := max(1, queueFactor*math.Sqrt(c.limit))
		if c.starting {
			step = min(c.limit, max(c.limit/2, doubleTo-c.limit))
		}
		c.raise(c.limit+step, now)
	}
	if int(c.limit) != int(limit) {
		c.reason = "throughput"
		c.beginRound(now)
		f.round = c.round.number
		f.Restart(now)
	}
	c.setPhase(now)
}

// saturated ends the growth where more transfers had no more together: the limit returns to what is
// enough for the sum that they had.
func (c *Controller) saturated(was, this total, now time.Time) {
	f := &c.flow
	each := was.rate / float64(was.n)
	c.starting = false
	c.limit = min(c.limit, max(was.limit, math.Floor(this.rate/each)))
	if c.link == 0 || 1/each < c.link {
		c.link = 1 / each
	}
	f.enough = c.limit
	f.lull = max(minLull, min(2*f.lull, maxLull))
	f.wait(f.lull, now)
}

// wait puts off trying more.
func (f *flow) wait(lull time.Duration, now time.Time) {
	if next := now.Add(lull); next.After(f.next) {
		f.next = next
	}
}

// ceiling is the limit above which transfers only take from each other.
func (f *flow) ceiling(now time.Time) float64 {
	if f.enough == 0 || f.IsStale(now) { // they are not what is sent now
		return math.Inf(1)
	}
	return f.enough
}
