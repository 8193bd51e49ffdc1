package adaptive

import (
	"testing"
	"time"
)

// A connection that is dead says nothing while its request waits to be sent once more.
func TestProgressOfRecalledRequests(t *testing.T) {
	now := time.Unix(0, 0)
	c := New(Limits{}, now)
	sent := c.Sent(now)
	under := func(want int) {
		t.Helper()
		now = now.Add(ms)
		c.Progress(sent, 1000, 1_000_000, now)
		if got := c.flow.Len(); got != want {
			t.Errorf("%d transfers under way, want %d", got, want)
		}
	}
	under(1)
	c.Recall(&sent, false, now)
	under(0)
	c.Landed()
	c.Resent(&sent, now)
	under(1)
}
