package adaptive

import (
	"math"
	"slices"
	"time"
)

// ProgressEvery is how often [Controller.Progress] should be called for each transfer: a span has
// two samples at least.
const ProgressEvery = minSpan / 2

const (
	// settleTime is left out after a transfer began or ended: a new connection first fills buffers,
	// and the other ones need a few round trips to gain or lose by it.
	settleTime = 100 * time.Millisecond

	// A span is measured in two halves, and counts once these are alike: their rates differ by a
	// smaller factor than this. One of maxSpan always counts.
	minSpan = 100 * time.Millisecond
	maxSpan = 800 * time.Millisecond
	alike   = 1.25

	// patientSpan is how long a span must be before it shows that a raise did not pay: on a long
	// way a new connection takes about that long to reach its speed.
	patientSpan = 4 * minSpan

	// worthwhile is the share of a proportional gain from which on a raise has paid.
	worthwhile = 0.5

	// farOff is what transfers must have left for the sum of them to decide. The end of those that
	// end before shows more.
	farOff = time.Second

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
	transfers []*transfer // under way, in the order in which they began
	from      time.Time   // when the span begins
	span      time.Duration
	moves     int  // of the span
	careful   bool // only the longest spans count

	before  total         // the latest that counted
	doubted bool          // it replaced one that was too high
	round   int64         // of the Controller, when it was last looked at
	enough  float64       // the limit above which more do not have more; if zero, not known
	lull    time.Duration // before more is tried
	next    time.Time     // then
	latest  time.Time     // report

	meter meter
}

// A transfer is a body on its way.
type transfer struct {
	number int64 // of its Ticket
	size   int64 // below 0: not known
	began  time.Time

	last          report // the latest
	start, middle report // of the span
}

// A report says how much of a body was acknowledged at an instant.
type report struct {
	at    time.Time
	acked int64
}

// since returns the bytes a second since an earlier report.
func (r report) since(earlier report) float64 {
	return float64(r.acked-earlier.acked) / r.at.Sub(earlier.at).Seconds()
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
	f := &c.flow
	if i := f.find(t.number); i < 0 || acked > f.transfers[i].last.acked {
		c.silence.hear(c.inFlight, now)
	}
	if f.report(t.number, acked, size, now); f.measured(now) {
		c.followFlow(now)
	}
}

func (f *flow) find(number int64) int {
	return slices.IndexFunc(f.transfers, func(t *transfer) bool { return t.number == number })
}

// report records how far a transfer is.
func (f *flow) report(number, acked, size int64, now time.Time) {
	f.latest = now
	i := f.find(number)
	switch {
	case size >= 0 && acked >= size: // the rest is up to the server
		if i >= 0 {
			f.meter.add(size-f.transfers[i].last.acked, now)
		}
		f.end(number, now)
		return
	case i < 0:
		if len(f.transfers) == 0 {
			f.meter.reset(now)
		}
		f.transfers = append(f.transfers,
			&transfer{number: number, size: size, began: now, last: report{now, acked}})
		f.restart(now)
		return
	}
	t := f.transfers[i]
	before := t.last
	t.last = report{now, acked}
	if acked < before.acked { // it is sent once more
		f.restart(now)
		return
	}
	f.meter.add(acked-before.acked, now)
	switch {
	case now.Before(f.from):
	case t.start.at.IsZero():
		t.start = t.last
	case t.middle.at.IsZero() && !now.Before(f.from.Add(f.span/2)):
		t.middle = t.last
	}
}

// end forgets a transfer.
func (f *flow) end(number int64, now time.Time) {
	if i := f.find(number); i >= 0 {
		f.transfers = slices.Delete(f.transfers, i, i+1)
		f.restart(now)
	}
}

// restart begins a span when the transfers have settled.
func (f *flow) restart(now time.Time) {
	span := minSpan
	if f.careful {
		span = maxSpan
	}
	f.measure(now.Add(settleTime), span)
}

// measure begins a span.
func (f *flow) measure(from time.Time, span time.Duration) {
	f.from, f.span, f.moves = from, span, 0
	for _, t := range f.transfers {
		t.start, t.middle = report{}, report{}
		if !t.last.at.Before(from) {
			t.start = t.last
		}
	}
}

// remeasure goes on where the halves of a span do not agree. In case that a burst ends, it moves
// the span by half of it; after three times, in case that they never agree, it doubles the span.
func (f *flow) remeasure(now time.Time) {
	if f.moves == 3 {
		f.measure(now, 2*f.span)
		return
	}
	f.moves++
	f.from = f.from.Add(f.span / 2)
	for _, t := range f.transfers {
		t.start, t.middle = t.middle, t.last
	}
}

// measured reports whether the span is over for all transfers.
func (f *flow) measured(now time.Time) bool {
	end := f.from.Add(f.span)
	return len(f.transfers) > 0 && !now.Before(end) &&
		!slices.ContainsFunc(f.transfers, func(t *transfer) bool {
			return t.last.at.Before(end) || t.middle.at.IsZero() || !t.last.at.After(t.middle.at)
		})
}

// sum returns the bytes a second of all transfers in the span and in each half of it, and how many
// of them are far from their end.
func (f *flow) sum(now time.Time) (whole, first, second float64, far int) {
	for _, t := range f.transfers {
		rate := t.last.since(t.start)
		whole += rate
		first += t.middle.since(t.start)
		second += t.last.since(t.middle)
		left := float64(t.size-t.last.acked) / rate
		if t.size < 0 { // half of it is done, for all that is known
			left = now.Sub(t.began).Seconds()
		}
		if left >= farOff.Seconds() {
			far++
		}
	}
	return whole, first, second, far
}

// followFlow moves the limit by what the transfers had in the span.
func (c *Controller) followFlow(now time.Time) {
	f := &c.flow
	rate, first, second, far := f.sum(now)
	span, limit := f.span, c.limit
	f.careful = !c.starting
	if f.round != c.round.number { // rounds end, and move the limit as well
		f.round = c.round.number
		f.wait(minLull, now)
	}
	// Where it is not the transfers that take the time, rounds know better.
	if !c.adapts || c.hold.on() || c.drain.limit > 0 || rate == 0 || 4*far < 3*c.places {
		f.enough = 0
		f.measure(now, minSpan)
		return
	}
	if (second > alike*first || first > alike*second) && span < maxSpan {
		f.remeasure(now)
		return
	}
	f.measure(now, min(2*span, maxSpan))
	if f.careful && span < maxSpan {
		return
	}
	was, this := f.before, total{now, len(f.transfers), rate, c.limit}
	if now.Sub(was.at) > sumAge {
		was = total{}
	}
	more := c.starting || !now.Before(f.next)
	switch {
	case was.n == 0:
	case this.n <= was.n:
		this.limit = min(this.limit, was.limit)
	case rate/was.rate-1 >= worthwhile*(float64(this.n)/float64(was.n)-1):
		c.growth.safe = max(c.growth.safe, float64(this.n))
		f.lull, f.doubted, more = 0, false, true
	case span < patientSpan:
		return
	case rate < was.rate/alike && !f.doubted:
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
		f.restart(now)
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
	if f.enough == 0 || now.Sub(f.latest) > maxSpan { // they are not what is sent now
		return math.Inf(1)
	}
	return f.enough
}

// bytesPerSecond is that of the transfers under way.
func (f *flow) bytesPerSecond() float64 {
	if len(f.transfers) == 0 {
		return 0
	}
	return f.meter.rate()
}

// A meter measures the bytes a second of the last second or two.
type meter struct {
	old, late, last report // of the sum: at least a second apart, and the latest
}

func (m *meter) reset(now time.Time) {
	m.last.at = now
	m.old, m.late = m.last, m.last
}

func (m *meter) add(bytes int64, now time.Time) {
	// Only once time has passed are all in that belong to the instant before.
	if now.After(m.last.at) && m.last.at.Sub(m.late.at) >= time.Second {
		m.old, m.late = m.late, m.last
	}
	m.last = report{now, m.last.acked + bytes}
}

func (m *meter) rate() float64 {
	if !m.last.at.After(m.old.at) {
		return 0
	}
	return m.last.since(m.old)
}
