package upstream

import (
	"net/http"
	"time"
)

// pressed collects evidence that a server refuses requests because there are too many. A server
// that is down refuses requests, too. So a refusal counts only if a request that left after it was
// accepted, and only if the server was not down in between or the refusal was a 429.
type pressed struct {
	since  time.Time // the first refusal since something was accepted; if zero, there was none
	asked  bool      // one of these was 429, which is about the number
	down   bool      // the server was down meanwhile
	counts int       // times that refusals came and ended
	told   bool      // one with a 429 ended
}

// note records how a request ended.
func (p *pressed) note(a Answer, now time.Time) {
	switch {
	case a.Accepted && !a.Sent.Before(p.since):
		p.told = p.told || p.asked
		if !p.since.IsZero() && !p.down {
			p.counts++
		}
		p.since, p.asked, p.down = time.Time{}, false, false
	case a.Status != 0 && a.Full:
		if p.since.IsZero() {
			p.since = now
		}
		p.asked = p.asked || a.Status == http.StatusTooManyRequests
	}
}

// shown reports whether there is evidence. A single 503 is not evidence: a restart of the server
// causes one as well.
func (p *pressed) shown() bool { return p.told || p.counts > 1 }

// IsPressed reports whether the server has refused requests because there were too many.
func (s *Server) IsPressed() bool {
	s.set.mu.Lock()
	defer s.set.mu.Unlock()
	return s.pressed.shown()
}
