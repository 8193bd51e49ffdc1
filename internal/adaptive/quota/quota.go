// Package quota keeps what a server states about its own limits: how many requests are left, and
// until when. No request need be refused to learn what is stated.
//
// A [Quota] is a state machine without a clock or a lock: its owner reports what happened, and
// when.
package quota

import (
	"math"
	"time"
)

// leastRate is what a quota leaves, whatever the server states: an answer now and then can correct
// it.
const leastRate = 1. / 60

// longWindow is the shortest length of a window that says nothing of the pace while something is
// left of it and its end is not stated.
const longWindow = 24 * time.Hour

// unbounded is how many more requests are allowed where nothing bounds them.
const unbounded = math.MaxInt32

// An Allowance is a number of requests in a window, as a server states it.
type Allowance struct {
	Remaining int64         // requests left in the window; negative if not stated
	Reset     time.Duration // until the window ends, from now; negative if not stated
	Limit     int64         // requests in a window; below 1 if not stated
	Window    time.Duration // its length; below 1 if not stated
}

// An Answer is one that a server gave, whatever it stated.
type Answer struct {
	Number     int64 // of its request, in the order in which they were sent
	Sent, Came time.Time
}

// A Quota is what a server states about its own limits. In the zero Quota nothing was stated. It is
// not safe for concurrent use.
type Quota struct {
	number      int64     // the latest request whose answer stated it
	rate        float64   // that uses it up when its window ends
	lastAllowed int64     // the last request that it allows in its window
	until       time.Time // the window ends; if zero, nothing was stated
	rateAfter   float64   // the rate afterwards, until something is stated again

	openRate float64 // of the strictest window without a stated end; if zero, there is none
	limit    float64 // requests in a window, as far as they were seen …
	seconds  float64 // … and its length
	slide    slide
	others   others
}

// RateAt is how many requests a second the quota allows at an instant; +Inf if it bounds none.
func (q *Quota) RateAt(now time.Time) float64 {
	if now.Before(q.until) {
		return min(q.rate, q.withoutEnd())
	}
	return q.Mean()
}

// Mean is the rate that it comes to over a window: it does not change with each answer.
func (q *Quota) Mean() float64 {
	if q.until.IsZero() {
		return q.withoutEnd()
	}
	return min(q.rateAfter, q.withoutEnd())
}

// withoutEnd is the rate of the windows without a stated end.
func (q *Quota) withoutEnd() float64 {
	if q.openRate > 0 {
		return q.openRate
	}
	return math.Inf(1)
}

// Ends returns when the window ends that the rate is for, or the zero time if nothing was stated.
func (q *Quota) Ends() time.Time { return q.until }

// Left is how many more it allows, after the request with that number.
func (q *Quota) Left(sequence int64, now time.Time) int {
	if now.Before(q.until) {
		return int(max(q.lastAllowed-sequence, 0))
	}
	return unbounded
}

// Take records what an answer stated; the last request that was sent has the number sequence, and
// so many of them are in flight.
func (q *Quota) Take(all []Allowance, a Answer, sequence int64, inFlight int) {
	now := a.Came
	if a.Number < q.number && now.Before(q.until) {
		return // something newer is known
	}
	strictest, openRate := math.Inf(1), math.Inf(1)
	for _, w := range all {
		// Counted from when the request was sent: the server may have looked at its clock right
		// then.
		end := a.Sent.Add(w.Reset)
		switch {
		case w.Reset < 0:
			// What is left of a long window need not be spread over all of it: when it ends is not
			// known, and the work may be done before.
			long := w.Remaining > 0 && w.Window >= longWindow
			if w.Limit > 0 && w.Window > 0 && !long {
				openRate = min(openRate, float64(w.Limit)/w.Window.Seconds())
				q.openRate = openRate
			}
			continue
		case w.Remaining < 0, !end.After(now):
			continue // it says nothing
		}
		// Seconds are rounded up, mostly: of one window's answers the one right after the tick is
		// exact.
		if q.until.Before(end) && end.Sub(q.until) < 1100*time.Millisecond && now.Before(q.until) {
			end = q.until
		}
		if w.Limit > 0 && w.Window > 0 {
			q.limit, q.seconds = float64(w.Limit), w.Window.Seconds()
		} else {
			q.limit = max(q.limit, float64(w.Limit), float64(w.Remaining))
			q.seconds = max(q.seconds, w.Reset.Seconds())
		}
		if len(all) == 1 && w.Limit > 0 {
			q.slide.saw(w.Limit, stated{w.Remaining, a.Sent, now, a.Sent.Add(w.Reset)}, q.seconds,
				sequence, sequence-int64(inFlight))
		}
		if q.slide.slides { // places come back all the time
			q.until, q.openRate = time.Time{}, slidingRate(w, q.seconds)
			continue
		}
		// Those that were sent later are not counted yet.
		left := max(min(w.Remaining, unbounded)-(sequence-a.Number), 0)
		paced := float64(left)
		if len(all) == 1 {
			left, paced = q.others.share(left, w, a, end, q.seconds)
		}
		rate := paced / end.Sub(now).Seconds()
		if q.slide.trying(sequence) {
			left, rate = 1, 2/end.Sub(now).Seconds()
		}
		if rate < strictest {
			strictest = rate
			q.number, q.lastAllowed, q.until = a.Number, sequence+left, end
			q.setRates(rate, left)
		}
	}
}

// setRates sets the rates of a window of which so many requests are left, and that a rate uses up.
func (q *Quota) setRates(rate float64, left int64) {
	if q.rateAfter = math.Inf(1); q.limit > 0 { // else nothing is known but that it is used up
		q.rateAfter = max(q.limit/q.seconds, leastRate)
	}
	q.rate = q.rateAfter // where nothing is left no request goes before
	if left > 0 {
		// What is left at the end need not go at once.
		q.rate = max(min(rate, 2*q.rateAfter), leastRate)
	}
}

// slidingRate is the rate that uses up a sliding window of the given length in seconds. A place
// stays free for the request that is counted twice where two windows meet, and a few for the jitter
// of many.
func slidingRate(w Allowance, length float64) float64 {
	const reserve = 0.02
	limit := float64(w.Limit)
	rate := max((1-reserve)*limit-1, limit/2) / length
	if w.Remaining == 0 { // somebody else uses it, too
		rate /= 2
	}
	return max(rate, leastRate)
}

// UsedUp returns until when nothing may be sent, where nothing is in flight either whose answer
// could state otherwise. Then the window counts as over.
func (q *Quota) UsedUp(inFlight int, sequence int64, now time.Time) (until time.Time) {
	if inFlight > 0 || q.Left(sequence, now) > 0 {
		return until
	}
	until, q.until = q.until, now
	return until
}

// Refused records that a request was refused, whatever the server said was left.
func (q *Quota) Refused(number int64) {
	if q.slide.slides {
		q.openRate = 0
	}
	q.slide.refused(number)
}
