// Package upstream keeps what is known of each server that items go to: for how long it has
// accepted nothing, what went wrong last, whether it refuses everything, and what was found of its
// pace. Events go in, facts come out. It sends nothing, waits for nothing and has no words for
// people.
package upstream

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/penstock/penstock/internal/stop"
	"github.com/penstock/penstock/throttle"
)

const (
	// MostInFlight is the ceiling of throttle where none is given.
	MostInFlight = 256
	// maxServers bounds what is remembered of those that a manifest names.
	maxServers = 1024

	// DownAfter is how long a server accepts nothing before it is said to be down.
	DownAfter = 2 * time.Second
	// Silence is how long no answer comes before that is worth a word.
	Silence = 10 * time.Second
	// NoticeEvery is how often, at most, a pause or an outage is logged.
	NoticeEvery = 30 * time.Second
)

// A Set holds the servers of a run. Its exported fields are set before its first use. Its methods,
// and those of its servers, may be called concurrently, except where they say otherwise.
type Set struct {
	Upstream    func(key string) *throttle.Upstream // the limits of a server
	GiveUpAfter time.Duration                       // without anything accepted; if zero, no limit
	Proven      bool                                // something was accepted in an earlier run
	// Reaches reports whether a server acknowledges bytes of an item that was begun since then.
	Reaches func(s *Server, since time.Time) bool

	// What follows is for what closes servers.
	One   bool              // all items go to one server
	Whole func() bool       // reports whether all items, and so all servers, are known
	End   func(stop.Reason) // ends the run
	// Closed is called when a server gets no more of a run that may go on with others.
	Closed func(*Server, stop.ServerReason)

	mu       sync.Mutex
	servers  map[string]*Server // by key
	accepted bool               // something was, ever
	failing  bool               // some request was not accepted since the last one that was
	// the last such request failed because of the server, not of its item
	refusing bool
	probes   probes

	inFlight, maxInFlight int
	peak                  int // since the last call of Peak
	// the last answer came, or the first request left that has none yet
	heard     time.Time
	pauseTold time.Time // when people were last told of a pause
}

// A Server is a server that items go to.
type Server struct {
	*throttle.Upstream
	Key string // its origin
	set *Set

	// Below set.mu.
	patience
	accepted int64                // requests
	heard    bool                 // it has answered something
	newest   map[string]time.Time // by method: when the item left that left last and was accepted
	trouble  string               // what went wrong last; empty: nothing did
	culprit  string               // what that was about, if not the server: its proxy
	// that was an answer like 500, or no connection to what is behind it
	broken  bool
	gone    stop.ServerReason // why it gets no more of this run
	leads   *Server           // where its last redirect to another server led; nil: there was none
	alike   alike
	pressed pressed
	streak  streak
	earlier time.Time // until when it asked us in an earlier run to wait
	limits  limits    // of the last event of a change

	// For the goroutine that calls Overview and Notices, and after it for the summary.
	outage
	pace    plateau
	crowd   crowd
	learned Learned
	sound   int64 // requests accepted when what is learned began to count
	paced   bool  // people have been told
	shaken  bool  // it has refused something, or failed
	fell    bool  // it has been down
	most    int   // that could be in flight since then
}

// Host is the server's name, as people call it.
func (s *Server) Host() string {
	_, host, _ := strings.Cut(s.Key, "://")
	return host
}

// Of returns what is known of a server. One that is new has its own place from now on; if there are
// too many, one that has nothing to do is forgotten.
func (set *Set) Of(key string) *Server {
	set.mu.Lock()
	defer set.mu.Unlock()
	return set.ofLocked(key)
}

// ofLocked is Of. It requires that mu is held.
func (set *Set) ofLocked(key string) *Server {
	s := set.servers[key]
	if s != nil {
		return s
	}
	for old, s := range set.servers {
		if len(set.servers) < maxServers {
			break
		}
		stats := s.Stats()
		idle := stats.Waiting+stats.InFlight == 0 && !IsClosed(stats)
		if idle && s.gone == nil && s.failing.IsZero() {
			delete(set.servers, old)
		}
	}
	if set.servers == nil {
		set.servers = make(map[string]*Server)
	}
	s = &Server{Upstream: set.Upstream(key), Key: key, set: set, newest: make(map[string]time.Time)}
	set.servers[key] = s
	return s
}

// Known returns what is known of a server, nil if nothing is.
func (set *Set) Known(key string) *Server {
	set.mu.Lock()
	defer set.mu.Unlock()
	return set.servers[key]
}

// EndOf is Known for the server that items for a server end at, where that redirects them.
func (set *Set) EndOf(key string) *Server {
	set.mu.Lock()
	defer set.mu.Unlock()
	s := set.servers[key]
	for n := 0; s != nil && s.leads != nil && n < maxHops; n++ {
		s = s.leads
	}
	return s
}

// maxHops is for servers that redirect in a circle.
const maxHops = 10

// LeadsTo records that the server redirects to another one, or to itself.
func (s *Server) LeadsTo(next *Server) {
	s.set.mu.Lock()
	defer s.set.mu.Unlock()
	if s != next {
		s.leads = next
	}
}

// All returns the servers, by key.
func (set *Set) All() []*Server {
	set.mu.Lock()
	defer set.mu.Unlock()
	return slices.SortedFunc(maps.Values(set.servers), func(a, b *Server) int {
		return strings.Compare(a.Key, b.Key)
	})
}

// Several reports whether there is more than one server.
func (set *Set) Several() bool {
	set.mu.Lock()
	defer set.mu.Unlock()
	return len(set.servers) > 1
}

// Observe records that a request leaves, was sent again by net/http, or has ended. Of other events
// it records nothing.
func (set *Set) Observe(e throttle.Event, now time.Time) {
	set.mu.Lock()
	defer set.mu.Unlock()
	switch {
	case e.Kind == throttle.EventSent:
		if set.inFlight++; set.inFlight == 1 {
			set.heard = now
		}
		set.maxInFlight = max(set.maxInFlight, set.inFlight)
		set.peak = max(set.peak, set.inFlight)
		set.ofLocked(e.Key) // it is known from now on
	case e.Kind == throttle.EventResent && e.Signal != throttle.SignalIgnored:
		// net/http sends again, and again, what is refused
		set.ofLocked(e.Key).failed(now, now)
		set.failing = true
	case e.Kind == throttle.EventEnded:
		set.heard = now
		set.inFlight--
	}
}

// Paused records that a server asked us to wait, and reports whether to tell people.
func (set *Set) Paused(e throttle.Event, now time.Time) (news bool) {
	set.Of(e.Key).Asked(now, e.Until)
	return set.tellsPause(now, e.Until.Sub(now), e.Source == "quota")
}

// InFlight returns how many requests are in flight at all servers together, and the most that were.
func (set *Set) InFlight() (now, most int) {
	set.mu.Lock()
	defer set.mu.Unlock()
	return set.inFlight, set.maxInFlight
}

// Peak returns the most requests that were in flight at all servers together since the last call.
func (set *Set) Peak() (most int) {
	set.mu.Lock()
	defer set.mu.Unlock()
	most, set.peak = set.peak, set.inFlight
	return most
}

// Heard returns when the last answer came, or the first request left that has none yet.
func (set *Set) Heard() time.Time {
	set.mu.Lock()
	defer set.mu.Unlock()
	return set.heard
}

// IsRefusing reports whether the last request that was not accepted failed because of the server,
// and how many workers are needed beside those whose items servers refuse.
func (set *Set) IsRefusing() (is bool, standIns int) {
	set.mu.Lock()
	defer set.mu.Unlock()
	return set.refusing, set.probes.standIns()
}

// HasAccepted reports whether something was accepted in this run.
func (set *Set) HasAccepted() bool {
	set.mu.Lock()
	defer set.mu.Unlock()
	return set.accepted
}

// An Answer is how a request for an item ended.
type Answer struct {
	Status   int       // if zero, there was none
	Sent     time.Time // when the request left
	Method   string    // empty: the item has headers of its own, and says nothing of others
	Accepted bool
	Declined bool // it refused because it has the item already, as it was asked to
	Full     bool // there were too many requests: throttled or overloaded
	Broken   bool // an answer like 500, or no connection to what is behind it
	Unopened bool // there was no connection
	Item     bool // the failure is the item's: the server works

	Trouble string // in a few words
	Culprit string // what it is about, if not the server
}

// Judged records how a request to the server ended.
func (s *Server) Judged(a Answer, now time.Time) {
	set := s.set
	set.mu.Lock()
	defer set.mu.Unlock()
	s.heard = s.heard || a.Status != 0
	s.pressed.note(a, now)
	s.trouble, s.culprit = a.Trouble, a.Culprit
	if a.Accepted {
		s.accepted++
		s.trouble = ""
		s.streak.accept()
		if a.Method != "" {
			s.newest[a.Method] = later(s.newest[a.Method], a.Sent)
		}
		// what was on its way then changes nothing
		if _, refuses := s.gone.(stop.RefusesAll); !refuses {
			s.gone = nil
		}
		s.alike.accept(a.Sent)
		set.accepted = true
		set.probes.accepted()
		set.worksLocked()
		return
	}
	s.broken = a.Broken
	if a.Declined {
		s.trouble, s.culprit = "", ""
		set.worksLocked()
		return
	}
	s.streak.refuse(a.Sent, now, a.Unopened)
	s.failed(a.Sent, now)
	set.failing = true
	set.refusing = !a.Item
	if set.refusing && a.Status != 0 {
		set.probes.refused(a.Sent, now)
	}
}

// Accepted returns how many requests the server has accepted.
func (s *Server) Accepted() int64 {
	s.set.mu.Lock()
	defer s.set.mu.Unlock()
	return s.accepted
}

// AcceptedLike reports whether the server has accepted an item with that method, and without
// headers of its own, that left after that instant.
func (s *Server) AcceptedLike(method string, after time.Time) bool {
	s.set.mu.Lock()
	defer s.set.mu.Unlock()
	return s.newest[method].After(after)
}

// MayBeTLS reports whether the server, which is addressed without TLS and at a port that is not the
// usual one, has never answered.
func (s *Server) MayBeTLS() bool {
	if u, err := url.Parse(s.Key); err != nil || u.Scheme != "http" || u.Port() == "" {
		return false
	}
	s.set.mu.Lock()
	defer s.set.mu.Unlock()
	return !s.heard
}

// Trouble returns what went wrong with the server last, and what that was about if not the server.
// Both are empty if nothing did. For an answer, trouble is the status alone.
func (s *Server) Trouble() (trouble, culprit string) {
	s.set.mu.Lock()
	defer s.set.mu.Unlock()
	trouble = s.trouble
	if status, _, _ := strings.Cut(trouble, " "); IsStatus(status) {
		trouble = status
	}
	return trouble, s.culprit
}

// IsStatus reports whether a text is the number of an HTTP status.
func IsStatus(text string) bool {
	return len(text) == 3 && strings.Trim(text, "0123456789") == ""
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
