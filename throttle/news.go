package throttle

import (
	"math"
	"time"

	"golang.org/x/time/rate"
)

// news is what came of a feedback.
type news struct {
	until  time.Time // the cool-down that it began or prolonged; if zero, none
	source string

	changed bool // the phase, or a limit by a tenth and more
	finding
}

// finding is what the controller has found.
type finding struct {
	phase  Phase
	limit  int
	rate   rate.Limit
	reason string
}

// differs reports whether people would care.
func (f finding) differs(g finding) bool {
	far := func(a, b float64) bool { return math.Abs(a-b) > 0.1*min(a, b) }
	return f.phase != g.phase || far(float64(f.limit), float64(g.limit)) ||
		far(float64(f.rate), float64(g.rate))
}

// growing is the reason of a finding that is more than the one before, whose own reason explains
// less only: after a refusal more is tried, bit by bit, without a cause of its own.
const growing = "growing"

// grown reports whether growing is the reason.
func (f finding) grown(since finding) bool {
	switch f.reason {
	case "throttled", "overloaded", "timed out", "failed", "trim", "limits":
		return (f.phase == PhaseSteady || f.phase == PhaseStarting) && f.phase == since.phase &&
			f.limit >= since.limit && f.rate >= since.rate
	}
	return false
}

// events returns the events that report the news.
func (n news) events() (events []Event) {
	if !n.until.IsZero() {
		events = append(events, Event{Kind: EventPaused, Until: n.until, Source: n.source})
	}
	if n.changed {
		events = append(events, Event{Kind: EventChanged, Phase: n.phase, Limit: n.limit,
			Rate: n.rate, Reason: n.reason})
	}
	return events
}
