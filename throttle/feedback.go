package throttle

import "time"

// An Outcome says what a request's end tells about the server.
type Outcome uint8

const (
	Ignored    Outcome = iota // nothing: cancelled by us, or an answer that says nothing about pace
	Success                   // the server did the work
	Throttled                 // over a quota: 429, or what else says so
	Overloaded                // too much at once: 503, refused, reset, a connect that takes seconds
	TimedOut                  // far too much at once: 504, our own timeout
)

var outcomes = [...]string{"ignored", "success", "throttled", "overloaded", "timed out"}

// String returns the outcome in words.
func (o Outcome) String() string {
	if int(o) < len(outcomes) {
		return outcomes[o]
	}
	return "unknown outcome"
}

// Feedback tells an [Upstream] how a request went.
type Feedback struct {
	Outcome Outcome

	// Latency is how long the server took, from the token on; zero: not known.
	Latency time.Duration

	// RetryAt is the instant before which the server does not want to be asked
	// again; zero: it did not say. With Throttled and Overloaded it pauses the
	// upstream for everyone.
	RetryAt time.Time

	// Source is who named RetryAt, for people to read, such as "Retry-After".
	Source string
}
