package upstream

import (
	"testing"
	"time"
)

func TestPatience(t *testing.T) {
	begin := time.Date(2026, 3, 1, 22, 0, 0, 0, time.UTC)
	at := func(second int) time.Time { return begin.Add(time.Duration(second) * time.Second) }
	asked := func(now, until int) func(*patience) {
		return func(p *patience) {
			p.asked(at(now),
				at(until))
		}
	}
	failed := func(sent, now int) func(*patience) {
		return func(p *patience) {
			p.failed(at(sent),
				at(now))
		}
	}
	type events []func(*patience)
	for _, c := range []struct {
		name   string
		events events
		now    int
		spent  int
	}{
		{"nothing yet", nil, 100, 0},
		{"a failure counts", events{failed(0, 1)}, 100, 99},
		{"a wait does not", events{asked(1, 61), failed(0, 1)}, 61, 0},
		{"nor while it lasts", events{asked(1, 61), failed(0, 1)}, 31, 0},
		{"the time after it does", events{asked(1, 61), failed(0, 1)}, 71, 10},
		{"and so does that before", events{failed(0, 1), asked(11, 61), failed(2, 11)}, 61, 10},
		{"requests on their way do not count",
			events{asked(1, 61), failed(0, 1), failed(0, 3)}, 61, 0},
		{"but may prolong it", events{asked(1, 61), failed(0, 1), asked(3, 63), failed(0, 3)}, 63,
			0},
		{"or not", events{asked(1, 61), failed(0, 1), asked(3, 33), failed(0, 3)}, 61, 0},
		{"if it does not help, it counts", events{asked(1, 61), failed(0, 1), failed(61, 63)}, 71,
			70},
		{"also where another begins", events{asked(1, 61), failed(0, 1), asked(63, 123),
			failed(61, 63)}, 123, 62},
		{"from one to the next", events{asked(1, 2), failed(0, 1), asked(2, 3), failed(2, 2),
			asked(3, 4), failed(3, 3), asked(4, 5), failed(4, 4)}, 5, 3},
	} {
		var p patience
		for _, event := range c.events {
			event(&p)
		}
		if got, want := p.spent(at(c.now)), time.Duration(c.spent)*time.Second; got != want {
			t.Errorf("%s: %v, want %v", c.name, got, want)
		}
	}
}
