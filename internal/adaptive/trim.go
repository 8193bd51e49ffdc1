package adaptive

import "time"

const (
	trimStep = 0.005 // of the given rate
	// without a refusal: then it creeps back; doubled where that is refused
	trimCalm  = 10 * time.Second
	trimCreep = 10 * time.Second // for one step
	mostTrim  = 0.3              // the given rate is far too high

	// Where less than so many pauses pass between refusals, each costs more than what is taken off:
	// then it is this much more of that, at least.
	dearRefusal = 4
	trimMore    = 1. / 3
)

// A trim is what is taken off the rate that the user gave: servers that count in
// a strict sliding window refuse a client at exactly their rate now and then.
type trim struct {
	off   float64   // the share
	from  time.Time // when it was taken off
	step  float64   // the last
	calm  time.Duration
	creep time.Duration
}

// at is the share at that instant.
func (t *trim) at(now time.Time) float64 {
	if t.off == 0 {
		return 0
	}
	back := now.Sub(t.from) - t.calm
	return max(0, t.off-trimStep*max(0, back.Seconds()/t.creep.Seconds()))
}

// refused records a refusal after so many requests were accepted, and reports whether
// trimming is of no use.
func (t *trim) refused(now time.Time, accepted int, given float64,
	wait time.Duration) (useless bool) {
	off := t.at(now)
	if t.off > off { // it was on its way back
		t.calm = min(2*t.calm, time.Hour)
	}
	t.calm = max(t.calm, trimCalm, seconds(200/given), min(30*wait, time.Minute))
	t.creep = max(trimCreep, seconds(400/given))
	t.step = nextCut(t.step, accepted)
	if float64(accepted) < dearRefusal*given*wait.Seconds() {
		t.step = max(t.step, off*trimMore)
	}
	t.off, t.from = min(off+t.step, 0.5), now
	return t.off > mostTrim
}
