package throttle

import (
	"time"

	"github.com/penstock/penstock/internal/adaptive"
)

// An Outcome is what a request's end says about the server. Throttled and Overloaded are first
// guesses: an [Upstream] finds out whether refusals follow the rate of requests or the number in
// flight. An Upstream counts the zero value as unreported, and otherwise takes it as Ignored.
type Outcome uint8

const (
	Ignored   Outcome = iota + 1 // nothing: cancelled by us
	Success                      // the server did the work
	Throttled                    // over a quota: 429, or what else says so
	// too much at once: 502, 503, refused, reset, a connect that takes seconds
	Overloaded
	// far too much at once: 504, our own timeout, or the caller's after much more than the latency
	TimedOut
	Answered // it answers, but says nothing of its pace: 404
	// it could not do the work, and may do none at all: 500, a proxy that refuses
	Failed
)

var outcomes = [...]string{"none", "ignored", "success", "throttled", "overloaded", "timed out", "answered", "failed"}

// String returns the outcome in words.
func (o Outcome) String() string {
	if int(o) < len(outcomes) {
		return outcomes[o]
	}
	return "unknown outcome"
}

// Feedback is how a request went.
type Feedback struct {
	Outcome Outcome // required

	// Latency is how long it took from the token to the first byte of the answer,
	// with the sending of the body; if zero, up to now, where the outcome is Success.
	Latency time.Duration

	// Server is the part of Latency after the last byte of the request was
	// written, which is the server's alone; if zero, all of it.
	Server time.Duration

	// Bytes is the length of the request's body. With Server it shows how long a byte takes on our
	// own link.
	Bytes int64

	// RetryAt is the instant before which the server does not want to be asked again; if zero, it
	// did not say. With Throttled and Overloaded it pauses the whole upstream.
	RetryAt time.Time

	// Source is who named RetryAt, for people to read, such as "Retry-After".
	Source string

	// Quotas are what the answer says is left to us.
	Quotas []Quota

	// InFlight is how many requests at once the server says that it allows us;
	// if zero, it did not say.
	InFlight int

	own bool // the cause is in the request: others like it are accepted
}

// sample returns what the controller goes by.
func (f *Feedback) sample() adaptive.Sample {
	s := adaptive.Sample{
		Signal:   adaptive.Signal(f.Outcome),
		Latency:  f.Latency,
		Server:   f.Server,
		Bytes:    f.Bytes,
		RetryAt:  f.RetryAt,
		Source:   f.Source,
		InFlight: f.InFlight,
		Own:      f.own,
	}
	for _, q := range f.Quotas {
		s.Quotas = append(s.Quotas, adaptive.Quota(q))
	}
	return s
}

// A Quota is one allowance of requests, as a server states it.
type Quota struct {
	Remaining int64 // requests left in the window; negative if not stated
	// until the window ends, from the answer's arrival; negative if not stated
	Reset  time.Duration
	Limit  int64         // requests in a window; below 1 if not stated
	Window time.Duration // its length; below 1 if not stated
}

// A Phase is what the controller of an [Upstream] is doing.
type Phase string

const (
	// it doubles the limit until the server slows down or refuses
	PhaseStarting Phase = "starting"
	PhaseSteady   Phase = "steady" // it follows the server
	// the server refused: nothing is sent until it accepts again
	PhaseHoldingBack Phase = "holding back"
	PhaseDown        Phase = "down"  // it refuses all the same: one probe at a time
	PhaseFixed       Phase = "fixed" // switched off: the limits hold as they were given
)
