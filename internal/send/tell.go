package send

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/throttle"
)

// changed logs a change of pace.
func (r *run) changed(e throttle.Event) {
	r.mu.Lock()
	s, after := r.serverLocked(e.Key), limits{e.Limit, e.Rate}
	before := s.limits
	s.limits = after
	if e.Phase == throttle.PhaseDown {
		s.pressed.down = true
	}
	r.mu.Unlock()
	if grows := before.inFlight > 0 && e.Limit >= before.inFlight && e.Rate >= before.rate && after != before; grows && isRefusal(e.Reason) {
		e.Reason = "trying more" // the reason is that of the last decrease
	}
	r.Log.Debug(fmt.Sprintf("%s: %s: %s", e.Key, cmp.Or(phases[e.Phase], string(e.Phase)), paceOf(e)))
}

// limits are those that an event reported.
type limits struct {
	inFlight int
	rate     rate.Limit
}

// isRefusal reports whether a reason explains a lower pace only.
func isRefusal(reason string) bool {
	switch reason {
	case "throttled", "overloaded", "timed out", "failed", "trim":
		return true
	}
	return false
}

// phases and reasons are the throttle's, in words for people who do not know how it works.
var (
	phases = map[throttle.Phase]string{
		throttle.PhaseStarting:    "trying out what it takes",
		throttle.PhaseSteady:      "pace adjusted",
		throttle.PhaseHoldingBack: "holding back until it accepts again",
		throttle.PhaseDown:        "one request at a time until it accepts again",
		throttle.PhaseFixed:       "fixed",
	}
	reasons = map[string]string{
		"accepted again": "it accepts again",
		"throttled":      "it refused: too many requests",
		"overloaded":     "it was overloaded or could not be reached",
		"timed out":      "requests timed out",
		"failed":         "requests failed",
		"latency":        "by how long answers take",
		"throughput":     "by the bytes a second of all together",
		"quota":          "by the quota that it states",
		"trim":           "to waste fewer requests",
	}
)

// tell logs that a server has accepted nothing for a while, that it accepts again, and the first rate
// that was learned.
func (r *run) tell(now time.Time) {
	for _, s := range r.all() {
		stats := s.Stats()
		isDown := stats.Phase == throttle.PhaseDown && !r.leftovers(view{UpstreamStats: stats, wrong: r.wrong(s)})
		switch {
		case isDown && s.down.IsZero() && r.isOutage(s) && tellsDown(stats, s.told, now):
			s.down, s.told = stats.Changed, now
			r.Log.Info(r.downWords(s, stats))
		case isDown && !r.moving.reaches(s, stats.Changed):
			s.reached = time.Time{}
		case isDown:
			s.reached = cmp.Or(s.reached, now)
		case !s.down.IsZero():
			lasted := "nothing was accepted for " + human.Span(now.Sub(s.down).Round(time.Second))
			if !s.reached.IsZero() { // it has worked on a large file since
				lasted = "it was down for " + human.Span(s.reached.Sub(s.down).Round(time.Second))
			}
			r.Log.Info(fmt.Sprintf("%s answers again; %s", cmp.Or(s.blamed, s.key), lasted))
			s.down, s.reached, s.blamed = time.Time{}, time.Time{}, ""
		}
		if r.learn(s, stats, now); s.learned.Rate > 0 && !s.paced {
			s.paced = true
			r.Log.Info(fmt.Sprintf("%s takes at least %s", s.key, human.Rate(float64(s.learned.Rate))))
		}
	}
}

// tellsDown reports whether to log that a server is down, if the last such line was written at told. Soon after one, the next
// waits for the result of the probe: the server may be up.
func tellsDown(stats throttle.UpstreamStats, told, now time.Time) bool {
	down := now.Sub(stats.Changed)
	if now.Sub(told) >= tellEvery {
		return down >= downAfter
	}
	return down >= silence+downAfter || down >= silence && stats.Probe.Sub(now) > time.Second
}

// downWords say that a server, or the proxy on the way to it, is down, and until when it is asked again.
func (r *run) downWords(s *server, stats throttle.UpstreamStats) string {
	r.mu.Lock()
	s.blamed = s.culprit
	r.mu.Unlock()
	who, why := s.key, cmp.Or(r.wrong(s), stats.Reason)
	if s.blamed != "" {
		who, why = s.blamed, strings.TrimPrefix(why, s.blamed+": ")
	}
	how := "is down"
	if why == noAnswer {
		how = "does not answer"
	}
	text := fmt.Sprintf("%s %s (%s): one try at a time until it answers", who, how, why)
	after, ours := r.patienceWith(s)
	switch {
	case after <= 0:
		return text
	case ours:
		return text + fmt.Sprintf(", for %s at most", human.Exact(after))
	}
	return text + fmt.Sprintf(", for %s at most (--give-up-after)", human.Exact(after))
}

// paceOf writes the limits of an event, and their reason.
func paceOf(e throttle.Event) string {
	var parts []string
	if e.Limit < mostInFlight { // else it limits nothing
		parts = append(parts, fmt.Sprintf("at most %d in flight", e.Limit))
	}
	if e.Rate != rate.Inf {
		parts = append(parts, human.Rate(float64(e.Rate)))
	}
	text := cmp.Or(strings.Join(parts, ", "), "no limit")
	if e.Reason == "" {
		return text
	}
	return fmt.Sprintf("%s (%s)", text, cmp.Or(reasons[e.Reason], e.Reason))
}
