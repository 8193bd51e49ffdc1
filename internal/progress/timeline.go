package progress

import (
	"encoding/json"
	"time"
)

// maxSteps is how many rows a timeline has at most. When a run outlasts them, two rows become one.
const maxSteps = 600

// Timeline records step by step how a run went, to be plotted. Its memory does not grow with the
// run: the step, at first a second, doubles instead. The zero value is ready. It is not safe for
// concurrent use: it belongs to the goroutine that updates the progress.
type Timeline struct {
	every time.Duration
	rows  []Step
	last  Snapshot
}

// A Step has counts, and the state at its end.
type Step struct {
	Sent, Accepted, Refused int64
	Limit                   int     // requests in flight; 0: none
	Rate                    float64 // requests a second; 0: none
	InFlight                int
	Peak                    int // the most in flight; not in JSON
	// For so much of the step a cool-down was in force, or the server was down.
	Paused, Down time.Duration
}

// columns are the names of what a row has.
var columns = [...]string{
	"t", "sent", "accepted", "refused", "limit", "rate", "in_flight", "paused", "down",
}

// Add records what happened since the last call. Calls that are a fraction of a second apart keep
// the rows true to the second.
func (t *Timeline) Add(s *Snapshot) {
	passed := s.Elapsed - t.last.Elapsed
	if passed < 0 {
		return
	}
	if t.every == 0 {
		t.every = time.Second
	}
	// What happened up to the end of a second belongs to that second.
	i := int64(max(0, s.Elapsed-1) / t.every)
	for i >= maxSteps {
		t.thin()
		i /= 2
	}
	for int64(len(t.rows)) <= i {
		t.rows = append(t.rows, t.last.step()) // there was no look: the state before is known
	}
	row := s.step()
	row.add(t.rows[i])
	row.Sent += s.Sent - t.last.Sent
	row.Accepted += s.Accepted - t.last.Accepted
	row.Refused += s.Refused - t.last.Refused
	row.Paused = min(row.Paused+min(passed, t.last.Pause), t.every)
	if t.last.isDown() {
		row.Down = min(row.Down+passed, t.every)
	}
	t.rows[i] = row
	t.last = *s
}

// thin makes one row of two.
func (t *Timeline) thin() {
	t.every *= 2
	for i := range t.rows {
		if i%2 == 1 {
			t.rows[i].add(t.rows[i-1])
		}
		t.rows[i/2] = t.rows[i]
	}
	t.rows = t.rows[:(len(t.rows)+1)/2]
}

// step returns the state.
func (s *Snapshot) step() Step {
	return Step{Limit: s.InFlightLimit, Rate: s.Ceiling, InFlight: s.InFlight, Peak: s.Peak}
}

// add adds the counts of an earlier step.
func (s *Step) add(e Step) {
	s.Sent += e.Sent
	s.Accepted += e.Accepted
	s.Refused += e.Refused
	s.Peak = max(s.Peak, e.Peak)
	s.Paused += e.Paused
	s.Down += e.Down
}

// Steps returns the rows, and for how long each is.
func (t *Timeline) Steps() (every time.Duration, rows []Step) { return t.every, t.rows }

// MarshalJSON writes each row as an array. Null is no limit.
func (t *Timeline) MarshalJSON() ([]byte, error) {
	rows := make([][len(columns)]any, len(t.rows))
	for i, s := range t.rows {
		at := (time.Duration(i) * t.every).Seconds()
		rows[i] = [...]any{
			at, s.Sent, s.Accepted, s.Refused, Optional(s.Limit), Optional(Round(s.Rate, 3)),
			s.InFlight, Round(s.Paused.Seconds(), 3), Round(s.Down.Seconds(), 3),
		}
	}
	return json.Marshal(struct {
		Step    float64              `json:"step_seconds"`
		Columns [len(columns)]string `json:"columns"`
		Rows    [][len(columns)]any  `json:"rows"`
	}{t.every.Seconds(), columns, rows})
}
