package status

import (
	"fmt"
	"time"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/throttle"
)

// ByHand is the source of a pause of a relay that a person asked for, QuotaByHand that of one of a
// shared quota, and Someday how long one is that ends when a person says so.
const (
	ByHand      = "hand"
	QuotaByHand = "quota-by-hand"
	Someday     = 100 * 365 * 24 * time.Hour
)

// PausedByHand reports whether a person has paused a server, or the quota that it has a share of.
func PausedByHand(s throttle.UpstreamStats) bool {
	return !s.Paused.IsZero() && (s.PauseSource == ByHand || s.PauseSource == QuotaByHand)
}

// Open reports whether the end of a pause is not known.
func Open(until, now time.Time) bool { return until.Sub(now) > Someday/2 }

// whose names what a person has paused, where it is not the server alone.
func whose(source string) string {
	if source == QuotaByHand {
		return "the quota is "
	}
	return ""
}

// byHand says for how long a person has paused a server.
func byHand(until, now time.Time) string {
	if Open(until, now) {
		return "paused by hand"
	}
	return "paused by hand for another " + human.Until(until, now)
}

// What is said of a relay that is changed while it runs. Who is the one that asked for it.

// LimitsChanged says what limits a server has now.
func LimitsChanged(key string, to throttle.Limits, who string) string {
	return fmt.Sprintf("limits of %s changed by %s: %s", key, who, limits(to, ""))
}

// HandPaused says that nothing is sent to a server. If length is zero, its end is not known.
func HandPaused(key string, length time.Duration, who string) string {
	if length == 0 {
		return fmt.Sprintf("%s paused by %s until somebody resumes it", key, who)
	}
	return fmt.Sprintf("%s paused by %s for %s", key, who, human.Exact(length))
}

// HandResumed says that a server is sent to again. It may have asked for a wait itself.
func HandResumed(key string, asked, now time.Time, who string) string {
	text := fmt.Sprintf("%s resumed by %s", key, who)
	if asked.After(now) {
		text += "; the server itself asked for a wait of another " + human.Until(asked, now)
	}
	return text
}

// FixedNothing refuses limits that leave a relay nothing to keep to.
const FixedNothing = "the relay was started with --fixed, which needs one of the two"

// NoTarget refuses a change of a target that is not there.
func NoTarget(name string, known []string) string {
	if len(known) == 1 && known[0] == "" {
		return fmt.Sprintf("no target is called %s: the only one has no name, leave it out",
			human.Quote(name))
	}
	return fmt.Sprintf("no target is called %s: there is %s", human.Quote(name),
		human.Join(", ", known...))
}
