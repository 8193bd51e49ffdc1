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
	rows  []step
	last  Snapshot
}

// A step has counts, and the state at its end.
type step struct {
	sent, accepted, refused int64
	limit                   int
	rate                    float64
	inFlight                int
	paused                  time.Duration // of the step, a cool-down was in force
}

// columns are the names of what a row has.
var columns = [...]string{
	"t", "sent", "accepted", "refused", "limit", "rate", "in_flight", "paused",
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
	row.sent += s.Sent - t.last.Sent
	row.accepted += s.Accepted - t.last.Accepted
	row.refused += s.Refused - t.last.Refused
	row.paused = min(row.paused+min(passed, t.last.Pause), t.every)
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
func (s *Snapshot) step() step {
	return step{limit: s.InFlightLimit, rate: s.Ceiling, inFlight: s.InFlight}
}

// add adds the counts of an earlier step.
func (s *step) add(e step) {
	s.sent += e.sent
	s.accepted += e.accepted
	s.refused += e.refused
	s.paused += e.paused
}

// MarshalJSON writes each row as an array. Null is no limit.
func (t *Timeline) MarshalJSON() ([]byte, error) {
	rows := make([][len(columns)]any, len(t.rows))
	for i, s := range t.rows {
		at := (time.Duration(i) * t.every).Seconds()
		rows[i] = [...]any{
			at, s.sent, s.accepted, s.refused, Optional(s.limit), Optional(Round(s.rate, 3)),
			s.inFlight, Round(s.paused.Seconds(), 3),
		}
	}
	return json.Marshal(struct {
		Step    float64              `json:"step_seconds"`
		Columns [len(columns)]string `json:"columns"`
		Rows    [][len(columns)]any  `json:"rows"`
	}{t.every.Seconds(), columns, rows})
}
