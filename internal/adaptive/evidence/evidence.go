// Package evidence weighs what the refusals of a server follow: how close together requests are
// sent, or how many are in flight.
//
// An [Evidence] is a state machine without a clock or a lock: its owner reports what happened, and
// when.
package evidence

import (
	"math"
	"slices"
	"time"
)

// An Evidence weighs two explanations of refusals: the spacing of requests, by which a rate limiter
// refuses, and the number in flight, by which a full server does. It is ready to use when zero, and
// not safe for concurrent use.
//
// An explanation is contradicted by a request that is accepted although it had it refused: one that
// leaves with as many in flight as those that were refused, or that follows others as closely; and
// by one that is refused although it had it accepted. Where one explanation is contradicted again
// and again and the other is not, the other holds. Neither the rate nor the limit of the server
// need be known for that. What is refused at random, or because of other clients, contradicts both.
type Evidence struct {
	all               [256]sending  // the latest requests, by number
	lag               time.Duration // in which a request may overtake another on its way
	refused, accepted requests
	marks             [32]mark // the latest refusals
	contradicted      traits   // how often, fading: each explanation by its trait
}

// A Request is one that was sent.
type Request struct {
	At     time.Time
	Number int64 // in the order in which they were sent, from 1

	// InFlight counts it, and those whose answers are being read: a server is busy with them, too.
	InFlight int
	// ifAccepted are the explanations of refusals that its acceptance contradicts.
	ifAccepted contradiction
}

// A sending is what is remembered of a request.
type sending struct {
	number  int64
	at      time.Time
	refused bool // else it was accepted, or has not ended
}

// A mark is the instant of a refusal, and how many that were sent after it have been accepted.
type mark struct {
	at       time.Time
	accepted int
}

// traits are what a request found when it was sent: the spacing before it, and then, at crowd, how
// many were in flight with it. Explanations go by them.
type traits [crowd + 1]float64

const crowd = len(lasts)

// A spacing is the time in seconds since some of the last requests before one, refused ones left
// out; +Inf: there was none. A bucket without a burst refuses by the first, one with a burst by a
// later one.
type spacing [len(lasts)]float64

// lasts are the numbers of requests over which the spacing before a request is measured. They are
// so close together that of hardly any burst more than a third is accepted at a spacing at which
// the next request is refused.
var lasts = [...]int{1, 2, 4, 6, 10, 16}

const (
	overtaking = 8                     // requests may overtake one …
	mostLag    = 10 * time.Millisecond // … in this time
	recent     = 8                     // requests of which medians are taken

	// An explanation is refuted by enoughContradictions, if they are more than clearly times those
	// of the other: several spacings are tried, of which one may fit by chance.
	enoughContradictions = 10
	clearly              = 6
	// From mostContradictions on all are halved, so that what is new counts.
	mostContradictions = 64
	refusalWeight      = 2 // how often a refusal counts as one: there are fewer of them

	enoughAccepted = 32 // requests accepted since a refusal show a rate
)

// Only where FewInFlight were refused is the spacing believed: a server that takes more is found by
// their number as well, and its other clients may make it look as if that were not the cause.
const FewInFlight = 2

// A contradiction is the set of explanations that a request contradicts, by their traits.
type contradiction [len(traits{})]bool

// Sent records that a request is sent; its acceptance is evidence only if it is fresh.
func (e *Evidence) Sent(r *Request, fresh bool) {
	e.all[r.Number%int64(len(e.all))] = sending{number: r.Number, at: r.At}
	if e.refused.n == 0 || !fresh {
		return
	}
	for k, gap := range e.spacingOf(*r) {
		r.ifAccepted[k] = gap <= e.refused.median[k]
	}
	// Of more than two in flight twice as many: that some more were accepted may be for other
	// reasons.
	few := e.refused.fewest
	r.ifAccepted[crowd] = float64(r.InFlight) >= max(few, 2*few-2)
}

// Accept records that a request was accepted.
func (e *Evidence) Accept(r Request, fresh bool) {
	if e.refused.n > 0 && fresh {
		e.accepted.add(e.traitsOf(r, r.InFlight))
	}
	for i := range e.marks {
		if m := &e.marks[i]; !m.at.IsZero() && r.At.After(m.at) {
			m.accepted++
		}
	}
	e.contradict(r.ifAccepted)
}

// Refuse records that a request was refused.
func (e *Evidence) Refuse(r Request, now time.Time) {
	e.lag = min(now.Sub(r.At), mostLag)
	x := e.traitsOf(r, e.InFlightOf(r))
	if usual := &e.accepted.median; e.accepted.n >= recent/2 {
		var c contradiction
		for k := range x {
			c[k] = x[k] >= usual[k]
		}
		c[crowd] = x[crowd] <= usual[crowd]/2
		for range refusalWeight {
			e.contradict(c)
		}
	}
	e.marks[e.refused.n%len(e.marks)] = mark{at: now}
	e.refused.add(x)
	if s := e.find(r.Number); s != nil {
		s.refused = true
	}
	e.fade(0.97)
}

// InFlightOf returns how many were in flight with a request that was refused: any of those that
// left at about the same time may have been the last to arrive.
func (e *Evidence) InFlightOf(r Request) int {
	n := r.InFlight
	for i := r.Number + 1; i <= r.Number+overtaking; i++ {
		if s := e.find(i); s != nil && !s.refused && s.at.Sub(r.At) <= e.lag {
			n++
		}
	}
	return n
}

func (e *Evidence) contradict(c contradiction) {
	for k, contradicted := range c {
		if contradicted {
			e.contradicted[k]++
		}
	}
	if slices.Max(e.contradicted[:]) > mostContradictions {
		e.fade(0.5)
	}
}

func (e *Evidence) fade(by float64) {
	for k := range e.contradicted {
		e.contradicted[k] *= by
	}
}

// OfRate reports whether refusals follow the spacing.
func (e *Evidence) OfRate() bool {
	return e.refused.n >= 2 && e.refused.fewest <= FewInFlight &&
		e.contradicted[crowd] >= max(enoughContradictions, clearly*e.leastContradicted())
}

// OfCrowd reports whether refusals follow the number in flight.
func (e *Evidence) OfCrowd() bool {
	least := e.leastContradicted()
	return !math.IsInf(least, 1) &&
		least >= max(enoughContradictions, clearly*e.contradicted[crowd])
}

// leastContradicted is how often the best of the spacings was; +Inf if none explains anything.
func (e *Evidence) leastContradicted() float64 {
	least := math.Inf(1)
	for k, n := range e.contradicted[:crowd] {
		if !math.IsInf(e.refused.median[k], 1) {
			least = min(least, n)
		}
	}
	return least
}

// IsApart reports whether a request followed those before at more than twice the distance at which
// others were accepted: no rate explains that it was refused.
func (e *Evidence) IsApart(r Request) bool {
	if e.accepted.n < recent/2 {
		return false
	}
	for k, gap := range e.spacingOf(r) {
		if gap < 2*e.accepted.median[k] {
			return false
		}
	}
	return true
}

// Rate returns how many requests a second a rate limiter is seen to allow; 0 if that is not known.
// After a refusal its bucket is empty, so what it accepts from then on is no more than what flows
// in, but where it counts in windows: the longer the span, the less another window makes of that.
func (e *Evidence) Rate(now time.Time, span time.Duration) (least float64) {
	for _, m := range e.marks {
		if t := now.Sub(m.at); m.accepted > enoughAccepted && t >= span {
			least = max(least, float64(m.accepted-1)/t.Seconds())
		}
	}
	return least
}

// ForgetRate lets what was accepted until now count no more: limits are others now.
func (e *Evidence) ForgetRate() { e.marks, e.accepted = [len(e.marks)]mark{}, requests{} }

// traitsOf returns the traits of a request with which so many were in flight.
func (e *Evidence) traitsOf(r Request, inFlight int) (x traits) {
	gaps := e.spacingOf(r)
	copy(x[:], gaps[:])
	x[crowd] = float64(inFlight)
	return x
}

// Gaps returns the seconds from the last request before one to it, and from the fourth last; +Inf
// if there was none. Refused ones are left out.
func (e *Evidence) Gaps(r Request) (one, four float64) {
	s := e.spacingOf(r)
	return s[0], s[2]
}

// spacingOf returns the spacing of a request. What has not ended counts as accepted: refusals are
// quick. A later one counts as earlier where it may have overtaken it.
func (e *Evidence) spacingOf(r Request) (s spacing) {
	for k := range s {
		s[k] = math.Inf(1)
	}
	last := r.Number + overtaking
	seen, k := 0, 0
	for n := last; n > max(0, last-int64(len(e.all))); n-- {
		before := e.find(n)
		if n == r.Number || before == nil || before.refused || before.at.Sub(r.At) > e.lag {
			continue
		}
		if seen++; seen == lasts[k] {
			s[k] = r.At.Sub(before.at).Seconds()
			if k++; k == len(s) {
				break
			}
		}
	}
	return s
}

// find returns the request with that number, or nil if it is not among the latest.
func (e *Evidence) find(number int64) *sending {
	if s := &e.all[number%int64(len(e.all))]; s.number == number {
		return s
	}
	return nil
}

// requests are the traits of the latest requests that ended alike.
type requests struct {
	latest [recent]traits
	n      int     // ever
	median traits  // of these
	fewest float64 // in flight, in the lower quartile; one alone is no rule
}

func (p *requests) add(x traits) {
	p.latest[p.n%recent] = x
	p.n++
	for k := range x {
		p.median[k] = p.quantile(0.5, k)
	}
	if p.fewest = p.quantile(0.25, crowd); p.fewest == 1 {
		p.fewest = p.median[crowd]
	}
}

func (p *requests) quantile(q float64, trait int) float64 {
	var values [recent]float64
	n := min(p.n, recent)
	for i := range n {
		values[i] = p.latest[i][trait]
	}
	slices.Sort(values[:n])
	return values[int(q*float64(n))]
}
