package retry

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// What is logged, and as JSON, says what there is to say and nothing else.
func TestSaid(t *testing.T) {
	at := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	req := request(t, "PUT", "x")
	req.Header.Set("Authorization", "Bearer s3cr3t-t0ken")
	for _, test := range []struct {
		value      any
		text, json string
	}{
		{Event{Kind: EventWaiting, Request: req, Attempt: 1, Status: 503, Err: errors.New("busy"),
			Wait: time.Second, Until: at, Reason: "overloaded"},
			`v.kind=waiting v.request="PUT http://h.example/up/f.bin" v.attempt=1 v.status=503 v.reason=overloaded v.wait=1s v.until=2026-11-28T12:00:00.000Z v.error=busy`,
			`{"kind":"waiting","request":"PUT http://h.example/up/f.bin","attempt":1,"status":503,"reason":"overloaded","wait":1000000000,"until":"2026-11-28T12:00:00Z","error":"busy"}`},
		{Event{Kind: EventEnded, Attempt: 2, Outcome: Delivered},
			`v.kind=ended v.attempt=2 v.outcome=delivered`,
			`{"kind":"ended","attempt":2,"outcome":"delivered"}`},
		{Result{Outcome: Deferred, Attempts: 3, Status: 429, RetryAt: at, Uncertain: true,
			Err: errors.New("busy")},
			`v.outcome=deferred v.attempts=3 v.status=429 v.retry_at=2026-11-28T12:00:00.000Z v.uncertain=true v.error=busy`,
			`{"outcome":"deferred","attempts":3,"status":429,"retry_at":"2026-11-28T12:00:00Z","uncertain":true,"error":"busy"}`},
		{Result{}, "", `{}`},
		{&Error{Result{Outcome: Failed, Attempts: 1, Err: errors.New("no")}},
			`v.outcome=failed v.attempts=1 v.error=no`,
			`{"outcome":"failed","attempts":1,"error":"no"}`},
	} {
		var b bytes.Buffer
		slog.New(slog.NewTextHandler(&b, nil)).Info("", "v", test.value)
		_, text, _ := strings.Cut(strings.TrimSpace(b.String()), `msg=""`)
		check(t, "text", strings.TrimSpace(text), test.text)
		got, err := json.Marshal(test.value)
		if err != nil || string(got) != test.json {
			t.Errorf("JSON: %s, %v, want %s", got, err, test.json)
		}
	}
}

// Each enumeration is read as it is written.
func TestEnumerationsAsText(t *testing.T) {
	type all struct {
		Action  Action
		Kind    EventKind
		Outcome Outcome
	}
	for i := range uint8(6) {
		was := all{Action(i), EventKind(min(i, 2)), Outcome(min(i, 4))}
		text, err := json.Marshal(was)
		if err != nil {
			t.Fatal(err)
		}
		var is all
		if err := json.Unmarshal(text, &is); err != nil || is != was {
			t.Errorf("%s: %+v, %v", text, is, err)
		}
	}
	if err := new(Action).UnmarshalText([]byte("refuse")); err == nil {
		t.Error("a word that there is not was read")
	}
	check(t, "unknown", Action(99).String(), "99?")
}
