package adaptive

import (
	"testing"
	"time"
)

// The transitions that holdState lists.
func TestHoldTransitions(t *testing.T) {
	for _, test := range []struct {
		steps string // see below
		want  holdState
	}{
		{"", open},
		{"+", open},
		{"-", refused},
		{"@", asked},
		{"-@", asked},
		{"-+", open},
		{"--+", open},
		{"@+", asked},
		{"@-", asked},
		{"@~-", refused},
		{"@r", refused},
		{"@r+", open},
		{"@p-", refused},
		{"@p+", open},
		{"-p+", open},
		{"-p-", refused},
		{"-p-@", asked},
		{"-p-+", refused}, // a probe was refused, so a straggler shows nothing
		{"-p-p+", open},
	} {
		now := time.Unix(0, 0)
		c := New(Limits{InFlight: 8}, now)
		var before, probes []Ticket
		for range 8 {
			before = append(before, c.Sent(now))
		}
		// A probe ends, or, if there is none, the first of those before.
		end := func(s Sample) {
			from := &before
			if len(probes) > 0 {
				from = &probes
			}
			one := (*from)[0]
			*from = (*from)[1:]
			c.Done(one, s, now)
			c.Landed()
		}
		for _, step := range test.steps {
			now = now.Add(ms)
			switch step {
			case '+':
				end(Sample{Signal: SignalSuccess, Latency: ms})
			case '-':
				end(Sample{Signal: SignalOverloaded})
			case '@': // refused up to an instant
				end(Sample{Signal: SignalOverloaded, RetryAt: now.Add(10 * time.Second)})
			case 'p': // a probe goes when it may
				if next := c.hold.next; next.After(now) {
					now = next
				}
				probes = append(probes, c.Sent(now))
			case '~': // it goes by
				now = now.Add(11 * time.Second)
			case 'r':
				c.Resume(now)
			}
		}
		if got := c.hold.state; got != test.want {
			t.Errorf("%q: state %d, want %d", test.steps, got, test.want)
		}
	}
}
