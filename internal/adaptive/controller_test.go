package adaptive

import (
	"slices"
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
	if c.sequence < 10_000 {
		t.Fatalf("only %d requests", c.sequence)
	}
	if cap(c.round.members) > 2*mostInFlight {
		t.Errorf("%d requests of a round are remembered", cap(c.round.members))
	}
}

// A request that is sent once more counts once in the rate, and not at all if it never leaves
// again.
func TestControllerRateOfResentRequests(t *testing.T) {
	rates := func(resent int) (found []float64) {
		now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		c := New(Limits{InFlight: 2}, now)
		send := func() Ticket {
			sent := c.Sent(now)
			for range resent {
				c.Recall(&sent, false, now)
				c.Landed()
				c.Resent(&sent, now)
			}
			return sent
		}
		end := func(sent Ticket, s Sample) {
			now = now.Add(100 * ms)
			c.Done(sent, s, now)
			c.Landed()
			found = append(found, c.Orders(now).Rate)
		}
		for range 2 {
			for range 3 {
				end(send(), Sample{Signal: SignalSuccess, Latency: 100 * ms})
			}
			if resent > 0 {
				never := c.Sent(now) // its context ends first
				c.Recall(&never, false, now)
				c.Landed()
				c.Done(never, Sample{}, now)
			}
			open := send()
			end(send(), Sample{Signal: SignalThrottled, RetryAt: now.Add(2 * time.Second)})
			end(open, Sample{Signal: SignalSuccess, Latency: 100 * ms})
			now = now.Add(time.Minute)
		}
		return found
	}
	if got, want := rates(2), rates(0); !slices.Equal(got, want) {
		t.Errorf("rates %v, want %v", got, want)
	}
}

// A server is busy with a request until its answer is read, so that one is in flight yet.
func TestControllerCountsAnswersBeingRead(t *testing.T) {
	now := time.Unix(0, 0)
	c := New(Limits{InFlight: 8}, now)
	for want := 1; want <= 4; want++ {
		sent := c.Sent(now)
		if sent.InFlight != want {
			t.Errorf("request %d has %d in flight", want, sent.InFlight)
		}
		now = now.Add(10 * ms)
		c.Done(sent, Sample{Signal: SignalSuccess}, now)
	}
}
