package gate

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"
)

// An Event is what a [Gate] decided about one request.
type Event struct {
	Kind       EventKind
	Key        string        // that the request counts against; a hash if it is long
	Weight     int           // tokens that it costs
	RetryAfter time.Duration `json:",omitzero"` // of a refusal, in whole seconds; else zero
	// must not be changed, nor used after Observe returns
	Request *http.Request `json:"-"`
}

// LogValue returns the event as a group, without the request.
func (e Event) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("kind", e.Kind.String()), slog.String("key", e.Key)}
	if e.Weight != 1 {
		attrs = append(attrs, slog.Int("weight", e.Weight))
	}
	if e.RetryAfter > 0 {
		attrs = append(attrs, slog.Duration("retry_after", e.RetryAfter))
	}
	return slog.GroupValue(attrs...)
}

// An EventKind is what became of a request.
type EventKind uint8

// The kinds of events.
const (
	EventAdmitted          EventKind = iota // it is served
	EventRefusedByRate                      // its key has used up the rate
	EventRefusedByInFlight                  // its key has too many requests in flight
)

var eventKinds = [...]string{"admitted", "refused by rate", "refused by in flight"}

// String returns the kind in words.
func (k EventKind) String() string {
	if int(k) < len(eventKinds) {
		return eventKinds[k]
	}
	return fmt.Sprintf("EventKind(%d)", uint8(k))
}

// MarshalText returns what String does.
func (k EventKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (k *EventKind) UnmarshalText(text []byte) error {
	i := slices.Index(eventKinds[:], string(text))
	if i < 0 {
		return fmt.Errorf("gate: %q is no kind of event", text)
	}
	*k = EventKind(i)
	return nil
}
