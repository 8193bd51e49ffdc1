// Package adaptive finds the pace that a server can take from how requests to it end: how many may
// be in flight at once, and how many may leave a second.
//
// A [Controller] is a state machine without a clock, a lock, a goroutine or a network. Its owner
// reports with each call what happened and at which instant, and follows its [Orders]. What it goes
// by are its parts: evidence of what refusals follow, the pace that they show, the quota that the
// server states, and the throughput of transfers.
package adaptive

import (
	"time"

	"github.com/penstock/penstock/internal/adaptive/quota"
)

// Limits are ceilings that the user gives. A zero field is one that the controller finds.
type Limits struct {
	Rate     float64 // requests a second
	InFlight int
	Fixed    bool // nothing is to be found: the limits hold as they are given
}

// A Signal is what the end of a request says about the server. Throttled and Overloaded are first
// guesses: a [Controller] finds out whether refusals follow the rate of requests or the number in
// flight.
type Signal uint8

// The zero Signal is taken as SignalIgnored.
const (
	SignalIgnored    Signal = iota + 1 // nothing: we cancelled it
	SignalSuccess                      // the server did the work
	SignalThrottled                    // too many in a while
	SignalOverloaded                   // too many at once
	SignalTimedOut                     // far too many at once: the server may work on it still
	SignalAnswered                     // the server answers, which says nothing of its pace
	SignalFailed                       // it could not do the work, and may do none at all
)

// Signals are the words for each Signal.
var Signals = [...]string{
	"none", "ignored", "success", "throttled", "overloaded", "timed out", "answered", "failed",
}

// A Phase is what a [Controller] is doing.
type Phase uint8

// There is no Controller in the zero Phase.
const (
	PhaseStarting    Phase = iota + 1 // it doubles the limit until the server slows down or refuses
	PhaseSteady                       // it follows the server
	PhaseHoldingBack                  // refused: nothing is sent until something is accepted
	PhaseDown                         // probes are refused, too: one at a time
	PhaseFixed                        // the limits hold as they were given
)

// Phases are the words for each Phase.
var Phases = [...]string{"none", "starting", "steady", "holding back", "down", "fixed"}

// A Sample is how a request went.
type Sample struct {
	Signal Signal

	// Latency is how long the first byte of the answer took, with the sending of the body. If zero,
	// a success took up to now.
	Latency time.Duration
	Server  time.Duration // the part of Latency that is the server's alone; if zero, all of it
	Bytes   int64         // in the body

	RetryAt  time.Time         // nothing should be sent before; if zero, that was not stated
	Source   string            // where it was stated
	Quotas   []quota.Allowance // what is left to us
	InFlight int               // how many requests at once are allowed; if zero, not stated

	// Own reports that a refusal is about this request: others like it are accepted.
	Own bool
}

// A Pause is a time in which nothing is to be sent.
type Pause struct {
	Until  time.Time // if zero, there is none
	Source string    // who asked for it; may be empty
	Own    bool      // ours: longer than what the server asked for, if it asked
}

// Orders are what a [Controller] wants of its owner. They change with each call that reports
// something, and by themselves at the instant Until.
type Orders struct {
	Room int     // how many may be in flight
	Rate float64 // how many may leave a second

	// Held reports that the server refuses. One request may go at the instant Probe, whatever the
	// room, and no other. If Probe is zero, something else must end first.
	Held  bool
	Probe time.Time
	Most  int // how many may be in flight with a probe

	Until time.Time // if zero, they do not change by themselves
}

// A State is what a [Controller] has found, for people.
type State struct {
	Phase   Phase
	Reason  string    // of the latest change
	Changed time.Time // when the phase did

	Learned bool      // a limit in force was found
	Rate    float64   // the mean of Orders.Rate over some time
	Probe   time.Time // when the next may go while the server refuses; if zero, one is on its way

	Latency        time.Duration // a fading mean; if zero, not known
	BytesPerSecond float64       // of the transfers under way
}
