package upstream

import (
	"math"
	"time"

	"github.com/penstock/penstock/internal/stop"
)

// patience measures how long a server has accepted nothing although requests were sent.
//
// A wait that a server asks for does not count at first. If the requests that follow it are not
// accepted either, it counts after all: otherwise the run would never give up a server that asks
// for a second each second.
type patience struct {
	failing    time.Time // since when; if zero, the last request was accepted
	begin, end time.Time // of the last wait asked for, unless it counts
}

// asked records that a server asked us to wait. Of requests on their way several may hear that: it
// is one wait.
func (p *patience) asked(now, until time.Time) {
	if !now.Before(p.end) {
		p.begin, p.end = now, until
	} else if until.After(p.end) {
		p.end = until
	}
}

// failed records that a request was not accepted.
func (p *patience) failed(sent, now time.Time) {
	if p.failing.IsZero() {
		p.failing = now
	}
	if !sent.Before(p.end) {
		p.begin, p.end = time.Time{}, time.Time{}
	}
}

// spent is what counts.
func (p *patience) spent(now time.Time) time.Duration {
	if p.failing.IsZero() {
		return 0
	}
	begin, end := later(p.begin, p.failing), p.end
	if now.Before(end) {
		end = now
	}
	return now.Sub(p.failing) - max(end.Sub(begin), 0)
}

// Asked records that the server asked us to wait.
func (s *Server) Asked(now, until time.Time) {
	s.set.mu.Lock()
	defer s.set.mu.Unlock()
	s.asked(now, until)
}

// AskedOne records that the server asked for a wait of one item, unless it has asked all of us:
// then the item's is a little later.
func (s *Server) AskedOne(now, until time.Time) {
	s.set.mu.Lock()
	defer s.set.mu.Unlock()
	if !now.Before(s.end) {
		s.asked(now, until)
	}
}

// AskedEarlier records that the server asked in an earlier run to wait, and reports whether that is
// new.
func (s *Server) AskedEarlier(now, until time.Time) (first bool) {
	s.set.mu.Lock()
	defer s.set.mu.Unlock()
	if !s.earlier.IsZero() {
		return false
	}
	s.earlier = until
	s.asked(now, until)
	return true
}

// Earlier returns until when the server asked in an earlier run to wait; zero if it did not.
func (s *Server) Earlier() time.Time {
	s.set.mu.Lock()
	defer s.set.mu.Unlock()
	return s.earlier
}

// Spent returns for how long the server has accepted nothing, as far as that counts.
func (s *Server) Spent(now time.Time) time.Duration {
	s.set.mu.Lock()
	defer s.set.mu.Unlock()
	return s.spent(now)
}

// worksLocked records that a server has answered as it should. It resets the patience with all
// servers. It requires that mu is held.
func (set *Set) worksLocked() {
	if !set.failing {
		return
	}
	for _, s := range set.servers {
		s.patience = patience{}
	}
	set.failing, set.refusing = false, false
}

// Rest has the patience begin anew with the next request that is not accepted: until then there is
// nothing to send, which says nothing of a server.
func (set *Set) Rest() {
	set.mu.Lock()
	defer set.mu.Unlock()
	refusing := set.refusing
	set.worksLocked()
	set.refusing = refusing
}

// unprovenPatience is the patience with answers like 500 while nothing was ever accepted: the
// server may never accept what is sent. It is long enough for a restart.
const unprovenPatience = 10 * time.Minute

// Patience returns for how long the server is tried if it accepts nothing, 0 if without limit. It
// reports whether that is a limit of ours, which is shorter than the user's.
func (s *Server) Patience() (after time.Duration, ours bool) {
	s.set.mu.Lock()
	defer s.set.mu.Unlock()
	proven := s.set.accepted || s.set.Proven
	if s.broken && !proven && unprovenPatience < s.set.GiveUpAfter {
		return unprovenPatience, true
	}
	return s.set.GiveUpAfter, false
}

// GivesUpAt is when the run ends if nothing is accepted until then; if zero, it does not.
func (set *Set) GivesUpAt(now time.Time) (at time.Time) {
	for _, s := range set.All() {
		after, _ := s.Patience()
		set.mu.Lock()
		failing, spent := !s.failing.IsZero(), s.spent(now)
		set.mu.Unlock()
		if end := now.Add(after - spent); failing && after > 0 && end.After(at) {
			at = end
		}
	}
	return at
}

// GiveUp returns why the run ends, if it is to end.
func (set *Set) GiveUp(now time.Time) (why stop.GaveUp, ends bool) {
	set.mu.Lock()
	defer set.mu.Unlock()
	if set.GiveUpAfter <= 0 || !set.failing {
		return why, false
	}
	proven := set.accepted || set.Proven
	spent := time.Duration(math.MaxInt64)
	for _, s := range set.servers {
		if s.failing.IsZero() {
			continue
		}
		proven = proven || !s.broken
		if each := s.spent(now); each < spent {
			spent, why.Trouble = each, s.trouble
		}
		if now.Before(s.end) && (why.Until.IsZero() || s.end.Before(why.Until)) {
			why.Until = s.end
		}
	}
	why.After = set.GiveUpAfter
	if !proven && unprovenPatience < why.After {
		why.After, why.Ours = unprovenPatience, true
	}
	return why, spent > why.After
}
