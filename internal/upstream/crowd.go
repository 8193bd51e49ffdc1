package upstream

import (
	"time"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock/throttle"
)

// A crowd finds the number in flight that a server is known to take. That is a number above which
// it refused requests and at which it accepted some without a refusal, or a number that was all in
// use for some time and on which a higher one did not improve. The limit in force is not enough:
// the search for the number may have begun there, or the files may have run out.
type crowd struct {
	found int // 0: none is known

	limit             int // being watched
	since             time.Time
	accepted, refused int64 // requests, when that began
	looks, full       int   // and those of them that found all in use
	single            bool  // one alone was refused: the number is not the reason
	before            int64 // requests refused when the server was last down, for another reason
}

// look records the state of a server. It is called often.
func (c *crowd) look(s throttle.UpstreamStats, now time.Time) {
	refused := s.Throttled + s.Overloaded
	if s.Limits.InFlight > 0 || s.Limit >= MostInFlight || s.Phase == throttle.PhaseDown {
		*c = crowd{before: refused}
		return
	}
	if refused != c.refused && c.limit == 1 && s.Limit == 1 {
		c.single = true
	}
	byRefusals := refused > c.before && !c.single && !limitedByRate(s) && s.MaxInFlight > s.Limit
	if s.Limit < c.found-slack(c.found) || !byRefusals && refused > 0 && limitedByRate(s) {
		c.found = 0
	}
	if refused != c.refused || s.Limit < c.limit-slack(c.limit) ||
		s.Limit > c.limit+slack(c.limit) || s.Phase != throttle.PhaseSteady || !s.Paused.IsZero() {
		c.limit, c.since, c.accepted, c.refused = s.Limit, now, s.Succeeded, refused
		c.looks, c.full = 0, 0
		return
	}
	c.looks++
	if s.Holding == throttle.HoldingConcurrency {
		c.full++
	}
	accepted := s.Succeeded - c.accepted
	full := now.Sub(c.since) >= plateauLasts && float64(c.full) >= plateauUse*float64(c.looks)
	switch {
	case accepted < evidence:
	case byRefusals || full:
		c.found = c.limit
	case c.limit > c.found+slack(c.found): // it takes more now
		c.found = 0
	}
}

// slack is by how much the limit differs from a number without being another: a higher one is tried
// now and then.
func slack(n int) int { return max(1, n/10) }

// limitedByRate reports whether a rate was found that is lower than the one that was given, if any
// was.
func limitedByRate(s throttle.UpstreamStats) bool {
	return s.Rate != rate.Inf && (s.Limits.Rate == 0 || s.Rate < s.Limits.Rate)
}
