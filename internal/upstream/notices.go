package upstream

import (
	"cmp"
	"time"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock/throttle"
)

// A Notice is something about a server that is said once: that it is down, that it answers again,
// or the first rate that was found. Exactly one of its last three fields is set.
type Notice struct {
	*Server
	Stats  throttle.UpstreamStats
	Blamed string // what is at fault, if not the server

	Down bool
	Back *Recovery
	Rate float64 // requests a second
}

// A Recovery is how an outage ended.
type Recovery struct {
	Lasted time.Duration
	Busy   bool // it has worked on a large item since
}

// An outage is what was said about one.
type outage struct {
	down    time.Time // since when the server is, if that was said; if zero, it is not
	told    time.Time // when that was
	reached time.Time // since when it takes bytes of an item again; if zero, it does not
	blamed  string    // what was said to be down, if not the server
}

// Notices returns what is new. Leftovers reports whether all that is left was refused by a server
// in that state, which works. Notices is for the goroutine that calls Overview.
func (set *Set) Notices(now time.Time, leftovers func(Overview) bool) (notices []Notice) {
	for _, s := range set.All() {
		stats := s.Stats()
		trouble, culprit := s.Trouble()
		o := Overview{UpstreamStats: stats, Trouble: trouble}
		isDown := stats.Phase == throttle.PhaseDown
		news := isDown && s.down.IsZero() && s.IsOutage() && tellsDown(stats, s.told, now)
		switch {
		case news && !leftovers(o):
			s.outage = outage{down: stats.Changed, told: now, reached: s.reached, blamed: culprit}
			notices = append(notices, Notice{Server: s, Stats: stats, Blamed: culprit, Down: true})
		case isDown && !set.Reaches(s, stats.Changed):
			s.reached = time.Time{}
		case isDown:
			s.reached = cmp.Or(s.reached, now)
		case !s.down.IsZero():
			back := &Recovery{Lasted: now.Sub(s.down)}
			if !s.reached.IsZero() {
				back = &Recovery{Lasted: s.reached.Sub(s.down), Busy: true}
			}
			notices = append(notices, Notice{Server: s, Blamed: s.blamed, Back: back})
			s.outage = outage{told: s.told}
		}
		if s.learn(stats, now); s.learned.Rate > 0 && !s.paced {
			s.paced = true
			notices = append(notices, Notice{Server: s, Rate: s.learned.Rate})
		}
	}
	return notices
}

// tellsDown reports whether to say that a server is down, if that was last said at told. Soon after
// that, the next waits for the result of the probe: the server may be up.
func tellsDown(stats throttle.UpstreamStats, told, now time.Time) bool {
	down := now.Sub(stats.Changed)
	if now.Sub(told) >= NoticeEvery {
		return down >= DownAfter
	}
	return down >= Silence+DownAfter || down >= Silence && stats.Probe.Sub(now) > time.Second
}

// tellsPause reports whether to tell people of a pause that a server asks for: not each second if
// it asks each second, nor of a quota that is soon renewed.
func (set *Set) tellsPause(now time.Time, wait time.Duration, quota bool) bool {
	set.mu.Lock()
	defer set.mu.Unlock()
	if now.Sub(set.pauseTold) < NoticeEvery || quota && wait <= DownAfter {
		return false
	}
	set.pauseTold = now
	return true
}

// limits are those that an event reported.
type limits struct {
	inFlight int
	rate     rate.Limit
}

// PaceChanged records a change of pace, and reports whether more is being tried.
func (s *Server) PaceChanged(e throttle.Event) (triesMore bool) {
	s.set.mu.Lock()
	defer s.set.mu.Unlock()
	before, after := s.limits, limits{e.Limit, e.Rate}
	s.limits = after
	if e.Phase == throttle.PhaseDown {
		s.pressed.down = true
	}
	return before.inFlight > 0 && after.inFlight >= before.inFlight && after.rate >= before.rate &&
		after != before
}
