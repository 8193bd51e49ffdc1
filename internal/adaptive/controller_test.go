package adaptive

import (
	"testing"
	"time"
)

// However many requests there are, only some of them are remembered.
func TestControllerForgets(t *testing.T) {
	now := time.Unix(0, 0)
	c := New(Limits{}, now)
	for n := range 1000 {
		var sent []Ticket
		for c.Places() < c.Orders(now).Room {
			sent = append(sent, c.Sent(now))
		}
		now = now.Add(ms)
		for _, one := range sent {
			signal := SignalSuccess
			if n%500 == 499 {
				signal = SignalThrottled
			}
			c.Done(one, Sample{Signal: signal, Latency: 10 * ms}, now)
			c.Landed()
		}
	}
	if c.sequence < 10*logged {
		t.Fatalf("only %d requests", c.sequence)
	}
	if cap(c.pace.cycle.sent) > 2*logged || cap(c.round.members) > 2*mostInFlight {
		t.Errorf("%d requests are remembered, and %d of a round",
			cap(c.pace.cycle.sent), cap(c.round.members))
	}
}
