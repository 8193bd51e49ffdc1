package quota

import (
	"math"
	"time"
)

// evening is the power to which a client's share of what was used up is raised for its pace. With 1
// shares of a small window stay uneven (Jain .93 among ten clients), with 0 all take all of it. The
// value bears a third less.
const evening = 0.75

// latest is how many requests of ours show our share: others may come and go within a window.
const latest = 32

// Others are clients that use the same windows. If each of several took all that is left for its
// own, each would be refused at the end of each window, and the slowest, which hears least, most.
// So a client takes the share of what is left that it has had of what was used. While its share is
// small it sends somewhat faster than that, which evens the shares out.
//
// That holds for windows that begin with all of their requests. In a token bucket, what is missing
// says nothing of which client took it.
type others struct {
	windows bool // the server is seen to have windows
	last    Allowance
	number  int64     // the request whose answer stated the last
	sent    time.Time // when it was sent
	end     time.Time // of the window

	own, used float64 // the latest requests of the window: ours, and all
}

// share returns how many of those left are ours, and of how many to take the pace, after an answer
// that stated an allowance: that of a window of so many seconds, with the given end.
func (o *others) share(left int64, w Allowance, a Answer, end time.Time, length float64) (
	ours int64, paced float64) {
	if w.Limit <= 0 {
		return left, float64(left)
	}
	if !o.windows {
		o.windows = o.showsWindows(w, a, length)
	}
	if end.After(o.end) {
		o.end, o.own, o.used = end, 0, 0
	} else {
		o.own += float64(a.Number - o.number)
		o.used += float64(o.last.Remaining - w.Remaining)
	}
	if o.own > latest {
		o.own, o.used = o.own/2, o.used/2
	}
	o.last, o.number, o.sent = w, a.Number, a.Sent
	if !o.windows || o.own < 1 || o.used <= o.own {
		return left, float64(left)
	}
	part := o.own / o.used
	return int64(float64(left) * part), float64(left) * math.Pow(part, evening)
}

// showsWindows reports whether more has come back than a bucket would have let in, or the end is
// further off than a bucket takes to fill.
func (o *others) showsWindows(w Allowance, a Answer, length float64) bool {
	each := length / float64(w.Limit)
	slack := max(length/8, 1) // whole seconds are rounded
	if w.Reset.Seconds() > float64(w.Limit-w.Remaining)*each+slack {
		return true
	}
	return o.last.Limit == w.Limit &&
		float64(w.Remaining-o.last.Remaining)*each > a.Sent.Sub(o.sent).Seconds()+slack
}
