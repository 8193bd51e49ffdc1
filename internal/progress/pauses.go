package progress

import "math"

const (
	// peakMemory is for how many seconds a ceiling is remembered that has fallen since.
	peakMemory = 10.0
	// A ceiling that fell is steady again once it has changed by no more than this share for so
	// many seconds.
	stays  = 0.25
	stayed = 2.0
	// outlived is how many seconds a run has to go on at least without a pause.
	outlived = 3.0
)

// A ceiling is the rate that is allowed. When a server turns out to take much less, it falls, and
// what was done before, by many refusals and pauses, says nothing about what comes. For some
// seconds it is not known where it stays.
type ceiling struct {
	peak   float64 // lately
	fell   bool
	moves  bool // it fell, and does not stay yet
	stayed lasting
}

// observe records the ceiling of the last dt seconds, 0 for none, in which nothing may have been
// tried, and reports whether it fell.
func (c *ceiling) observe(rate, dt float64, untried bool) (fell bool) {
	fell = rate > 0 && rate < c.peak/2
	if c.peak = max(rate, c.peak*math.Exp(-dt/peakMemory)); fell {
		c.peak, c.fell, c.moves = rate, true, true
	}
	if fell {
		c.stayed = lasting{value: rate}
		return true
	}
	if untried {
		dt = 0
	}
	c.stayed.observe(rate, stays, dt)
	c.moves = c.moves && rate > 0 && c.stayed.since < stayed
	return false
}

// lasting is how many seconds a value has been about the same.
type lasting struct{ value, since float64 }

// observe records a value of the last dt seconds. It is the same if it differs by no more than that
// share.
func (l *lasting) observe(value, share, dt float64) {
	if math.Abs(value-l.value) > share*l.value {
		l.value, l.since = value, 0
		return
	}
	l.since += dt
}

// pauses are the cool-downs of a run so far.
type pauses struct {
	n      int
	inside bool    // one of them
	single bool    // that is not one of many
	recur  bool    // they come again and again
	began  bool    // one, just now
	over   bool    // one ended just now
	length float64 // of the last one
	since  float64 // its end
	held   float64 // how long it was since the one before when it began
}

// observe records dt seconds that ended at s.
func (p *pauses) observe(s *Snapshot, dt float64) {
	is := s.Pause > 0
	p.began, p.over = is && !p.inside, false
	switch {
	case p.began:
		length := s.Pause.Seconds()
		if p.n == 0 {
			p.recur = length < 60 && length > s.Elapsed.Seconds()/4
		} else {
			p.recur = p.since <= max(60, 10*max(length, p.length))
		}
		p.single = !p.recur
		p.n++
		p.held, p.length = p.since, dt
	case is:
		p.length += dt
	case p.inside:
		p.over, p.single, p.since = true, false, 0
	default:
		p.since += dt
		p.recur = p.recur && p.since <= max(60, 10*p.length)
	}
	p.inside = is
}

// outlived reports whether the run has gone on without a pause for longer than before the last one,
// so that this may have been the last: what was found out by the refusals holds.
func (p *pauses) outlived() bool { return p.n > 0 && p.since > max(outlived, p.held, p.length) }
