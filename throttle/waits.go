package throttle

import (
	"sync"
	"time"
)

// Holding names what holds callers back.
type Holding string

const (
	Nothing       Holding = ""            // nobody waits
	ByRate        Holding = "rate"        // Limits.Rate, or the rate that was learned
	ByConcurrency Holding = "concurrency" // Limits.InFlight, or the limit that was found
	ByBandwidth   Holding = "bandwidth"   // Limits.Bandwidth
	ByCoolDown    Holding = "cool-down"   // a pause, mostly asked for by the server
	ByDown        Holding = "down"        // the server is down: one probe at a time
)

// Waited is time by the limit that held callers back.
type Waited struct{ Rate, Concurrency, Bandwidth, CoolDown, Down time.Duration }

// A hold is what the first in line waits for.
type hold uint8

const (
	free hold = iota // nothing: nobody waits
	byRate
	byConcurrency
	byCoolDown
	byDown
)

var holdings = [...]Holding{Nothing, ByRate, ByConcurrency, ByCoolDown, ByDown}

// waits records which limit holds an upstream's callers back, and for how long each did. At any
// instant it is one: the limit that the first caller in line waits for. If that caller waits for
// others to land that wait for bandwidth themselves, it is bandwidth.
type waits struct {
	mu     sync.Mutex
	since  time.Time // up to here it is accounted for
	first  hold      // what the first in line waits for
	bytes  int       // callers that wait for bandwidth
	waited Waited
}

// hold notes what the first in line waits for from now on.
func (w *waits) hold(why hold) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settleLocked(time.Now())
	w.first = why
}

// bandwidth adds a caller to those that wait for bandwidth, or removes it.
func (w *waits) bandwidth(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	// The account changes only when the first comes or the last goes.
	if before := w.bytes; before == 0 || before+n == 0 {
		w.settleLocked(time.Now())
	}
	w.bytes += n
}

// settleLocked accounts for the time since the last call. It requires that mu
// is held.
func (w *waits) settleLocked(now time.Time) {
	span := now.Sub(w.since)
	w.since = now
	switch w.holdingLocked() {
	case ByRate:
		w.waited.Rate += span
	case ByConcurrency:
		w.waited.Concurrency += span
	case ByBandwidth:
		w.waited.Bandwidth += span
	case ByCoolDown:
		w.waited.CoolDown += span
	case ByDown:
		w.waited.Down += span
	}
}

// holdingLocked names the limit in force. It requires that mu is held.
func (w *waits) holdingLocked() Holding {
	if w.bytes > 0 && (w.first == free || w.first == byConcurrency) {
		return ByBandwidth
	}
	return holdings[w.first]
}

func (w *waits) snapshot() (Holding, Waited) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settleLocked(time.Now())
	return w.holdingLocked(), w.waited
}
