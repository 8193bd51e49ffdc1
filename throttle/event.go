package throttle

import (
	"net/http"
	"time"

	"golang.org/x/time/rate"
)

// An EventKind is what an [Event] is about. The zero value is not used.
type EventKind uint8

const (
	Sent   EventKind = iota + 1 // a request has its permit and token and leaves
	Resent                      // net/http sends it once more by itself
	Paused                      // an answer began or prolonged a cool-down
	Ended                       // the answer's head is here, or there will be none
	// the phase of the controller, or by a tenth and more what it found
	Changed
	// the answer's body was neither closed nor read to its end, and is garbage
	Leaked
)

var eventKinds = [...]string{Sent: "sent", Resent: "resent", Paused: "paused", Ended: "ended", Changed: "changed", Leaked: "leaked"}

// String returns the kind in a word.
func (k EventKind) String() string {
	if k >= Sent && int(k) < len(eventKinds) {
		return eventKinds[k]
	}
	return "unknown event"
}

// An Event is something that a [Transport] did. All texts in it may be logged:
// no header value of the request, no user, password or query of a URL is in
// them, even where the server sent one back. Request is the request itself, and
// Key is whatever [Transport.Key] returned.
type Event struct {
	Kind    EventKind
	Key     string        // the upstream's
	Request *http.Request // as given, with its secrets; not to be changed

	Waited time.Duration // Sent: for the permit and the token
	// Sent, Resent: when its token was given out; Observe may be called somewhat later
	Token time.Time

	// Ended: how it went. Latency is the time since the token. Resent: Outcome is
	// Overloaded if the server did not want the request, [Ignored] if an idle
	// connection was dead.
	Status  int   // 0: no answer
	Err     error // why there is none; what errors.As finds in it is as RoundTrip returned it
	Outcome Outcome
	Latency time.Duration

	// Paused: until when, and who asked for it.
	Until  time.Time
	Source string

	// Changed: what is in force from now on, and why, for people to read.
	Phase  Phase
	Limit  int        // requests in flight; [math.MaxInt]: no limit
	Rate   rate.Limit // requests a second; [rate.Inf]: no limit
	Reason string

	// Malformed says that the answer (Ended) has throttling headers that cannot
	// be understood; they were passed over.
	Malformed bool
}
