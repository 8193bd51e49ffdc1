package adaptive

import (
	"testing"
	"time"
)

// However often the rate was taken for the cause in error, in months, it may be concluded again
// within minutes.
func TestCauseIsBannedForMinutes(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	c := New(Limits{}, now)
	want := []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute,
		8 * time.Minute, 10 * time.Minute, 10 * time.Minute}
	for i, want := range want {
		now = now.Add(time.Hour)
		c.cause.follows, c.cause.since, c.cause.loss = followRate, now.Add(-time.Minute), 1
		sent := c.Sent(now)
		if got := c.meaning(sent, Sample{Signal: SignalOverloaded}, now); got != SignalOverloaded ||
			c.cause.byRate() {
			t.Fatalf("refusal %d: %v, by the rate: %v; want that it is dropped", i, got,
				c.cause.byRate())
		}
		if got := c.cause.banned.Sub(now); got != want {
			t.Errorf("error %d: not concluded again for %v, want %v", i, got, want)
		}
	}
}
