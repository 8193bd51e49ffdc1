package upstream

import (
	"time"

	"github.com/penstock/penstock/throttle"
)

// An Overview is the state of the busiest server or, if all are closed, of the one that opens next.
// What waits and what is in flight are those of all servers.
type Overview struct {
	throttle.UpstreamStats
	Name     string // that one's, where there are several
	Trouble  string // what went wrong with it last
	Room     int    // that they allow in flight
	Parked   int    // of those that wait, for a server that is closed while another is not
	Aside    []Aside
	Learned  Learned
	Pressed  bool // it has refused requests because there were too many
	Reached  bool // it is down, and takes bytes of an item again
	Unproven bool // its rate comes from an outage, and no refusal was about the number of requests
	// its limit in flight comes from an outage too, and no higher one was tried since
	Untold bool
	Random bool // what it refuses may be chance: it is not said to be down
}

// Aside is a server that takes nothing at present, and that items wait for, while the others work.
type Aside struct {
	throttle.UpstreamStats
	Host    string
	Trouble string
}

// Overview looks at all servers. Given is the limit in flight that the user gave, 0 if none. It is
// for one goroutine at a time, which calls it often.
func (set *Set) Overview(given int) Overview {
	var best state
	states := set.states()
	for _, s := range states {
		if best.Server == nil || saysMore(s.UpstreamStats, best.UpstreamStats) {
			best = s
		}
	}
	o := best.overview()
	o.Waiting, o.InFlight, o.Unclaimed = 0, 0, 0
	open := false
	for _, s := range states {
		o.Waiting += s.Waiting
		o.InFlight += s.InFlight
		o.Unclaimed += s.Unclaimed
		o.Room += min(s.Limit, max(given, MostInFlight))
		if !IsClosed(s.UpstreamStats) {
			open = true
			continue
		}
		o.Parked += s.Waiting
		waited := s.Server != best.Server && s.Waiting+s.InFlight > 0
		if waited && (!s.Paused.IsZero() || s.IsOutage()) {
			trouble, _ := s.Trouble()
			o.Aside = append(o.Aside, Aside{s.UpstreamStats, s.Host(), trouble})
		}
	}
	if !open {
		o.Parked = 0 // no other server has work for a stand-in
	}
	if len(states) > 1 {
		o.Name = best.Host()
	}
	return o
}

// Each returns the state of each server by itself, by key. It is for the goroutine that calls
// Overview.
func (set *Set) Each() (each []Overview) {
	for _, s := range set.states() {
		o := s.overview()
		o.Name = s.Key
		each = append(each, o)
	}
	return each
}

// A state is that of a server at an instant.
type state struct {
	*Server
	throttle.UpstreamStats
}

// states looks at all servers.
func (set *Set) states() (states []state) {
	for _, server := range set.All() {
		s := state{server, server.Stats()}
		server.look(s.UpstreamStats)
		states = append(states, s)
	}
	return states
}

// overview is what is known of the server alone; of no server, nothing.
func (s state) overview() Overview {
	o := Overview{UpstreamStats: s.UpstreamStats}
	if s.Server == nil {
		return o
	}
	o.Trouble, _ = s.Trouble()
	o.Random = !s.IsOutage()
	o.Learned = s.found(s.UpstreamStats)
	o.Unproven, o.Untold = s.isUnproven(), s.isUntold(s.UpstreamStats)
	o.Pressed = s.IsPressed()
	o.Reached = s.Phase == throttle.PhaseDown && s.set.Reaches(s.Server, s.Changed)
	return o
}

// saysMore reports whether the state of a says more about why the run is not faster than that of b.
// A server that is open and has work comes first, and among those the one with the most; else the
// one that opens first.
func saysMore(a, b throttle.UpstreamStats) bool {
	load := func(s throttle.UpstreamStats) int {
		switch {
		case IsClosed(s):
			return 0
		case s.Waiting+s.InFlight == 0:
			return -1
		}
		return s.Waiting + s.InFlight
	}
	if load(a) != load(b) || load(a) != 0 {
		return load(a) > load(b)
	}
	return reopens(a).Before(reopens(b))
}

// IsClosed reports whether a server takes nothing at present.
func IsClosed(s throttle.UpstreamStats) bool {
	return !s.Paused.IsZero() || s.Phase == throttle.PhaseDown
}

// reopens is when a closed server is asked again.
func reopens(s throttle.UpstreamStats) time.Time {
	if !s.Paused.IsZero() {
		return s.Paused
	}
	return s.Probe
}
