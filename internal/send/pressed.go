package send

import (
	"net/http"
	"time"

	"github.com/penstock/penstock/internal/report"
)

// pressed collects evidence that a server refuses requests for their number. One that is down refuses them as well, and then accepts
// again; a refusal counts if a request that left after it was accepted, and the server was not down meanwhile or answered 429.
type pressed struct {
	since  time.Time // the first refusal since something was accepted; zero: there was none
	asked  bool      // one of these was 429, which says that it is for the number
	down   bool      // the server was down meanwhile
	counts int       // times that refusals came and ended
	told   bool      // one of 429 ended
}

// note records the answer, of that status, to a request that left at sent.
func (p *pressed) note(outcome report.Outcome, status int, sent, now time.Time) {
	switch {
	case outcome == report.Accepted && !sent.Before(p.since):
		p.told = p.told || p.asked
		if !p.since.IsZero() && !p.down {
			p.counts++
		}
		p.since, p.asked, p.down = time.Time{}, false, false
	case status != 0 && (outcome == report.Throttled || outcome == report.Overloaded):
		if p.since.IsZero() {
			p.since = now
		}
		p.asked = p.asked || status == http.StatusTooManyRequests
	}
}

// shown reports whether there is evidence: 503 may come once by itself, when a server is restarted.
func (p *pressed) shown() bool { return p.told || p.counts > 1 }

// isPressed reports whether a server has refused requests for their number.
func (r *run) isPressed(s *server) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return s.pressed.shown()
}
