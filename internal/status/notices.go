package status

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/upstream"
	"github.com/penstock/penstock/internal/wire"
	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
)

// NoAnswer is the trouble with a server that is perhaps only slow.
const NoAnswer = "no answer in time"

// Notice words what is said once about a server.
func Notice(n upstream.Notice) string {
	switch {
	case n.Down:
		return down(n)
	case n.Back == nil:
		return fmt.Sprintf("%s takes at least %s", n.Key, human.Rate(n.Rate))
	}
	lasted := "nothing was accepted for " + human.Span(n.Back.Lasted.Round(time.Second))
	if n.Back.Busy {
		lasted = "it was down for " + human.Span(n.Back.Lasted.Round(time.Second))
	}
	return fmt.Sprintf("%s answers again; %s", cmp.Or(n.Blamed, n.Key), lasted)
}

// down says that a server, or the proxy on the way to it, is down, and until when it is asked
// again.
func down(n upstream.Notice) string {
	trouble, _ := n.Trouble()
	who, why := n.Key, cmp.Or(trouble, n.Stats.Reason)
	if n.Blamed != "" {
		who, why = n.Blamed, strings.TrimPrefix(why, n.Blamed+": ")
	}
	how := "is down"
	if why == NoAnswer {
		how = "does not answer"
	}
	text := fmt.Sprintf("%s %s (%s): one try at a time until it answers", who, how, why)
	after, ours := n.Patience()
	if after > 0 {
		text += fmt.Sprintf(", for %s at most", human.Exact(after))
		if !ours {
			text += " (--give-up-after)"
		}
	}
	return text
}

// Paused says that a server asked us to wait.
func Paused(e throttle.Event, now time.Time) string {
	wait, until := human.Span(e.Until.Sub(now)), human.InstantSeconds(e.Until, now)
	switch e.Source {
	case "": // it was not asked for
		return fmt.Sprintf("%s: paused for %s, without being asked to", e.Key, wait)
	case "quota":
		return fmt.Sprintf("our quota at %s is used up for %s; paused until %s", e.Key, wait, until)
	}
	return fmt.Sprintf("%s asked us to wait %s (%s); paused until %s", e.Key, wait,
		headerName(e.Source), until)
}

// headerName spells a header's name as people know it.
func headerName(name string) string {
	return strings.ReplaceAll(http.CanonicalHeaderKey(name), "Ratelimit", "RateLimit")
}

// WouldWait says what a wait that a server asked for in an earlier run means for this run, which
// waits for it or, if it is longer than maxWait, sends nothing to the server.
func WouldWait(asked journal.Wait, waits bool, maxWait time.Duration, now time.Time) string {
	text := AskedEarlier(asked.Origin, asked.Until, now)
	if !waits {
		return fmt.Sprintf("%s, longer than --max-wait %s: nothing would be sent to it",
			text, human.Exact(maxWait))
	}
	return text + ": nothing would be sent to it before"
}

// AskedEarlier says until when a server asked in an earlier run to wait.
func AskedEarlier(who string, until, now time.Time) string {
	return fmt.Sprintf("%s asked in an earlier run to wait until %s", who,
		human.Instant(until, now))
}

// Waiting says that an item waits for its next attempt, whose turn may come later than that.
func Waiting(path string, e retry.Event) string {
	return fmt.Sprintf("%s: attempt %d: %s; again in %s at the earliest", path, e.Attempt,
		Setback(e), human.Span(e.Wait))
}

// Setback says in a few words how an attempt failed.
func Setback(e retry.Event) string {
	if cause, ok := errors.AsType[*wire.Cause](e.Err); ok {
		return cause.Error()
	}
	if e.Status == 0 {
		return e.Reason
	}
	return fmt.Sprintf("%s (%d)", e.Reason, e.Status)
}

// FewFiles warns that there are few connections because few files may be open.
func FewFiles(files, conns int) string {
	return fmt.Sprintf("only %d files may be open at once (ulimit -n): "+
		"there are no more than %d connections", files, conns)
}

// Obeys says that a server is left alone for as long as it asked for in an earlier run.
func Obeys(who string, until, now time.Time) string {
	return AskedEarlier(who, until, now) + "; paused until then"
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
		"growing":        "trying more",
	}
)

// PaceChanged says how the pace of a server has changed, and why. A reason that explains a lower
// pace only is the last one's if more is being tried.
func PaceChanged(e throttle.Event, triesMore bool) string {
	reason := e.Reason
	if triesMore {
		switch reason {
		case "throttled", "overloaded", "timed out", "failed", "trim":
			reason = "trying more"
		}
	}
	var parts []string
	if e.Limit < upstream.MostInFlight { // else it limits nothing
		parts = append(parts, fmt.Sprintf("at most %d in flight", e.Limit))
	}
	if e.Rate != rate.Inf {
		parts = append(parts, human.Rate(float64(e.Rate)))
	}
	text := cmp.Or(strings.Join(parts, ", "), "no limit")
	if reason != "" {
		text += fmt.Sprintf(" (%s)", cmp.Or(reasons[reason], reason))
	}
	return fmt.Sprintf("%s: %s: %s", e.Key, cmp.Or(phases[e.Phase], e.Phase.String()), text)
}
