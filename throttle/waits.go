package throttle

import (
	"sync"
	"time"
)

// Holding names what holds callers back.
type Holding string

const (
	Nothing       Holding = ""            // nobody waits
	ByRate        Holding = "rate"        // Limits.Rate
	ByConcurrency Holding = "concurrency" // Limits.InFlight
	ByBandwidth   Holding = "bandwidth"   // Limits.Bandwidth
	ByCoolDown    Holding = "cool-down"   // a pause, mostly asked for by the server
)

// Waited is time by the limit that held callers back.
type Waited struct{ Rate, Concurrency, Bandwidth, CoolDown time.Duration }

const (
	byRate = iota
	byBandwidth
	byConcurrency
	kinds
)

// waits tells which limit holds an upstream's callers back, and for how long
// each did. At any instant it is one: who waits for a permit while those who
// hold permits wait for tokens is waiting for the rate, so the limits further
// down the way come first.
type waits struct {
	mu     sync.Mutex
	since  time.Time  // up to here it is accounted for
	n      [kinds]int // callers who wait now
	until  time.Time  // of the pause, on the wall clock
	waited Waited
}

func (w *waits) enter(kind int) { w.add(kind, 1) }
func (w *waits) leave(kind int) { w.add(kind, -1) }

func (w *waits) add(kind, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	// The account changes only when a limit begins or ceases to hold somebody.
	if before := w.n[kind]; before == 0 || before+n == 0 {
		w.settleLocked(time.Now())
	}
	w.n[kind] += n
}

func (w *waits) pause(until time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settleLocked(time.Now())
	if until = until.Round(0); until.After(w.until) {
		w.until = until
	}
}

func (w *waits) resume() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settleLocked(time.Now())
	w.until = time.Time{}
}

// settleLocked accounts for the time since the last call. It requires that mu
// is held.
func (w *waits) settleLocked(now time.Time) {
	span := now.Sub(w.since)
	// What is left of the pause now was not yet waited for.
	if paused := span + min(w.until.Sub(now.Round(0)), 0); paused > 0 && w.n[byRate] > 0 {
		w.waited.CoolDown += paused
		span -= paused
	}
	w.since = now
	switch w.holdingLocked() {
	case ByRate:
		w.waited.Rate += span
	case ByBandwidth:
		w.waited.Bandwidth += span
	case ByConcurrency:
		w.waited.Concurrency += span
	}
}

// holdingLocked names the limit in force, pauses aside. It requires that mu is
// held.
func (w *waits) holdingLocked() Holding {
	switch {
	case w.n[byRate] > 0:
		return ByRate
	case w.n[byBandwidth] > 0:
		return ByBandwidth
	case w.n[byConcurrency] > 0:
		return ByConcurrency
	}
	return Nothing
}

func (w *waits) snapshot() (Holding, Waited) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	w.settleLocked(now)
	holding := w.holdingLocked()
	if holding == ByRate && w.until.After(now.Round(0)) {
		holding = ByCoolDown
	}
	return holding, w.waited
}
