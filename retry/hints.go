package retry

import (
	"net/http"
	"time"

	"github.com/penstock/penstock/internal/hint"
)

// Hints is what a response's headers say about sending again. The zero value says nothing.
type Hints struct {
	// Wait is the wait asked for, never negative; [math.MaxInt64] if it is longer than can be
	// counted.
	Wait      time.Duration
	Known     bool    // a usable wait was given: an explicit zero differs from none
	Source    string  // the header that decided, in lower case; empty if none did
	Throttled bool    // this status with these headers is a throttle
	Malformed bool    // some header was there and unusable; it was passed over
	Limits    []Limit // the quotas stated
}

// Limit is one quota as a server states it. Counts and durations are -1 when unknown.
type Limit struct {
	Policy    string        // its name; empty if it has none
	Unit      string        // what it counts: "requests" unless stated otherwise
	Limit     int64         // units in a window
	Remaining int64         // units left
	Reset     time.Duration // time until the quota is renewed
	Window    time.Duration // length of the window
	Dated     bool          // Reset was stated as an instant, not as a delay
}

// ParseHints reads Retry-After (RFC 9110 section 10.2.3), RateLimit and RateLimit-Policy
// (draft-ietf-httpapi-ratelimit-headers), the usual X-RateLimit-* headers and those of some vendors
// of a response that arrived at the instant now. Headers that cannot be used are passed over, never
// an error; h may be nil. It is safe for concurrent use.
func ParseHints(status int, h http.Header, now time.Time) Hints {
	p := hint.Parse(status, h, now)
	hints := Hints{Wait: p.Wait, Known: p.Known, Source: p.Source, Throttled: p.Throttled,
		Malformed: p.Malformed}
	for _, l := range p.Limits {
		hints.Limits = append(hints.Limits, Limit(l))
	}
	return hints
}
