package throttle

import (
	"sync"
	"time"
)

// Holding is the limit that holds callers back.
type Holding uint8

// The text of each is what String returns, in JSON too.
const (
	HoldingNone        Holding = iota // "": nobody waits
	HoldingRate                       // "rate": Limits.Rate, or the rate that was learned
	HoldingConcurrency                // "concurrency": Limits.InFlight, or the limit that was found
	HoldingBandwidth                  // "bandwidth": Limits.Bandwidth
	HoldingCoolDown                   // "cool-down": a pause, mostly asked for by the server
	HoldingDown                       // "down": the server is down, and gets one probe at a time
	HoldingQuota                      // "quota": a Leaser, or Upstream.Cap
)

var holdings = [...]string{"", "rate", "concurrency", "bandwidth", "cool-down", "down", "quota"}

// String returns the limit in a word.
func (h Holding) String() string { return word(holdings[:], h) }

// MarshalText returns what String does.
func (h Holding) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (h *Holding) UnmarshalText(text []byte) error { return setWord(holdings[:], h, text) }

// Waited is time by the limit that held callers back.
type Waited struct{ Rate, Concurrency, Bandwidth, CoolDown, Down, Quota time.Duration }

// of returns the time of a limit, or nil.
func (w *Waited) of(h Holding) *time.Duration {
	switch h {
	case HoldingRate:
		return &w.Rate
	case HoldingConcurrency:
		return &w.Concurrency
	case HoldingBandwidth:
		return &w.Bandwidth
	case HoldingCoolDown:
		return &w.CoolDown
	case HoldingDown:
		return &w.Down
	case HoldingQuota:
		return &w.Quota
	}
	return nil
}

// since returns what was added to an earlier account.
func (w Waited) since(earlier Waited) Waited {
	for h := HoldingRate; int(h) < len(holdings); h++ {
		*w.of(h) -= *earlier.of(h)
	}
	return w
}

// waits records which limit holds an upstream's callers back, and for how long each did. At any
// instant it is one: the limit that the first caller in line waits for. If that caller waits for
// others to land that wait for bandwidth themselves, it is bandwidth.
type waits struct {
	mu     sync.Mutex
	since  time.Time // up to here it is accounted for
	first  Holding   // what the first in line waits for
	bytes  int       // callers that wait for bandwidth
	waited Waited
}

// hold notes what the first in line waits for from now on.
func (w *waits) hold(why Holding) {
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

// settleLocked accounts for the time since the last call. It requires that mu is held.
func (w *waits) settleLocked(now time.Time) {
	span := now.Sub(w.since)
	w.since = now
	if d := w.waited.of(w.holdingLocked()); d != nil {
		*d += span
	}
}

// holdingLocked names the limit in force. It requires that mu is held.
func (w *waits) holdingLocked() Holding {
	if w.bytes > 0 && (w.first == HoldingNone || w.first == HoldingConcurrency) {
		return HoldingBandwidth
	}
	return w.first
}

func (w *waits) snapshot() (Holding, Waited) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settleLocked(time.Now())
	return w.holdingLocked(), w.waited
}
