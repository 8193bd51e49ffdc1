package status

import (
	"fmt"
	"strings"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/quota"
)

// setByHand says which limits were set by hand to others than runs have given: what is allowed, and
// the flags of the runs.
func setByHand(set, given quota.Settings) (allowed, flags []string) {
	add := func(isSet bool, value, none, flag string) {
		if !isSet {
			value = none
		}
		allowed, flags = append(allowed, value), append(flags, flag)
	}
	if given.Rate > 0 && set.Rate != given.Rate {
		add(set.Rate > 0, human.GivenRate(float64(set.Rate)), "any rate",
			"--rps "+human.RateFlag(float64(given.Rate)))
	}
	if given.Burst > 0 && set.Burst != given.Burst {
		add(true, human.Count(max(set.Burst, 1))+" at once after a lull", "",
			fmt.Sprintf("--burst %d", given.Burst))
	}
	if given.InFlight > 0 && set.InFlight != given.InFlight {
		add(set.InFlight > 0, fmt.Sprintf("at most %s in flight", human.Count(set.InFlight)),
			"any number in flight", fmt.Sprintf("--concurrency %d", given.InFlight))
	}
	return allowed, flags
}

// overruled says which limits that a run gave are not used.
func overruled(n quota.Notice) string {
	allowed, flags := setByHand(n.Settings, n.Given)
	verb := "is"
	if len(flags) > 1 {
		verb = "are"
	}
	return fmt.Sprintf("the quota allows %s, set by hand; %s %s not used",
		strings.Join(allowed, ", "), strings.Join(flags, " "), verb)
}

// QuotaGiven says what runs have given where something else was set by hand; "" if nothing was.
func QuotaGiven(s quota.State) string {
	allowed, flags := setByHand(s.Settings, s.Given)
	if allowed == nil {
		return ""
	}
	return fmt.Sprintf("set by hand: %s; runs give %s", strings.Join(allowed, ", "),
		strings.Join(flags, " "))
}
