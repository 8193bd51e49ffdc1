package board

import "time"

const (
	slots   = 600 // seconds that a series keeps
	columns = 120 // of a chart of it
	// maxSeries bounds the servers of which the last minutes are kept: 40 KB each.
	maxSeries = 32
)

// A Sample is what happened at one server in a while, and how things were at its end.
type Sample struct {
	Seconds  float64 `json:"seconds"` // that it is about; 0: nothing is known of that while
	Sent     int64   `json:"sent"`
	Accepted int64   `json:"accepted"`
	Refused  int64   `json:"refused"` // throttled, overloaded or timed out
	Failed   int64   `json:"failed"`

	Rate     float64 `json:"rate"`      // requests a second that were allowed; 0: any number
	InFlight int     `json:"in_flight"` // the most that was seen
	Latency  float64 `json:"latency_s"` // 0: not known
	Paused   float64 `json:"paused_s"`  // of the while, in seconds
	Down     float64 `json:"down_s"`    // as Paused; not both at once
}

// add adds what happened after s.
func (s *Sample) add(later Sample) {
	if later.Seconds == 0 {
		return
	}
	later.Seconds += s.Seconds
	later.Sent += s.Sent
	later.Accepted += s.Accepted
	later.Refused += s.Refused
	later.InFlight = max(later.InFlight, s.InFlight)
	later.Failed += s.Failed
	later.Paused += s.Paused
	later.Down += s.Down
	*s = later
}

// A series is the last minutes of one server, a sample a second. Seconds are counted from the
// board's beginning.
type series struct {
	ring          [slots]Sample // by second
	first, newest int
	last          Upstream
	at            time.Time // of last
}

func newSeries(second int, u Upstream, at time.Time) *series {
	return &series{first: second, newest: second, last: u, at: at}
}

// add records the state of the server at the end of a second, and returns the sample of it. Nothing
// is known of seconds at whose end nobody looked.
func (s *series) add(second int, u Upstream, at time.Time) Sample {
	if second > s.newest+slots {
		s.newest = second - slots
	}
	for s.newest < second {
		s.newest++
		*s.of(s.newest) = Sample{}
	}
	now := Sample{
		Seconds: at.Sub(s.at).Seconds(),
		Sent:    grown(s.last.Sent, u.Sent), Accepted: grown(s.last.Accepted, u.Accepted),
		Refused: grown(s.last.Refused(), u.Refused()), Failed: grown(s.last.Failed, u.Failed),
		Rate: u.Rate, InFlight: u.InFlight, Latency: u.Latency,
	}
	switch {
	case u.Paused:
		now.Paused = now.Seconds
	case u.Down:
		now.Down = now.Seconds
	}
	s.last, s.at = u, at
	s.of(s.newest).add(now)
	return now
}

func (s *series) of(second int) *Sample { return &s.ring[second%slots] }

// grown is by how much a count has grown. One that is less than before began anew.
func grown(before, now int64) int64 {
	if now < before {
		return now
	}
	return now - before
}

// chart returns the series in a few columns, of one second each if it is short. The columns of
// longer ones begin at the same seconds whenever one looks.
func (s *series) chart() Chart {
	step := 1
	if s.newest-s.first >= columns {
		step = slots / columns
	}
	end := (s.newest/step + 1) * step
	c := Chart{Step: time.Duration(step) * time.Second, Samples: make([]Sample, columns)}
	for i := range c.Samples {
		for second := end - (columns-i)*step; second < end-(columns-1-i)*step; second++ {
			if s.newest-slots < second && s.first <= second && second <= s.newest {
				c.Samples[i].add(*s.of(second))
			}
		}
	}
	return c
}
