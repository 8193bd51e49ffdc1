package adaptive

import (
	"math"
	"testing"
	"time"
)

// Where no other request is known, the pause that a refusal brings is the usual one.
func TestPaceWaitWithoutSpacing(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	var p pace
	p.setLimits(Limits{})
	accepted := Ticket{at: now}
	p.send(now)
	p.end(accepted, true)
	p.accept(accepted)
	p.send(now)
	var gaps spacing
	for k := range gaps {
		gaps[k] = math.Inf(1)
	}
	if got := p.refuse(Ticket{at: now}, time.Time{}, gaps, now).Sub(now); got != defaultPause {
		t.Errorf("%v, want %v", got, defaultPause)
	}
}

// A request that is sent once more counts once in the rate.
func TestPaceOfResentRequests(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	c := New(Limits{InFlight: 2}, now)
	for range 2 {
		sent := c.Sent(now)
		for range 2 {
			now = now.Add(ms)
			c.Recall(&sent, false, now)
			c.Landed()
			c.Resent(&sent, now)
		}
		now = now.Add(ms)
		c.Done(sent, Sample{Signal: SignalSuccess, Latency: ms}, now)
		c.Landed()
	}
	never := c.Sent(now) // sent again: its context ends first
	c.Recall(&never, false, now)
	c.Landed()
	c.Done(never, Sample{}, now)
	if p := &c.pace.cycle; p.accepted != 2 || p.open != 0 || len(p.sent) != 2 {
		t.Errorf("%d accepted, %d open, %d remembered; want 2, 0, 2", p.accepted, p.open,
			len(p.sent))
	}
}

// What refusals showed of the given rate is forgotten where they turn out to have another cause:
// one more is no proof.
func TestDropForgetsRefusals(t *testing.T) {
	p := new(pace)
	p.setLimits(Limits{Rate: 1000})
	p.overshoots, p.givenTooHigh = mostOvershoots, true
	p.drop()
	if p.overshoots != 0 || p.givenTooHigh {
		t.Errorf("%d refusals are remembered, far %v", p.overshoots, p.givenTooHigh)
	}
}
