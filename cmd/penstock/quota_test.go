package main

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/quota"
	"github.com/penstock/penstock/internal/test"
)

func TestShowQuota(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.Local)
	state := quota.State{
		Name: "partner", Settings: quota.Settings{InFlight: 8},
		Given:  quota.Settings{InFlight: 5},
		Paused: now.Add(90 * time.Second), PauseSource: "retry-after",
		Hosts: []quota.Host{
			{Name: "web-1.example.com", PID: 4711, Started: now.Add(-time.Hour), Sent: 12345,
				Waiting: 64, InFlight: 5, May: 5},
			{Name: "etl", PID: 7, Started: now.Add(-time.Minute), InFlight: 1, May: 3, Silent: true,
				Heard: 20 * time.Second},
		},
	}
	found := quota.Found{Rate: 39.8, At: now.Add(-5 * time.Minute)}
	var b strings.Builder
	test.OK(t, showQuota(&b, state, found, now))
	const want = `quota partner: at most 8 in flight
set by hand: at most 8 in flight; runs give --concurrency 5
found 39.8 req/s of all together, today 11:55
paused for another 1 m 30 s: Retry-After
HOST               PROCESS  SINCE        SENT    WAITING  IN FLIGHT
web-1.example.com  4711     today 11:00  12,345  64       5 of 5
etl                7        today 11:59  0       0        1 of 3     silent for 20 s
`
	if b.String() != want {
		t.Errorf("%s\nwant\n%s", &b, want)
	}

	text, err := json.Marshal(quotaJSON(state, found))
	test.OK(t, err)
	for _, part := range []string{`"rps":null`, `"found_rps":39.8`, `"concurrency":8`,
		`"given":{"concurrency":5}`,
		`"in_flight_limit":3`, `"silent":true`, `"pause_source":"retry-after"`} {
		if !strings.Contains(string(text), part) {
			t.Errorf("%s has no %s", text, part)
		}
	}
}

// Of several things in a row the last is said, and nothing after the end.
func TestLatest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l latest
		said := ""
		say := func(word string) func() { return func() { said += word } }
		l.tell(say("two "))
		time.Sleep(time.Second / 2)
		l.tell(say("three "))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		l.tell(say("four "))
		l.stop()
		l.tell(say("five "))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if said != "three " {
			t.Errorf("said %q", said)
		}
	})
}

func TestShownQuota(t *testing.T) {
	for url, want := range map[string]string{
		"redis://h/0/p": "redis://h/0/p",
		"redis://h/0/p?password-file=/run/secret": "redis://h/0/p?password-file=/run/secret",
		"rediss://u:sesame@h:1/0/p?protocol=3":    "rediss://u:***@h:1/0/p?protocol=3",
		"unix://:sesame@/run/r.sock/0/p":          "unix://:***@/run/r.sock/0/p",
	} {
		if got := shownQuota(url); got != want {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
	}
	for _, url := range []string{"redis://h/0/p?sentinel_password=sesame", "redis://u:sesame@h:x",
		"redis://h/0/p?password=sesame"} {
		if got := shownQuota(url); strings.Contains(got, "sesame") {
			t.Errorf("%s: %s", url, got)
		}
	}
}
