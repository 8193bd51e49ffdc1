package quota

import (
	"cmp"
	"time"
)

// compare is State.Check of the latest state that this process knows.
func (q *Quota) compare() (overruled bool, err error) {
	q.mu.Lock()
	s := State{Name: q.Name(), Settings: q.mu.view.settings, Given: q.mu.view.given}
	q.mu.Unlock()
	return s.Check(q.options.Settings)
}

// Check returns whether something else is in force than a process says and others have given, and a
// [*ConflictError] if it says something else than the others, too.
func (s State) Check(ours Settings) (overruled bool, err error) {
	force, given := s.Settings, s.Given
	for _, c := range []struct {
		what               string
		ours, force, given float64
	}{
		{"rate", float64(ours.Rate), float64(force.Rate), float64(given.Rate)},
		{"burst", float64(ours.Burst), float64(force.Burst), float64(given.Burst)},
		{
			"limit of requests in flight", float64(ours.InFlight), float64(force.InFlight),
			float64(given.InFlight),
		},
	} {
		switch {
		case c.ours == 0, c.ours == c.force, c.force == 0 && c.given == 0:
		case c.ours == c.given:
			overruled = true
		default:
			return false, &ConflictError{s.Name, c.what, c.ours, cmp.Or(c.force, c.given)}
		}
	}
	return overruled, nil
}

// differs compares settings that are new to this process with its own: the server may have lost
// them, and other processes may have set them. Those that only this process gives are set again.
func (q *Quota) differs() {
	if _, err := q.compare(); err != nil {
		q.tell(Notice{Kind: Differs, Time: time.Now(), Err: err})
		return
	}
	q.mu.Lock()
	o, force, given := q.options.Settings, q.mu.view.settings, q.mu.view.given
	if o.Rate > 0 && force.Rate == 0 && given.Rate == 0 ||
		o.Burst > 0 && force.Burst == 0 && given.Burst == 0 ||
		o.InFlight > 0 && force.InFlight == 0 && given.InFlight == 0 {
		q.mu.unsettled = true
	}
	q.mu.Unlock()
}
