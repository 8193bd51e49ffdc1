package upstream

import (
	"cmp"
	"slices"
	"time"

	"github.com/penstock/penstock/internal/stop"
)

// Close records that a server, which may be nil, gets no more of this run. That ends the run if it
// is the only one, or none is left.
func (set *Set) Close(s *Server, reason stop.ServerReason) {
	if set.closes(s, reason) {
		set.Closed(s, reason)
	}
}

// Shut is Close, and ends also the requests that wait for their turn: at once, for each of them
// would be refused too.
func (set *Set) Shut(s *Server, reason stop.ServerReason) {
	news := set.closes(s, reason)
	s.Stop(reason)
	if news {
		set.Closed(s, reason)
	}
}

// ShutRefusing shuts a server that refuses everything alike.
func (set *Set) ShutRefusing(s *Server) {
	row := s.Row()
	set.Shut(s, stop.RefusesAll{Code: row.Status, Items: row.Items, Before: row.Before})
}

// LeaveAlone closes a server, which may be nil, that asked for a wait until then, longer than the
// longest that the user allows. If the source of the pause is not known, it is the server's.
func (set *Set) LeaveAlone(
	s *Server, until time.Time, longest time.Duration, source string,
) {
	why := stop.LeftAlone{Until: until, MaxWait: longest, At: time.Now(), Source: source}
	if s != nil {
		why.Source = cmp.Or(source, s.Stats().PauseSource)
		why.Earlier = s.Earlier().Equal(until)
	}
	set.Close(s, why)
}

// closes is Close without a word. It reports whether there is something to say: the run may go on
// with other servers.
func (set *Set) closes(s *Server, reason stop.ServerReason) (news bool) {
	first := s != nil && s.close(reason)
	switch {
	case set.One:
		set.End(once(reason))
	case first:
		set.EndIfAlone()
	}
	return first && !set.One
}

// close records that the server gets no more of this run, and reports whether that is new.
func (s *Server) close(reason stop.ServerReason) (first bool) {
	s.set.mu.Lock()
	defer s.set.mu.Unlock()
	if s.gone != nil {
		return false
	}
	s.gone = reason
	return true
}

// Gone returns why the server gets no more of this run. If that is nil, it gets more.
func (s *Server) Gone() stop.ServerReason {
	s.set.mu.Lock()
	defer s.set.mu.Unlock()
	return s.gone
}

// once returns the reason to end a run because of one server. Its items say already what is wrong
// with it.
func once(reason stop.ServerReason) stop.Reason {
	if why, ok := reason.(stop.Unreachable); ok {
		return stop.Unreached{Unreachable: why}
	}
	return reason
}

// EndIfAlone ends the run when all its servers are known and none gets any more.
func (set *Set) EndIfAlone() {
	if !set.Whole() {
		return
	}
	all := set.All()
	if slices.ContainsFunc(all, func(s *Server) bool { return s.Gone() == nil }) {
		return
	}
	for _, s := range all {
		set.End(once(s.Gone()))
	}
}

// EndRefused adds to the reasons to end the servers that refused everything while the run went on
// with others.
func (set *Set) EndRefused() {
	for _, s := range set.All() {
		if why, ok := s.Gone().(stop.RefusesAll); ok {
			set.End(stop.At{Host: s.Host(), ServerReason: why})
		}
	}
}

// RefusedAll reports whether a server was given up since it refused everything by that status.
func (set *Set) RefusedAll(status int) bool {
	return slices.ContainsFunc(set.All(), func(s *Server) bool {
		why, ok := s.Gone().(stop.RefusesAll)
		return ok && why.Code == status
	})
}
