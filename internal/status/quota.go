package status

import (
	"fmt"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/quota"
)

// QuotaSettings says what a quota allows.
func QuotaSettings(s quota.Settings) string {
	var parts []string
	if s.Rate > 0 {
		parts = append(parts, human.GivenRate(float64(s.Rate)))
	}
	if s.Burst > 1 {
		parts = append(parts, fmt.Sprintf("%s at once after a lull", human.Count(s.Burst)))
	}
	if s.InFlight > 0 {
		parts = append(parts, fmt.Sprintf("at most %s in flight", human.Count(s.InFlight)))
	}
	if parts == nil {
		return "no limit is set"
	}
	return strings.Join(parts, ", ")
}

// QuotaShared names a quota, and says what it allows to all that share it.
func QuotaShared(name string, s quota.Settings) string {
	if s == (quota.Settings{}) {
		return "within the shared quota " + name
	}
	return fmt.Sprintf("within the shared quota %s, %s of all together", name, QuotaSettings(s))
}

// QuotaUnlimited says that a quota limits nothing, which a misspelt name may be the cause of.
func QuotaUnlimited(name string) string {
	return fmt.Sprintf("the quota %s has no limit: all that share it find a pace together; give "+
		"one by --rps, or by penstock quota set --rps N URL", name)
}

// QuotaPart names a quota that a run waits for, with what it allows and how many share it.
func QuotaPart(name string, p quota.Part) string {
	text := name
	if p.Settings != (quota.Settings{}) {
		text += ", " + QuotaSettings(p.Settings)
	}
	switch {
	case p.Down:
		text += ", without its Redis"
	case p.Hosts > 1:
		text += fmt.Sprintf(", shared by %s", human.Count(p.Hosts))
	}
	return text
}

// QuotaPaused says for how long a quota is paused, and by whom.
func QuotaPaused(until time.Time, source string, now time.Time) string {
	if source == QuotaByHand {
		return byHand(until, now)
	}
	return fmt.Sprintf("paused for another %s: %s", human.Until(until, now), headerName(source))
}

// Quota words what people should know of a quota that the run shares.
func Quota(n quota.Notice) string {
	switch n.Kind {
	case quota.Gone:
		return Plain(n.Err) + "; " + withoutQuota(n)
	case quota.Stopped:
		return Plain(n.Err) + "; nothing is sent until it can"
	case quota.Back:
		return "the Redis of the quota is back"
	case quota.Hosts:
		if n.Hosts < 2 {
			return "nobody else shares the quota now"
		}
		return fmt.Sprintf("the quota is shared by %s processes", human.Count(n.Hosts))
	case quota.Overruled:
		return overruled(n)
	case quota.Paused:
		return "the quota is " + QuotaPaused(n.Until, n.Source, n.Time)
	case quota.Resumed:
		return "the quota is not paused any more: somebody resumed it"
	case quota.Changed:
		return "the quota was changed: " + QuotaSettings(n.Settings)
	}
	if n.Err == nil {
		return "the quota is in use"
	}
	return Plain(n.Err)
}

// withoutQuota describes what a process does while Redis cannot be reached.
func withoutQuota(n quota.Notice) string {
	switch n.Down {
	case quota.Stop:
		return "nothing is sent until it can (--quota-down stop)"
	case quota.Local:
		return "keeping to --rps alone until it can (--quota-down local)"
	}
	share, most := "all of it", ""
	if n.Hosts > 1 {
		share = fmt.Sprintf("one of %d", n.Hosts)
	}
	if n.For > 0 {
		most = ", for at most " + human.Exact(n.For)
	}
	return "keeping to our share, " + share + most
}

// QuotaConflict says that a limit that was given is not that of the quota.
func QuotaConflict(c *quota.ConflictError) error {
	flag, ours, theirs := "--rps", human.RateFlag(c.Ours), human.GivenRate(c.Theirs)
	switch c.What {
	case "burst":
		flag, ours, theirs = "--burst", human.Count(int(c.Ours)),
			human.Count(int(c.Theirs))+" at once"
	case "limit of requests in flight":
		flag, ours, theirs = "--concurrency", human.Count(int(c.Ours)),
			human.Count(int(c.Theirs))+" in flight"
	}
	return fmt.Errorf("%s %s: the quota %s has %s, which others have given: leave %[1]s out, or "+
		"change it for all by penstock quota set %[1]s %[2]s URL", flag, ours, c.Name, theirs)
}
