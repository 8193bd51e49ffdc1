package pace

import (
	"time"

	"github.com/penstock/penstock/internal/seconds"
)

const (
	trimStep = 0.005 // the share of the given rate that one refusal takes off, at least
	mostTrim = 0.3   // with more than this the given rate is far too high

	// After so long without a refusal it creeps back, a step in each trimCreep. If that is refused,
	// it stays for twice as long.
	trimCalm  = 10 * time.Second
	trimCreep = 10 * time.Second

	// Where less than so many pauses pass between refusals, each costs more than what is taken off:
	// then trimMore of that is added, at least.
	dearRefusal = 4
	trimMore    = 1. / 3
)

// A trim is the share that is taken off the rate that the user gave: servers that count in a strict
// sliding window refuse a client at exactly their rate now and then.
type trim struct {
	share float64
	from  time.Time // when it was taken off
	step  float64   // the latest
	calm  time.Duration
	creep time.Duration
}

// at is the share at that instant.
func (t *trim) at(now time.Time) float64 {
	if t.share == 0 {
		return 0
	}
	back := now.Sub(t.from) - t.calm
	return max(0, t.share-trimStep*max(0, back.Seconds()/t.creep.Seconds()))
}

// refused records a refusal after so many requests were accepted, and reports whether trimming is
// of no use.
func (t *trim) refused(now time.Time, accepted int, given float64, pause time.Duration) bool {
	share := t.at(now)
	if t.share > share { // it was on its way back
		t.calm = min(2*t.calm, time.Hour)
	}
	t.calm = max(t.calm, trimCalm, seconds.Duration(200/given), min(30*pause, time.Minute))
	t.creep = max(trimCreep, seconds.Duration(400/given))
	t.step = nextCut(t.step, accepted)
	if float64(accepted) < dearRefusal*given*pause.Seconds() {
		t.step = max(t.step, share*trimMore)
	}
	t.share, t.from = min(share+t.step, 0.5), now
	return t.share > mostTrim
}
