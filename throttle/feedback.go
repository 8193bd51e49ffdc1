package throttle

import (
	"time"

	"github.com/penstock/penstock/internal/adaptive"
	"github.com/penstock/penstock/internal/adaptive/quota"
)

// A Signal is what the end of a request says about the server. SignalThrottled and SignalOverloaded
// are first guesses: an [Upstream] finds out whether refusals follow the rate of requests or the
// number in flight. The zero value is counted as unreported, and has the effect of SignalIgnored.
type Signal uint8

// The text of each is what String returns, in JSON too: "ignored", "success", and so on; "timed
// out" in two words. That of the zero value is "none".
const (
	SignalIgnored   Signal = iota + 1 // it says nothing: we cancelled the request
	SignalSuccess                     // the server did the work
	SignalThrottled                   // too many requests in a while: status 429
	// Too many requests at once: 502, 503, a connection that is refused, reset or takes seconds.
	SignalOverloaded
	// Far too many at once: 504, our own timeout, or the caller's after much more than the latency.
	SignalTimedOut
	SignalAnswered // the server answers, which says nothing of its pace: 404
	// The server could not do the work, and may do none at all: 500, a proxy that refuses.
	SignalFailed
)

// String returns the signal in words.
func (s Signal) String() string { return word(adaptive.Signals[:], s) }

// MarshalText returns what String does.
func (s Signal) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (s *Signal) UnmarshalText(text []byte) error { return setWord(adaptive.Signals[:], s, text) }

// A Phase is what an [Upstream] is doing about the limits that it finds. The zero value is none.
type Phase uint8

// The text of each is what String returns, in JSON too: "starting", "steady", "holding back", and
// so on. That of the zero value is "none".
const (
	// It doubles the number in flight until the server slows down or refuses.
	PhaseStarting Phase = iota + 1
	PhaseSteady         // it follows the server
	// The server refused a request, and gets none until it accepts one again.
	PhaseHoldingBack
	PhaseDown  // it refused one that was sent later, too: it gets one at a time, the probe
	PhaseFixed // by [Limits.Fixed] the limits hold as they were given
)

// String returns the phase in words.
func (p Phase) String() string { return word(adaptive.Phases[:], p) }

// MarshalText returns what String does.
func (p Phase) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (p *Phase) UnmarshalText(text []byte) error { return setWord(adaptive.Phases[:], p, text) }

// A Feedback is how a request went. All but Signal is optional.
type Feedback struct {
	Signal Signal

	// Latency is the time from the token to the first byte of the answer, the sending of the body
	// included. If zero, the time from the token to Done is taken for a success.
	Latency time.Duration

	// Server is the part of Latency that the server took, after the last byte of the request was
	// written. If zero, all of it.
	Server time.Duration

	// Bytes is the length of the request's body. With Server it shows how long a byte takes on our
	// own link.
	Bytes int64

	// RetryAt is the instant before which the server does not want to be asked again; if zero, it
	// did not say. With SignalThrottled and SignalOverloaded it pauses the whole upstream.
	RetryAt time.Time

	// Source is who named RetryAt, for people to read, such as "retry-after".
	Source string

	// Quotas are what the server says is left to us.
	Quotas []Quota

	// InFlight is how many requests at once the server says that it allows us; if zero, it did not
	// say.
	InFlight int

	own bool // the cause is in the request: others like it are accepted
}

// sample returns what the controller goes by.
func (f *Feedback) sample() adaptive.Sample {
	s := adaptive.Sample{
		Signal:   adaptive.Signal(f.Signal),
		Latency:  f.Latency,
		Server:   f.Server,
		Bytes:    f.Bytes,
		RetryAt:  f.RetryAt,
		Source:   f.Source,
		InFlight: f.InFlight,
		Own:      f.own,
	}
	for _, q := range f.Quotas {
		s.Quotas = append(s.Quotas, quota.Allowance(q))
	}
	return s
}

// A Quota is one allowance of requests, as a server states it.
type Quota struct {
	Remaining int64         // requests left in the window; negative if not stated
	Reset     time.Duration // until the window ends, from now; negative if not stated
	Limit     int64         // requests in a window; below 1 if not stated
	Window    time.Duration // the length of a window; below 1 if not stated
}
