package upstream

import (
	"math"
	"time"

	"github.com/penstock/penstock/throttle"
)

// A plateau finds the rate that a server is known to take: one that stayed about the same and was
// used for some time without a refusal. The rate in force may be one that is only being tried.
type plateau struct {
	found float64 // requests a second; 0: none is known

	rate              float64 // being watched
	since             time.Time
	accepted, refused int64 // requests, when that began
}

const (
	plateauLasts = 10 * time.Second // less may be what a burst allows
	plateauSlack = 0.05             // a rate within this is the same
	plateauUse   = 0.8              // the share of a rate that has to be used
)

// look records the rate in force; 0 if there is none. It is called often.
func (p *plateau) look(rate float64, s throttle.UpstreamStats, now time.Time) {
	if rate == 0 {
		*p = plateau{}
		return
	}
	refused := s.Throttled + s.Overloaded
	if refused != p.refused && p.rate <= p.found*(1+plateauSlack) ||
		rate < p.found*(1-plateauSlack) {
		p.found = 0 // the rate is refused now
	}
	if refused != p.refused || math.Abs(rate-p.rate) > plateauSlack*p.rate || !s.Paused.IsZero() {
		p.rate, p.since, p.accepted, p.refused = rate, now, s.Succeeded, refused
		return
	}
	lasted, accepted := now.Sub(p.since), s.Succeeded-p.accepted
	if lasted >= plateauLasts && accepted >= evidence &&
		float64(accepted) >= plateauUse*p.rate*lasted.Seconds() {
		p.found = p.rate
	}
}
