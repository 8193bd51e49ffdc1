package retry

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/penstock/penstock/internal/said"
	"github.com/penstock/penstock/internal/secret"
)

// Event describes what one attempt led to. Logged with [log/slog] or as JSON it holds no secret and
// leaves out what says nothing.
type Event struct {
	Kind    EventKind
	Request *http.Request // the caller's; its URL and headers may hold secrets. Nil from Policy.Do
	Attempt int           // its number, from 1 on; 0 if none was made
	Status  int           // of its answer, or of a proxy's; 0 if there was none
	Err     error         // what went wrong, without secrets; nil if the call is delivered
	Outcome Outcome       // of the call, once it has ended
	Wait    time.Duration // until the next attempt
	// Until is when the next attempt begins, or after the end when to send again, if that is known.
	Until     time.Time
	Uncertain bool // the attempt may have been processed, although no answer says so
	// Reason is a few words: "throttled", "unreachable", "server error", "body cannot be sent
	// again", …
	Reason string
}

// EventKind says what an [Event] is about.
type EventKind uint8

// The kinds of events.
const (
	EventWaiting EventKind = iota + 1 // the call waits, and then makes another attempt
	EventEnded                        // the call is over
)

var eventKinds = said.Words{"", "waiting", "ended"}

// String returns "waiting" or "ended".
func (k EventKind) String() string { return eventKinds.Of(uint8(k)) }

// MarshalText returns what String does.
func (k EventKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (k *EventKind) UnmarshalText(text []byte) error { return eventKinds.Read(text, (*uint8)(k)) }

func (e Event) attrs() []slog.Attr {
	var request string
	if e.Request != nil {
		request = secret.Of(e.Request).Hide(secret.Name(e.Request))
	}
	return said.Something(
		slog.String("kind", e.Kind.String()), slog.String("request", request),
		slog.Int("attempt", e.Attempt), slog.Int("status", e.Status),
		slog.String("reason", e.Reason), slog.String("outcome", outcomes.Said(uint8(e.Outcome))),
		slog.Duration("wait", e.Wait), slog.Time("until", e.Until),
		slog.Bool("uncertain", e.Uncertain), slog.String("error", said.Error(e.Err)))
}

// LogValue returns what the Event says as a group.
func (e Event) LogValue() slog.Value { return slog.GroupValue(e.attrs()...) }

// MarshalJSON returns the same as a JSON object; durations are in nanoseconds.
func (e Event) MarshalJSON() ([]byte, error) { return said.JSON(e.attrs()) }
