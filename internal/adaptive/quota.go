package adaptive

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

// A quota is what the server states about its own limits. It holds beside what was found: no
// request need be refused to learn what is stated.
type quota struct {
	number int64     // the latest request whose answer stated it
	rate   float64   // that uses it up when its window ends
	last   int64     // the last request that it allows in its window
	until  time.Time // the window ends; if zero, nothing was stated
	next   float64   // the rate afterwards, until something is stated again

	pace   float64 // of windows without a stated end; if zero, there is none
	most   float64 // requests in a window, and its length, as far as they were seen
	length float64
	slide  slide
}

// rateAt is the rate that the quota allows.
func (q *quota) rateAt(now time.Time) float64 {
	if now.Before(q.until) {
		return min(q.rate, q.stated())
	}
	return q.mean()
}

// mean is the rate that it comes to over a window.
func (q *quota) mean() float64 {
	if q.until.IsZero() {
		return q.stated()
	}
	return min(q.next, q.stated())
}

// stated is the rate of the windows without a stated end.
func (q *quota) stated() float64 {
	if q.pace > 0 {
		return q.pace
	}
	return math.Inf(1)
}

// left is how many more it allows, after the request with that number.
func (q *quota) left(sequence int64, now time.Time) int {
	if now.Before(q.until) {
		return int(max(q.last-sequence, 0))
	}
	return boundless
}

// take records what the answer to request t stated; the last that was sent has the number sequence,
// and so many of them are in flight.
func (q *quota) take(all []Quota, t Ticket, sequence int64, inFlight int, now time.Time) {
	if t.number < q.number && now.Before(q.until) {
		return // something newer is known
	}
	rate, pace := math.Inf(1), math.Inf(1)
	for _, w := range all {
		// Counted from when the request was sent: the server may have looked at
		// its clock right then. A window that is over, or has no end, says nothing.
		end := t.at.Add(w.Reset)
		// What is left of a long window need not be spread over all of it: when it ends is not
		// known, and the work may be done before.
		long := w.Remaining > 0 && w.Window >= longWindow
		if w.Reset < 0 && w.Limit > 0 && w.Window > 0 && !long {
			pace = min(pace, float64(w.Limit)/w.Window.Seconds())
			q.pace = pace // of the strictest
		}
		if w.Reset < 0 || w.Remaining < 0 || !end.After(now) {
			continue
		}
		// Seconds are rounded up, mostly: of one window's answers the one right after
		// the tick is exact.
		if q.until.Before(end) && end.Sub(q.until) < 1100*time.Millisecond && now.Before(q.until) {
			end = q.until
		}
		if w.Limit > 0 && w.Window > 0 {
			q.most, q.length = float64(w.Limit), w.Window.Seconds()
		} else {
			q.most, q.length = max(q.most, float64(w.Limit), float64(w.Remaining)),
				max(q.length, w.Reset.Seconds())
		}
		if len(all) == 1 && w.Limit > 0 {
			q.slide.saw(w.Limit, told{w.Remaining, t.at, now, t.at.Add(w.Reset)}, q.length,
				sequence, sequence-int64(inFlight))
		}
		if q.slide.sure { // places come back all the time
			q.until, q.pace = time.Time{}, slidingRate(w, q.length)
			continue
		}
		// Those that were sent later are not counted yet.
		left := max(min(w.Remaining, boundless)-(sequence-t.number), 0)
		r := float64(left) / end.Sub(now).Seconds()
		if q.slide.trying(sequence) {
			left, r = 1, 2/end.Sub(now).Seconds()
		}
		if r < rate {
			rate = r
			q.number, q.last, q.until = t.number, sequence+left, end
			if q.next = math.Inf(1); q.most > 0 { // else nothing is known but that it is used up
				q.next = max(q.most/q.length, leastRate)
			}
			q.rate = q.next // where nothing is left no request goes before
			if left > 0 {
				// what is left at the end need not go at once
				q.rate = max(min(r, 2*q.next), leastRate)
			}
		}
	}
}

// slidingRate is the rate that uses up a sliding window of the given length in seconds. A place
// stays free for the request that is counted twice where two windows meet, and a few for the jitter
// of many.
func slidingRate(w Quota, length float64) float64 {
	const reserve = 0.02
	limit := float64(w.Limit)
	rate := max((1-reserve)*limit-1, limit/2) / length
	if w.Remaining == 0 { // somebody else uses it, too
		rate /= 2
	}
	return max(rate, leastRate)
}

// usedUp returns until when nothing may be sent, where nothing is in flight either whose answer
// could state otherwise. Then the window counts as over.
func (q *quota) usedUp(inFlight int, sequence int64, now time.Time) (until time.Time) {
	if inFlight > 0 || q.left(sequence, now) > 0 {
		return until
	}
	until, q.until = q.until, now
	return until
}

// refused records that a request was refused, whatever the server said was left.
func (q *quota) refused(number int64) {
	if q.slide.sure {
		q.pace = 0
	}
	q.slide.refused(number)
}
