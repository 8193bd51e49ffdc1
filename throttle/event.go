package throttle

import (
	"encoding/json"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/time/rate"
)

// An EventKind is what an [Event] is about. The zero value is not used.
type EventKind uint8

// The text of each is what String returns: "sent", "resent", and so on.
const (
	EventSent   EventKind = iota + 1 // a request has its permit and token and leaves
	EventResent                      // net/http sends it once more by itself
	EventPaused                      // an answer began or prolonged a cool-down
	EventEnded                       // the answer's head is here, or there will be none
	// the phase of the controller, or by a tenth and more what it found
	EventChanged
	// the answer's body was neither closed nor read to its end, and is garbage
	EventLeaked
)

var eventKinds = [...]string{"none", "sent", "resent", "paused", "ended", "changed", "leaked"}

// String returns the kind in a word.
func (k EventKind) String() string { return word(eventKinds[:], k) }

// MarshalText returns what String does.
func (k EventKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (k *EventKind) UnmarshalText(text []byte) error { return setWord(eventKinds[:], k, text) }

// An Event is something that a [Transport] or an [Upstream] did. All texts in it may be logged: no
// header value of the request, no user, password or query of a URL is in them, even where the
// server sent one back. Request is the request itself, and Key is whatever [Transport.Key]
// returned.
type Event struct {
	Kind    EventKind
	Key     string        // the upstream's; an Upstream of your own has none
	Request *http.Request // as given, with its secrets; not to be changed. Nil from an Upstream

	// Sent: how long the request waited for its turn, and how long of that each limit held it.
	// Waited may exceed the sum of WaitedFor by time spent outside the queues.
	Waited    time.Duration
	WaitedFor Waited
	// Sent, Resent: when its token was given out; Observe may be called somewhat later
	Token time.Time

	// Ended: how it went. Latency is the time since the token. Resent: Signal is SignalOverloaded
	// if the server did not want the request, SignalIgnored if an idle connection was dead.
	Status  int   // 0: no answer
	Err     error // why there is none; what errors.As finds in it is as RoundTrip returned it
	Signal  Signal
	Latency time.Duration

	// Paused: until when, and who asked for it.
	Until  time.Time
	Source string

	// Changed: what is in force from now on, and why, for people to read: "growing" if more is
	// being tried after a refusal, "quota" if the server states it, …
	Phase  Phase
	Limit  int        // requests in flight; [math.MaxInt]: no limit
	Rate   rate.Limit // requests a second; [rate.Inf]: no limit
	Reason string

	// Malformed says that the answer (Ended) has throttling headers that cannot be understood; they
	// were passed over.
	Malformed bool
}

// attrs returns what the event says. Limits that are none are left out.
func (e Event) attrs() []slog.Attr {
	attrs := []slog.Attr{slog.String("kind", e.Kind.String())}
	add := func(says bool, a slog.Attr) {
		if says {
			attrs = append(attrs, a)
		}
	}
	add(e.Key != "", slog.String("key", e.Key))
	add(e.Waited > 0, slog.Duration("waited", e.Waited))
	for h := HoldingRate; int(h) < len(holdings); h++ {
		add(*e.WaitedFor.of(h) > 0, slog.Duration("waited_for_"+h.String(), *e.WaitedFor.of(h)))
	}
	add(e.Status != 0, slog.Int("status", e.Status))
	if e.Err != nil {
		add(true, slog.String("err", e.Err.Error()))
	}
	add(e.Signal != 0, slog.String("signal", e.Signal.String()))
	add(e.Latency > 0, slog.Duration("latency", e.Latency))
	add(!e.Until.IsZero(), slog.Time("until", e.Until))
	add(e.Source != "", slog.String("source", e.Source))
	add(e.Kind == EventChanged, slog.Any("phase", e.Phase))
	add(e.Limit > 0 && e.Limit < math.MaxInt, slog.Int("limit", e.Limit))
	add(e.Rate > 0 && e.Rate < rate.Inf, slog.Float64("rate", float64(e.Rate)))
	add(e.Reason != "", slog.String("reason", e.Reason))
	add(e.Malformed, slog.Bool("malformed", true))
	return attrs
}

// LogValue returns a group of the fields that say something. Request and Token are not among them.
func (e Event) LogValue() slog.Value { return slog.GroupValue(e.attrs()...) }

// MarshalJSON returns an object of what LogValue returns; durations are in nanoseconds.
func (e Event) MarshalJSON() ([]byte, error) {
	text := []byte{'{'}
	for i, a := range e.attrs() {
		if i > 0 {
			text = append(text, ',')
		}
		value, err := json.Marshal(a.Value.Any())
		if err != nil {
			return nil, err
		}
		text = append(strconv.AppendQuote(text, a.Key), ':')
		text = append(text, value...)
	}
	return append(text, '}'), nil
}
