package throttle

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http/httptest"
	"testing"
	"time"

	"golang.org/x/time/rate"
)

// Each enumeration reads what it writes, and nothing else.
func TestWords(t *testing.T) {
	check := func(from encoding.TextMarshaler, to encoding.TextUnmarshaler, value func() any) {
		text, err := from.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		if err := to.UnmarshalText(text); err != nil || value() != from {
			t.Errorf("%T %q is read as %v, %v", from, text, value(), err)
		}
		if to.UnmarshalText([]byte("no such word")) == nil {
			t.Errorf("%T: anything is read", from)
		}
	}
	for k := EventSent; k <= EventLeaked; k++ {
		var back EventKind
		check(k, &back, func() any { return back })
	}
	for h := HoldingNone; h <= HoldingDown; h++ {
		var back Holding
		check(h, &back, func() any { return back })
	}
	if got := EventKind(9).String(); got != "throttle.EventKind(9)" {
		t.Error(got)
	}
}

// Logs have the fields that say something, no request, and no number that stands for no limit.
func TestEventInLogs(t *testing.T) {
	at := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	r := httptest.NewRequest("PUT", "http://user:sesame@h/", nil)
	for _, c := range []struct {
		event Event
		want  string
	}{
		{Event{Kind: EventSent, Key: "http://h", Request: r, Token: at, Waited: time.Second,
			WaitedFor: Waited{Rate: time.Millisecond, CoolDown: 2}},
			`{"kind":"sent","key":"http://h","waited":1000000000,"waited_for_rate":1000000,` +
				`"waited_for_cool-down":2}`},
		{Event{Kind: EventEnded, Status: 429, Signal: SignalThrottled, Latency: 5, Malformed: true},
			`{"kind":"ended","status":429,"signal":"throttled","latency":5,"malformed":true}`},
		{Event{Kind: EventEnded, Err: errors.New(`a "b"`), Signal: SignalIgnored},
			`{"kind":"ended","err":"a \"b\"","signal":"ignored"}`},
		{Event{Kind: EventPaused, Until: at, Source: "retry-after"},
			`{"kind":"paused","until":"2026-11-01T12:00:00Z","source":"retry-after"}`},
		{Event{Kind: EventChanged, Phase: PhaseSteady, Limit: math.MaxInt, Rate: rate.Inf},
			`{"kind":"changed","phase":"steady"}`},
		{Event{Kind: EventChanged, Phase: PhaseSteady, Limit: 4, Rate: 2.5, Reason: "latency"},
			`{"kind":"changed","phase":"steady","limit":4,"rate":2.5,"reason":"latency"}`},
	} {
		var log bytes.Buffer
		plain := slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key != "event" {
				return slog.Attr{}
			}
			return a
		}}
		slog.New(slog.NewJSONHandler(&log, &plain)).Info("", "event", c.event)
		if want := `{"event":` + c.want + "}\n"; log.String() != want {
			t.Errorf("logged as %s, want %s", &log, want)
		}
		if text, err := json.Marshal(c.event); err != nil || string(text) != c.want {
			t.Errorf("marshals to %s, %v, want %s", text, err, c.want)
		}
	}
}
