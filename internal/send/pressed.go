package send

import (
	"net/http"
	"time"

	"github.com/penstock/penstock/internal/report"
)

// pressed collects evidence that a server refuses requests because there are too many. A server that is down refuses requests, too.
// So a refusal counts only if a request that left after it was accepted, and only if the server was not down in between or the
// refusal was a 429.
type pressed struct {
	since  time.Time // the first refusal since something was accepted; if zero, there was none
	asked  bool      // one of these was 429, which is about the number
	down   bool      // the server was down meanwhile
	counts int       // times that refusals came and ended
	told   bool      // one with a 429 ended
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

// shown reports whether there is evidence. A single 503 is none: a restart of the server causes one as well.
func (p *pressed) shown() bool { return p.told || p.counts > 1 }

// isPressed reports whether a server has refused requests because there were too many.
func (r *run) isPressed(s *server) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return s.pressed.shown()
}
