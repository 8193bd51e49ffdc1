package progress

import "math"

const (
	// rateMemory is how far "the last seconds" reach.
	rateMemory = 3.0
	// gaps is how many times the longest time in which nothing comes they reach at least, so that
	// answers that come together now and then are one pace, up to maxMemory.
	gaps      = 4.0
	maxMemory = 60.0
	// gapFades is what is left of that longest time each time that something comes.
	gapFades = 0.9
)

// A speedometer shows how fast something goes over the last seconds. Where nothing has come for as
// long as these reach back, that is 0: what would be left is an average that fades and never ends.
type speedometer struct {
	average
	speed float64 // a second
	idle  float64 // seconds since something came
	quiet float64 // of these, those in which something was tried
	gap   float64 // how long that was at most, lately
}

// add adds n within dt seconds, in which nothing may have been tried.
func (m *speedometer) add(n, dt float64, untried bool) {
	m.idle += dt
	if !untried {
		m.quiet += dt
	}
	m.gap *= math.Exp(-dt / maxMemory)
	if n > 0 {
		if m.quiet < maxMemory { // else it was an interruption, and is no part of a pace
			m.gap = max(m.gap*gapFades, m.quiet)
		}
		m.idle, m.quiet = 0, 0
	}
	memory := min(max(rateMemory, gaps*m.gap), maxMemory)
	m.average.add(n, dt, memory)
	if m.speed = m.value(); m.idle >= memory || untried && m.idle >= rateMemory {
		m.speed = 0
	}
}

// average is an exponentially fading average of a rate. It has no bias at the beginning: of a run
// shorter than its memory it is the plain average.
type average struct{ n, t float64 }

func (a *average) add(n, dt, memory float64) {
	keep := math.Exp(-dt / memory)
	// What happened within dt fades as well, as if spread evenly over it.
	share := memory * (1 - keep) / dt
	a.n = a.n*keep + n*share
	a.t = a.t*keep + dt*share
}

// value is 0 before the first sample.
func (a *average) value() float64 {
	if a.t <= 0 {
		return 0
	}
	return max(0, a.n/a.t)
}
