package send

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/time/rate"

	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/throttle"
)

// A server is one of those that items go to.
type server struct {
	*throttle.Upstream
	patience
	key     string
	trouble string // what went wrong last; empty: nothing did

	// For watch alone.
	down    time.Time // since when it is, where that was told; zero: it is not
	told    time.Time // when that was
	pace    float64   // the rate that was learned, while people have not been told
	settled time.Time // since when it has been so, about
	paced   bool      // they have been
}

// A view is the state of all servers at an instant: that of the busiest, or if all
// of them are closed the one that opens next, with what all have waiting and in
// flight.
type view struct {
	throttle.UpstreamStats
	name   string // that one's, where there are several
	wrong  string // what went wrong with it last
	parked int    // of those that wait, for a server that is closed while another is not
	aside  string // which other ones are closed, in words
}

// host is the server's name, as people call it.
func (s *server) host() string {
	_, host, _ := strings.Cut(s.key, "://")
	return host
}

// all returns the servers that something was sent to, by name.
func (r *run) all() []*server {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.SortedFunc(maps.Values(r.servers), func(a, b *server) int { return strings.Compare(a.key, b.key) })
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
		states = append(states, s)
		if best.server == nil || telling(s.UpstreamStats, best.UpstreamStats) {
			best = s
		}
	}
	v := view{UpstreamStats: best.UpstreamStats}
	if best.server != nil {
		v.wrong = r.wrong(best.server)
	}
	v.Waiting, v.InFlight, v.Unclaimed = 0, 0, 0
	var others []string
	open := false
	for _, s := range states {
		v.Waiting += s.Waiting
		v.InFlight += s.InFlight
		v.Unclaimed += s.Unclaimed
		if !closed(s.UpstreamStats) {
			open = true
			continue
		}
		v.parked += s.Waiting
		if s.server != best.server && s.Waiting+s.InFlight > 0 {
			others = append(others, s.host()+" is "+closedWords(s.UpstreamStats, r.wrong(s.server), now))
		}
	}
	if !open {
		v.parked = 0 // nobody could do anything in their stead
	}
	if len(states) > 1 {
		v.name = best.host()
	}
	if v.aside = strings.Join(others, ""); len(others) > 1 {
		v.aside = fmt.Sprintf("%d servers are paused or down", len(others))
	}
	return v
}

// telling reports whether the state of one server tells more of why the run is not
// faster than that of another: one that takes something and has something to do,
// and the more of it the better; else the one that will be the first to.
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

// closed tells whether a server takes nothing at present.
func closed(s throttle.UpstreamStats) bool {
	return !s.Paused.IsZero() || s.Phase == throttle.Down
}

// opens is when a closed server is asked again.
func opens(s throttle.UpstreamStats) time.Time {
	if !s.Paused.IsZero() {
		return s.Paused
	}
	return s.Probe
}

func closedWords(s throttle.UpstreamStats, wrong string, now time.Time) string {
	if s.Paused.IsZero() {
		return "down"
	}
	if s.PauseSource == "" {
		return fmt.Sprintf("paused %s after %s", left(s.Paused, now), cmp.Or(wrong, s.Reason))
	}
	return fmt.Sprintf("paused %s: %s", left(s.Paused, now), header(s.PauseSource))
}

// left writes the time until an instant, which is not over before it is.
func left(until, now time.Time) string {
	return report.Clock(until.Sub(now) + time.Second/2 - 1)
}

// unlimited tells whether so many in flight are no limit.
func unlimited(inFlight int) bool { return inFlight >= math.MaxInt32 }

// learned is what was found out of a server, as far as nobody gave it.
func learned(s throttle.UpstreamStats) (l report.Learned) {
	if !s.Learned || s.Phase == throttle.Down {
		return l
	}
	if s.Limits.Rate == 0 && s.Rate != rate.Inf {
		l.Rate = report.Optional(math.Round(float64(s.Rate)*1000) / 1000)
	}
	if s.Limits.InFlight == 0 && !unlimited(s.Limit) && s.Phase != throttle.Starting {
		l.InFlight = report.Optional(s.Limit)
	}
	return l
}

// holding names what holds the run back, also in words.
func (r *run) holding(v view, now time.Time) (report.Limit, string) {
	if cause := r.ending.cause(); cause != nil {
		return report.NoLimit, fmt.Sprintf("nothing new is sent: %v", errors.Unwrap(cause))
	}
	limit, words := r.control(v, now)
	if v.name != "" && words != "" && limit != report.NoLimit {
		words = v.name + ": " + words
	}
	if v.aside != "" {
		words = strings.TrimPrefix(words+"; "+v.aside, "; ")
	}
	return limit, words
}

// control names the control in force, and why nothing more is sent.
func (r *run) control(v view, now time.Time) (report.Limit, string) {
	r.mu.Lock()
	backoff, whole := r.backoff, r.whole
	r.mu.Unlock()
	switch {
	case !v.Paused.IsZero():
		return report.LimitCoolDown, closedWords(v.UpstreamStats, v.wrong, now)
	case v.Phase == throttle.Down:
		next := "trying it now"
		if now.Before(v.Probe) {
			next = "next try in " + left(v.Probe, now)
		}
		return report.LimitDown, fmt.Sprintf("server down (%s): %s", cmp.Or(v.wrong, v.Reason), next)
	}
	switch v.Holding {
	case throttle.ByRate:
		return r.paceWords(v)
	case throttle.ByBandwidth:
		return report.LimitBandwidth, "held by your --bandwidth " + humanize.IBytes(uint64(r.Limits.Bandwidth)) + "/s"
	case throttle.ByConcurrency, throttle.ByDown:
		return report.LimitConcurrency, r.roomWords(v)
	}
	// Nobody waits for his turn.
	switch queued := r.pool.Stats().Queued; {
	case v.InFlight == 0 && backoff > 0:
		words := plural(backoff, "file") + " to be tried again"
		if v.wrong != "" {
			words += ": " + v.wrong
		}
		return report.LimitBackoff, words
	case r.Workers > 0 && v.InFlight+backoff >= r.Workers:
		return report.LimitConcurrency, fmt.Sprintf("held by your --workers %d", r.Workers)
	case v.InFlight >= v.Limit && v.InFlight > 0:
		return report.LimitConcurrency, r.roomWords(v)
	case queued > 0 || v.InFlight == 0:
		return report.NoLimit, ""
	case whole:
		return report.NoLimit, "waiting for the last " + plural(v.InFlight, "answer")
	case r.Found.Partial:
		return report.NoLimit, "waiting for standard input"
	}
	return report.NoLimit, ""
}

// paceWords say why no more is sent in a second.
func (r *run) paceWords(v view) (report.Limit, string) {
	given := r.Limits.Rate
	switch {
	case given == 0 && v.Rate == rate.Inf: // a cool-down is just over
		return report.NoLimit, ""
	case given == 0 && v.Reason == "quota":
		return report.LimitRate, "the server's quota allows no more"
	case given == 0:
		return report.LimitRate, "the server takes no more a second"
	case v.Rate < given:
		from := strings.TrimSuffix(report.Pace(float64(given)), " req/s")
		return report.LimitRate, fmt.Sprintf("%s → %s: the server refuses at %s", from, report.Pace(float64(v.Rate)), from)
	}
	return report.LimitRate, "held by your --rps " + strings.TrimSuffix(report.Pace(float64(given)), " req/s")
}

// roomWords say why no more is in flight.
func (r *run) roomWords(v view) string {
	given := r.Limits.InFlight
	switch {
	case v.Phase == throttle.HoldingBack:
		return "holding back after " + cmp.Or(v.wrong, v.Reason)
	case given > 0 && v.Limit < given:
		return fmt.Sprintf("%d → %d in flight: the server refuses more", given, v.Limit)
	case given > 0:
		return fmt.Sprintf("held by your --concurrency %d", given)
	case v.Limit >= mostInFlight:
		return fmt.Sprintf("%d in flight, the most without --concurrency", mostInFlight)
	case v.Phase == throttle.Starting:
		return fmt.Sprintf("looking for the pace: %d in flight", v.InFlight)
	}
	return "the server takes no more at once"
}

// changed tells of a change in the pace those who want to know all.
func (r *run) changed(e throttle.Event) {
	r.Log.Debug(fmt.Sprintf("%s: %s, %s", e.Key, e.Phase, paceOf(e)))
}

// tell says what everybody wants to know: that a server is down, if it is so for a
// while, and that it is back; and the first rate that was learned, once it is sure.
func (r *run) tell(now time.Time) {
	for _, s := range r.all() {
		stats := s.Stats()
		isDown := stats.Phase == throttle.Down
		switch {
		case isDown && s.down.IsZero() && now.Sub(stats.Changed) >= downAfter && now.Sub(s.told) >= tellEvery:
			s.down, s.told = stats.Changed, now
			r.Log.Info(fmt.Sprintf("%s is down (%s): one try at a time until it answers", s.key, cmp.Or(r.wrong(s), stats.Reason)))
		case !isDown && !s.down.IsZero():
			r.Log.Info(fmt.Sprintf("%s is back after %s", s.key, report.Clock(now.Sub(s.down))))
			s.down = time.Time{}
		}
		pace := float64(learned(stats).Rate)
		switch {
		case pace == 0 || s.paced:
		case closed(stats) || math.Abs(pace-s.pace) > 0.1*pace:
			s.pace, s.settled = pace, now
		case now.Sub(s.settled) >= paceAfter:
			s.paced = true
			r.Log.Info(fmt.Sprintf("%s takes %s", s.key, report.Pace(pace)))
		}
	}
}

// wrong says what went wrong with a server last, of an answer the status alone; ""
// if nothing did.
func (r *run) wrong(s *server) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	word, _, _ := strings.Cut(s.trouble, " ")
	if _, err := strconv.Atoi(word); err == nil {
		return word
	}
	return s.trouble
}

// paceOf writes the limits that an event tells of, and why.
func paceOf(e throttle.Event) string {
	text := "any number in flight"
	if !unlimited(e.Limit) {
		text = fmt.Sprintf("%d in flight", e.Limit)
	}
	if e.Rate != rate.Inf {
		text += ", " + report.Pace(float64(e.Rate))
	}
	return fmt.Sprintf("%s (%s)", text, e.Reason)
}

// grow gives the pool workers until somebody always waits for his turn, as long
// as there is work for them. In the place of those who can do nothing for now,
// because their file waits for its next attempt or their server takes nothing,
// there are others.
func (r *run) grow(v view) {
	if r.Workers > 0 || r.pool.Stats().Queued == 0 {
		return
	}
	r.mu.Lock()
	backoff, refusing := r.backoff, r.refusing
	r.mu.Unlock()
	if refusing {
		// A server that takes nothing needs nobody but who finds out when it does.
		backoff = min(backoff, probers)
	}
	late := v.Unclaimed > r.unclaimed || v.Waiting == v.parked
	r.unclaimed = v.Unclaimed
	switch {
	case r.grew:
		r.grew = false // tokens that were late before the new workers came say nothing of them
	case late && !refusing && v.Holding != throttle.ByBandwidth:
		r.grown += r.grown/2 + 1
		r.grew = true
	}
	most := maxWorkers
	if r.Limits.InFlight > 0 {
		most = min(most, r.Limits.InFlight)
	}
	r.grown = min(r.grown, most)
	r.pool.Resize(min(r.grown+backoff+v.parked, maxWorkers))
}
