package send

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
)

// A server is one of those that items go to.
type server struct {
	*throttle.Upstream
	patience
	key      string
	accepted int64                // requests
	heard    bool                 // it has answered something
	newest   map[string]time.Time // by method: when that of them left that left last, of items without headers of their own
	trouble  string               // what went wrong last; empty: nothing did
	culprit  string               // what that was about, if not the server: its proxy
	broken   bool                 // that was an answer like 500, or no connection for what is in between
	gone     error                // why it gets no more of this run
	goneBy   int                  // the exit status that goes with it
	alike    alike
	pressed  pressed
	streak   streak
	earlier  time.Time // until when it asked us in an earlier run to wait
	limits   limits    // of the last event of a change

	// For watch alone, and after it for summary.
	down    time.Time // since when it is, where that was told; if zero, it is not
	told    time.Time // when that was
	reached time.Time // since when it takes bytes of a file again; if zero, it does not
	blamed  string    // what was said to be down, if not the server
	pace    plateau
	crowd   crowd
	learned progress.Learned
	sound   int64 // requests accepted when what is learned began to count
	paced   bool  // people have been told
	shaken  bool  // it has refused something, or failed
	fell    bool  // it has been down
	most    int   // that could be in flight since then
}

// host is the server's name, as people call it.
func (s *server) host() string {
	_, host, _ := strings.Cut(s.key, "://")
	return host
}

// serverLocked returns what is known of a server. It requires that mu is held.
func (r *run) serverLocked(key string) *server {
	s := r.servers[key]
	if s != nil {
		return s
	}
	for old, s := range r.servers { // one that has nothing to do
		if len(r.servers) < maxServers {
			break
		}
		if stats := s.Stats(); s.gone == nil && stats.Waiting+stats.InFlight == 0 && !closed(stats) && s.failing.IsZero() {
			delete(r.servers, old)
		}
	}
	s = &server{Upstream: r.transport.Upstream(key), key: key, newest: make(map[string]time.Time)}
	r.servers[key] = s
	return s
}

// close notes that a server, which may be nil, gets no more of this run. That ends the run
// if it is the only one, or none is left.
func (r *run) close(s *server, status int, reason error) {
	if s != nil {
		r.mu.Lock()
		first := s.gone == nil
		if first {
			s.gone, s.goneBy = reason, status
		}
		r.mu.Unlock()
		if first && r.Source.OwnURLs() {
			r.Log.Warn(fmt.Sprintf("%s: %v: nothing more is sent to it", s.key, reason))
			r.endIfAlone()
		}
	}
	if !r.Source.OwnURLs() {
		r.end(status, once(reason))
	}
}

// shut is close, and ends also the requests that wait for their turn.
func (r *run) shut(s *server, status int, reason error) {
	r.close(s, status, reason)
	s.Stop(reason)
}

// once returns the reason to end a run because of one server. Its items say already what is wrong with it.
func once(reason error) error {
	if errors.Is(reason, retry.ErrUnreachable) {
		return retry.ErrUnreachable
	}
	return reason
}

// endIfAlone ends the run when all is read and each of its servers is gone.
func (r *run) endIfAlone() {
	reasons := make(map[int]error)
	r.mu.Lock()
	alone := r.whole && len(r.servers) > 0
	for _, s := range r.servers {
		alone = alone && s.gone != nil
		reasons[s.goneBy] = s.gone
	}
	r.mu.Unlock()
	if !alone {
		return
	}
	for _, status := range slices.Sorted(maps.Keys(reasons)) {
		r.end(status, once(reasons[status]))
	}
}

// refusedServers adds to the summary the servers that refused everything while the run went on with others.
func (r *run) refusedServers() {
	for _, s := range r.all() {
		if s.goneBy == exit.Refused {
			r.end(exit.Refused, fmt.Errorf("%s: %w", s.host(), s.gone))
		}
	}
}

// all returns the servers that something was sent to, by name.
func (r *run) all() []*server {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.SortedFunc(maps.Values(r.servers), func(a, b *server) int { return strings.Compare(a.key, b.key) })
}

// A view is the state of all servers at an instant: that of the busiest, or if all
// of them are closed the one that opens next, with what all have waiting and in
// flight.
type view struct {
	throttle.UpstreamStats
	name     string // that one's, where there are several
	wrong    string // what went wrong with it last
	room     int    // that they allow in flight
	parked   int    // of those that wait, for a server that is closed while another is not
	aside    string // which other ones are closed, in words
	learned  progress.Learned
	pressed  bool // it has refused requests because there were too many
	reached  bool // it is down, and takes bytes of a file again
	unproven bool // its rate comes from an outage, and no refusal was about the number of requests
	untold   bool // so does the limit in flight, and no higher one was tried since
	random   bool // what it refuses may be chance: it is not said to be down
}

// view looks at all servers.
func (r *run) view(now time.Time) view {
	type state struct {
		*server
		throttle.UpstreamStats
	}
	var best state
	var states []state
	for _, server := range r.all() {
		s := state{server, server.Stats()}
		server.look(s.UpstreamStats)
		states = append(states, s)
		if best.server == nil || telling(s.UpstreamStats, best.UpstreamStats) {
			best = s
		}
	}
	v := view{UpstreamStats: best.UpstreamStats}
	if best.server != nil {
		v.wrong, v.random = r.wrong(best.server), !r.isOutage(best.server)
		v.learned = r.found(best.server, best.UpstreamStats)
		v.unproven = r.isUnproven(best.server)
		v.untold = r.isUntold(best.server, best.UpstreamStats)
		v.pressed = r.isPressed(best.server)
		v.reached = best.Phase == throttle.PhaseDown && r.moving.reaches(best.server, best.Changed)
	}
	v.Waiting, v.InFlight, v.Unclaimed = 0, 0, 0
	var others []string
	open := false
	for _, s := range states {
		v.Waiting += s.Waiting
		v.InFlight += s.InFlight
		v.Unclaimed += s.Unclaimed
		v.room += min(s.Limit, max(r.Limits.InFlight, mostInFlight))
		if !closed(s.UpstreamStats) {
			open = true
			continue
		}
		v.parked += s.Waiting
		if s.server != best.server && s.Waiting+s.InFlight > 0 && (!s.Paused.IsZero() || r.isOutage(s.server)) {
			others = append(others, s.host()+" is "+closedWords(s.UpstreamStats, r.wrong(s.server), now))
		}
	}
	if !open {
		v.parked = 0 // no other server has work for a stand-in
	}
	if len(states) > 1 {
		v.name = best.host()
	}
	if v.aside = strings.Join(others, ""); len(others) > 1 {
		v.aside = fmt.Sprintf("%d servers are paused or down", len(others))
	}
	return v
}

// look notes what may be in flight since the server was last down, or close to it.
func (s *server) look(stats throttle.UpstreamStats) {
	switch stats.Phase {
	case throttle.PhaseDown:
		s.fell, s.most = true, 0
	case throttle.PhaseHoldingBack:
		// Perhaps because of the number that was tried.
	default:
		s.most = max(s.most, stats.Limit)
	}
	s.shaken = stats.Throttled+stats.Overloaded+stats.TimedOut+stats.Failed > 0
	if !s.fell {
		s.most = max(s.most, stats.MaxInFlight)
	}
}

// telling reports whether the state of a says more about why the run is not faster
// than that of b. A server that is open and has work comes first, and among those
// the one with the most; else the one that opens first.
func telling(a, b throttle.UpstreamStats) bool {
	load := func(s throttle.UpstreamStats) int {
		switch {
		case closed(s):
			return 0
		case s.Waiting+s.InFlight == 0:
			return -1
		}
		return s.Waiting + s.InFlight
	}
	if load(a) != load(b) || load(a) != 0 {
		return load(a) > load(b)
	}
	return opens(a).Before(opens(b))
}

// closed reports whether a server takes nothing at present.
func closed(s throttle.UpstreamStats) bool {
	return !s.Paused.IsZero() || s.Phase == throttle.PhaseDown
}

// opens is when a closed server is asked again.
func opens(s throttle.UpstreamStats) time.Time {
	if !s.Paused.IsZero() {
		return s.Paused
	}
	return s.Probe
}
