package pace

import (
	"math"
	"testing"
	"time"
)

// Where no other request is known, the pause that a refusal brings is the usual one.
func TestPaceWaitWithoutSpacing(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	p := New()
	p.Send(now)
	p.End(now, true)
	p.Accept(now)
	p.Send(now)
	r := Refusal{Sent: now, Gap: math.Inf(1), FourGap: math.Inf(1)}
	if got := p.Refuse(r, now).Sub(now); got != defaultPause {
		t.Errorf("%v, want %v", got, defaultPause)
	}
}

// What refusals showed of the given rate is forgotten where they turn out to have another cause:
// one more is no proof.
func TestDropForgetsRefusals(t *testing.T) {
	p := New()
	p.SetLimit(1000, false)
	p.overshoots, p.givenTooHigh = mostOvershoots, true
	p.Drop()
	if p.overshoots != 0 || p.givenTooHigh {
		t.Errorf("%d refusals are remembered, far %v", p.overshoots, p.givenTooHigh)
	}
}

// What a rate that was held shows is more than what the server is seen to allow.
func TestHeldRateOutweighsWhatIsSeen(t *testing.T) {
	for held, more := range map[bool]bool{false: true, true: false} {
		learned := func(allowed float64) float64 {
			now := time.Unix(1000, 0)
			p := New()
			p.learned, p.learnedAt, p.held = 20, now.Add(-time.Second), held
			p.cycle.began = p.learnedAt
			for range 4 {
				p.Send(now)
				p.End(now, true)
				p.Accept(now)
				now = now.Add(250 * time.Millisecond)
			}
			p.Send(now)
			p.Refuse(Refusal{Sent: now, Gap: 0.25, FourGap: 1, Allowed: allowed}, now)
			return p.learned
		}
		if seen, unseen := learned(1000), learned(0); (seen > unseen) != more {
			t.Errorf("held %v: %v learned, and %v by what is seen", held, unseen, seen)
		}
	}
}

// However many requests there are, only some of them are remembered.
func TestPaceForgets(t *testing.T) {
	now := time.Unix(0, 0)
	p := New()
	for range 10 * logged {
		p.Send(now)
		p.End(now, true)
		p.Accept(now)
		now = now.Add(time.Millisecond)
	}
	if cap(p.cycle.sent) > 2*logged {
		t.Errorf("%d requests are remembered", cap(p.cycle.sent))
	}
}
