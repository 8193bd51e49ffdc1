package relay

import (
	"fmt"
	"time"

	"github.com/penstock/penstock/throttle"
)

// timing is the value of Server-Timing (https://www.w3.org/TR/server-timing/): how long the request
// waited for its turn and what held it, how often it was sent, and how long the target took.
func timing(c *call) string {
	if c == nil {
		return "relay"
	}
	t := c.trace.Times()
	text := "queue;dur=" + milliseconds(t.Queue)
	if held := longest(t.Waited); held != throttle.HoldingNone {
		text += fmt.Sprintf(";desc=%q", held)
	}
	if t.Attempts > 0 {
		text += fmt.Sprintf(", attempts;desc=\"%d\", upstream;dur=%s", t.Attempts,
			milliseconds(t.Upstream))
	}
	return text
}

// longest returns the limit that held a request for the longest time.
func longest(w throttle.Waited) (held throttle.Holding) {
	most := time.Duration(0)
	for i, d := range [...]time.Duration{w.Rate, w.Concurrency, w.Bandwidth, w.CoolDown, w.Down} {
		if d > most {
			held, most = throttle.HoldingRate+throttle.Holding(i), d
		}
	}
	return held
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f", float64(d)/float64(time.Millisecond))
}
