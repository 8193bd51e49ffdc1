package throttle

import "time"

const (
	trimStep  = 0.005             // of the given rate, doubled where it does not help
	trimCalm  = time.Minute       // without a refusal: then it creeps back; doubled where that is refused
	trimCreep = 100 * time.Second // for one step
	strikes   = 3                 // refusals one soon after the other: the given rate is far too high
)

// A trim is what is taken off the rate that the user gave: servers that count in
// a strict sliding window refuse a client at exactly their rate now and then.
type trim struct {
	off     float64   // the share
	from    time.Time // when it was taken off
	step    float64   // the next
	calm    time.Duration
	strikes int
}

// at is the share at that instant.
func (t *trim) at(now time.Time) float64 {
	back := now.Sub(t.from) - t.calm
	return max(0, t.off-trimStep*max(0, back.Seconds()/trimCreep.Seconds()))
}

// refused takes in a refusal, and reports whether trimming is of no use.
func (t *trim) refused(now time.Time) (useless bool) {
	off, soon := t.at(now), now.Sub(t.from) < trimCalm/4
	switch {
	case soon:
		t.step *= 2
		t.strikes++
	case t.off > off: // it was on its way back
		t.calm = min(2*t.calm, time.Hour)
		fallthrough
	default:
		t.step, t.strikes = trimStep, 0
		t.calm = max(t.calm, trimCalm)
	}
	t.off, t.from = min(off+t.step, 0.5), now
	return t.strikes >= strikes
}
