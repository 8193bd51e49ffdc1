package upstream

import (
	"cmp"
	"math"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock/throttle"
)

// evidence is how many requests have to be accepted for a number to be called learned.
const evidence = 10

// Learned is what was found of a server's pace. Zero fields are not known, or were given.
type Learned struct {
	Rate     float64 // requests a second
	InFlight int
	Trying   bool // Rate is being tried
}

// learned is what was found out about a server, except what the user gave.
func learned(s throttle.UpstreamStats) (l Learned) {
	if !s.Learned || s.Phase == throttle.PhaseDown {
		return l
	}
	if s.Limits.Rate == 0 && s.Rate != rate.Inf {
		l.Rate = thousandths(float64(s.Rate))
	}
	if s.Limits.InFlight == 0 && s.Limit < MostInFlight && s.Phase != throttle.PhaseStarting {
		l.InFlight = s.Limit
	}
	return l
}

func thousandths(f float64) float64 { return math.Round(f*1000) / 1000 }

// found returns what was found of the server's pace, without the numbers that an outage left.
func (s *Server) found(stats throttle.UpstreamStats) Learned {
	l := learned(stats)
	if l.InFlight > 0 {
		l.InFlight = s.crowd.found
	}
	far := math.Abs(l.Rate-s.pace.found) > plateauSlack*s.pace.found
	l.Trying = l.Rate > 0 && stats.Reason != "quota" && far
	if s.isUntold(stats) {
		l.InFlight = 0
	}
	if s.isUnproven() && stats.Reason != "quota" {
		l.Rate, l.Trying = 0, false
	}
	return l
}

// isUnproven reports whether the server's pace comes from an outage: no refusal was about the
// number of requests.
func (s *Server) isUnproven() bool { return s.shaken && !s.IsPressed() }

// isUntold reports whether the server's limit in flight comes from an outage too: no higher one was
// tried since.
func (s *Server) isUntold(stats throttle.UpstreamStats) bool {
	return s.isUnproven() && s.most <= stats.Limit
}

// look notes what may be in flight since the server was last down, or close to it.
func (s *Server) look(stats throttle.UpstreamStats) {
	switch stats.Phase {
	case throttle.PhaseDown:
		s.fell, s.most = true, 0
	case throttle.PhaseHoldingBack:
		// Perhaps because of the number that was tried.
	default:
		s.most = max(s.most, stats.Limit)
	}
	s.shaken = stats.Throttled+stats.Overloaded+stats.TimedOut+stats.Failed > 0
	if !s.fell {
		s.most = max(s.most, stats.MaxInFlight)
	}
}

// learn records what the server shows of its pace, for the summary. What was found before an
// outage, or in it, was about a server in trouble: after it, evidence requests have to be accepted
// again.
func (s *Server) learn(stats throttle.UpstreamStats, now time.Time) {
	ceiling := float64(stats.Rate)
	if stats.Rate == rate.Inf {
		ceiling = 0
	}
	s.pace.look(ceiling, stats, now)
	s.crowd.look(stats, now)
	accepted := s.Accepted()
	if stats.Phase == throttle.PhaseDown {
		s.learned, s.sound = Learned{}, accepted
	}
	if l := s.found(stats); l != (Learned{}) && accepted-s.sound >= evidence {
		s.learned = l
	}
	if s.learned.InFlight > 0 {
		s.learned.InFlight = s.crowd.found
	}
	s.learned.Trying = false
	if s.learned.Rate > 0 {
		s.learned.Rate = thousandths(s.pace.found)
	}
}

// Learned returns what the run has found of the server's pace. It is for the summary.
func (s *Server) Learned() Learned { return s.learned }

// A Slower is a server that takes fewer requests a second than were given.
type Slower struct {
	Key  string
	Rate float64
}

// Slower returns the servers that are known to take much less than the given rate, the one that
// accepted most first, and whether there is only one server. It is for the summary.
func (set *Set) Slower(given float64) (slower []Slower, alone bool) {
	servers := set.ByAccepted()
	for _, s := range servers {
		if taken := s.pace.found; taken > 0 && taken <= 0.9*given && !s.isUnproven() {
			slower = append(slower, Slower{s.Key, taken})
		}
	}
	return slower, len(servers) == 1
}

// ByAccepted returns the servers, the one that accepted most first.
func (set *Set) ByAccepted() []*Server {
	servers := set.All()
	set.mu.Lock()
	defer set.mu.Unlock()
	slices.SortStableFunc(servers, func(a,
		b *Server) int {
		return cmp.Compare(b.accepted, a.accepted)
	})
	return servers
}
