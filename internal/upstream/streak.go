package upstream

import (
	"math"
	"time"
)

// A row counts requests that were not accepted one after the other.
type row struct {
	n    int       // since the last acceptance, each sent after the one before had ended
	last time.Time // when the last of them ended
}

func (r *row) refuse(sent, now time.Time) {
	if sent.Before(r.last) {
		return // it left with the last one
	}
	r.n++
	r.last = now
}

// A streak is a server's row, and reports whether it means that the server is down. Where it
// refuses some at random, a few in a row do not mean that.
type streak struct {
	row
	cut      bool // for the last one there was no connection, which is not random
	accepted float64
	refused  float64 // of those before, but for outages
}

// unlikely is how rarely a streak may be called an outage that is chance.
const unlikely = 1e-4

func (s *streak) accept() {
	if !s.isOutage() {
		s.refused += float64(s.n)
	}
	s.accepted++
	s.n, s.cut = 0, false
}

func (s *streak) refuse(sent, now time.Time, cut bool) {
	s.cut = cut
	s.row.refuse(sent, now)
}

// isOutage reports whether so many in a row are more than chance, by what the server refused
// before. One that has accepted nothing yet is down.
func (s *streak) isOutage() bool {
	const some = 0.1 // refusals that are taken for granted of a server that has refused none
	share := (s.refused + some) / (s.accepted + s.refused + some)
	return s.cut || s.accepted == 0 || math.Pow(share, float64(s.n)) < unlikely
}

// IsOutage reports whether what the server refuses means that it is down: if it refuses some
// requests at random, a few in a row do not.
func (s *Server) IsOutage() bool {
	s.set.mu.Lock()
	defer s.set.mu.Unlock()
	return s.streak.isOutage()
}
