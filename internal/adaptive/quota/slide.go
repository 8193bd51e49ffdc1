package quota

import "time"

// A slide distinguishes a window that slides from one that begins anew at its end. A server that
// counts in a sliding window may name an end as well: that of the window on the clock, while it
// still counts a part of the window before. Then hardly anything is left when a window begins,
// although we used up the one before ourselves, and places come back long before its end.
//
// Other clients may have been as quick. So of a window that begins like that one request more than
// it allows is sent in its middle, and it slides if more is left then.
type slide struct {
	slides bool // it is one that slides

	end   time.Time // of the latest window
	used  int64     // of it, as it was stated last
	began int64     // how many requests had ended at the last word of the window before …
	ended int64     // … and of this one

	carried   bool   // it began with the use of the one before
	trial     int64  // the request in its middle; if zero, there is none
	leastLeft stated // that was left in it

	seen, needed int // how many windows were carried, and how many of them are passed over
}

// A stated is what was left of a window.
type stated struct {
	left       int64
	sent, came time.Time // the request and its answer
	end        time.Time
}

// saw records what was left of a window of the given length in seconds, when as many requests had
// been sent, and had ended.
func (s *slide) saw(limit int64, w stated, length float64, sequence, ended int64) {
	used := limit - w.left
	if w.end.Sub(s.end).Seconds() > length/2 {
		theirs := used - (sequence - s.ended) // at least, if it began anew
		s.carried = theirs > limit/2 && theirs <= s.used && s.used <= (s.ended-s.began)*10/9
		if s.carried {
			s.seen++
		}
		s.end, s.began, s.trial, s.leastLeft = w.end, s.ended, 0, w
	}
	s.used, s.ended = used, ended
	// The end may be rounded. If it is stated to be later by as much as the time that went by, it
	// is that of another window.
	elapsed := w.sent.Sub(s.leastLeft.sent)
	if s.looks() && w.sent.After(s.leastLeft.came) && w.end.Sub(s.leastLeft.end) < elapsed/2 &&
		w.left-s.leastLeft.left > max(1, limit/10) {
		s.slides = true
	}
	if w.left <= s.leastLeft.left {
		s.leastLeft = w
	}
	if s.looks() && w.left == 0 && s.trial == 0 {
		s.trial = sequence + 1
	}
}

// looks reports whether the window may be one that slides.
func (s *slide) looks() bool { return s.carried && s.seen > s.needed }

// trying reports whether one request more than the window allows may be sent.
func (s *slide) trying(sequence int64) bool { return s.trial > sequence }

// refused records that a request was refused. If that was because the window does not slide, it
// takes more to be tried again.
func (s *slide) refused(number int64) {
	if s.slides || number == s.trial {
		s.slides, s.carried, s.seen, s.needed = false, false, 0, 2*s.needed+1
	}
}
