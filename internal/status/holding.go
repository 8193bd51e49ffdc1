package status

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/internal/upstream"
	"github.com/penstock/penstock/internal/wire"
	"github.com/penstock/penstock/throttle"
)

// Facts are what a run does and waits for at an instant.
type Facts struct {
	upstream.Overview
	Now     time.Time
	Given   throttle.Limits
	Workers int    // given; 0: as many as are needed
	Quota   string // the name of the quota that is shared with other processes; "" if none is

	Ending    string    // why nothing new is sent; if empty, something is
	Heard     time.Time // when the last answer came, or a request left that has none yet
	Backoff   int       // items that wait for their next attempt
	Changing  int       // of these, small files that changed while they were sent
	Queued    int       // items that no worker has yet
	Total     int64     // items that were found
	Whole     bool      // these are all
	Reading   string    // what names more, such as standard input; "" if nothing does
	Leftovers bool      // all that is left was refused by a server that works

	GivesUpAt time.Time // if zero, never
	Settling  time.Time // until when items in doubt wait; if zero, none does
	Unread    bool      // the reader of the results is waited for

	Underway        []wire.Upload
	Fallen, Because string // the file that is sent again from its beginning, and why; empty: none
}

// quiet returns for how long no answer has come, if that is worth a word; else 0.
func (f *Facts) quiet() time.Duration {
	moving := slices.ContainsFunc(f.Underway, func(u wire.Upload) bool { return u.Done > 0 })
	quiet := f.Now.Sub(f.Heard)
	if f.Heard.IsZero() || f.InFlight == 0 || moving ||
		quiet < max(upstream.Silence, 2*f.Latency) {
		return 0
	}
	return quiet
}

// Show fills in what a snapshot shows of the facts.
func (f *Facts) Show(s *progress.Snapshot) {
	s.Limit, s.Holding = f.Holding()
	s.Total, s.KnownTotal = f.Total, f.Whole || f.Reading == ""
	for _, u := range f.Underway {
		s.Underway = append(s.Underway, progress.Underway{Name: u.Name, Done: u.Done, Size: u.Size})
	}
	s.Latency = f.Latency
	s.Adaptive = f.Given.InFlight == 0
	s.Growing = s.Adaptive && f.Phase == throttle.PhaseStarting
	s.Stopping = f.Ending != ""
	s.InFlight, s.Waiting = f.InFlight, f.Waiting
	s.Silent = f.quiet() > 0
	if f.Rate != rate.Inf {
		s.Ceiling = float64(f.Rate)
	}
	if f.Limit < math.MaxInt32 {
		s.InFlightLimit = f.Limit
	}
	if f.Name == "" {
		// of one among several servers it would be taken for the pace of all
		s.Learned = Learned(f.Learned)
	}
	if s.Limit == progress.LimitCoolDown {
		s.Pause = f.Paused.Sub(f.Now)
	}
}

// Learned is what was found of a server's pace, for the progress and the report.
func Learned(l upstream.Learned) progress.Learned {
	return progress.Learned{Rate: progress.Optional(l.Rate),
		InFlight: progress.Optional(l.InFlight), Trying: l.Trying}
}

// Holding names what holds the run back, also in words.
func (f *Facts) Holding() (progress.Limit, string) {
	if f.Ending != "" {
		return progress.NoLimit, "nothing new is sent: " + f.Ending
	}
	limit, words := f.control()
	if f.Name != "" && words != "" && limit != progress.NoLimit {
		words = f.Name + ": " + words
	}
	for _, more := range []string{f.fallen(words), f.aside()} {
		if more != "" {
			words = strings.TrimPrefix(words+"; "+more, "; ")
		}
	}
	return limit, words
}

// fallen says why fewer bytes are shown than before. The words before it may give the reason
// already.
func (f *Facts) fallen(before string) string {
	switch {
	case f.Fallen == "":
		return ""
	case strings.Contains(before, f.Because):
		return f.Fallen + " is sent again from its beginning"
	}
	return fmt.Sprintf("%s is sent again from its beginning (%s)", f.Fallen, f.Because)
}

// aside says which other servers are closed.
func (f *Facts) aside() string {
	switch len(f.Aside) {
	case 0:
		return ""
	case 1:
		a := f.Aside[0]
		return a.Host + " is " + closed(a.UpstreamStats, a.Trouble, f.Now)
	}
	return fmt.Sprintf("%d servers are paused or down", len(f.Aside))
}

// control names the control in force, and why nothing more is sent.
func (f *Facts) control() (progress.Limit, string) {
	switch {
	case !f.Paused.IsZero():
		return progress.LimitCoolDown, closed(f.UpstreamStats, f.Trouble, f.Now)
	case f.Phase == throttle.PhaseDown:
		return progress.LimitDown, f.down()
	case f.quiet() > 0:
		return progress.LimitDown, "no answer for " + human.Clock(f.quiet().Truncate(time.Second))
	}
	switch f.UpstreamStats.Holding {
	case throttle.HoldingRate:
		return f.pace()
	case throttle.HoldingBandwidth:
		return progress.LimitBandwidth, "held by your --bandwidth " +
			human.Speed(float64(f.Given.Bandwidth))
	case throttle.HoldingConcurrency, throttle.HoldingDown:
		return progress.LimitConcurrency, f.room()
	case throttle.HoldingQuota:
		return progress.LimitQuota, strings.TrimSpace("waits for its share of the quota " + f.Quota)
	}
	switch {
	case !f.Settling.IsZero() && f.InFlight == 0:
		return progress.NoLimit, "asking about files in doubt in " + human.Until(f.Settling, f.Now)
	case f.Unread && f.InFlight == 0:
		return progress.NoLimit, "nobody reads --results"
	}
	// No request waits for its turn.
	switch {
	case f.InFlight == 0 && f.Backoff > 0:
		return progress.LimitBackoff, f.backoff()
	case f.Whole && f.Queued == 0 && f.Backoff == 0 && f.InFlight > 0:
		return progress.NoLimit, f.remaining() // no limit holds what is not there
	case f.Workers > 0 && f.InFlight+f.Backoff >= f.Workers:
		return progress.LimitConcurrency, fmt.Sprintf("held by your --workers %d", f.Workers)
	case f.InFlight >= f.Limit && f.InFlight > 0:
		return progress.LimitConcurrency, f.room()
	case f.Queued == 0 && !f.Whole && f.Reading != "":
		return progress.NoLimit, "waiting for " + f.Reading
	case f.Queued > 0 || f.InFlight == 0:
		return progress.NoLimit, ""
	case f.Whole:
		return progress.NoLimit, f.remaining()
	}
	return progress.NoLimit, ""
}

// down says what happens to a server that takes one request at a time.
func (f *Facts) down() string {
	next := "trying it now"
	switch {
	case f.Reached:
		next = "sending one file to try it"
	case f.Now.Before(f.Probe):
		// An answer to another request may come first, and be better.
		next = "next try within " + human.Until(f.Probe, f.Now)
	}
	switch {
	case f.Now.Sub(f.Changed) < upstream.DownAfter, f.Random && !f.Leftovers:
		return f.room() + ": " + next
	case f.Leftovers: // the server may be up, and refuse these
		files := human.Plural(f.Waiting+f.InFlight+f.Backoff, "file")
		return fmt.Sprintf("the last %s: %s, %s", files, f.Trouble, next)
	}
	if !f.GivesUpAt.IsZero() {
		next += ", gives up at " + human.Instant(f.GivesUpAt, f.Now)
	}
	if f.Reached {
		return "reached again: " + next
	}
	return fmt.Sprintf("server down (%s): %s", cmp.Or(f.Trouble, f.Reason), next)
}

// backoff says what is to be tried again.
func (f *Facts) backoff() string {
	words := human.Plural(f.Backoff, "file") + " to be tried again"
	switch {
	case f.Trouble != "":
		words += ": " + f.Trouble
	case f.Changing == 1:
		words += ": it changed while it was sent"
	case f.Changing > 1:
		words += fmt.Sprintf(": %d changed while they were sent", f.Changing)
	}
	return words
}

// remaining says what the run waits for when all files are on their way.
func (f *Facts) remaining() string {
	n := 0
	for _, u := range f.Underway {
		if u.Done < u.Size {
			n++
		}
	}
	which := "last "
	if int64(f.InFlight) == f.Total {
		which = "" // there were no others
	}
	switch {
	case n == 1 && f.InFlight == 1:
		return "sending the " + which + "file"
	case n > 0:
		return "sending the " + which + human.Plural(f.InFlight, "file")
	case f.InFlight == 1:
		return "waiting for the " + which + "answer"
	}
	return "waiting for the " + which + human.Plural(f.InFlight, "answer")
}

// pace says why no more is sent in a second.
func (f *Facts) pace() (progress.Limit, string) {
	given := f.Given.Rate
	switch {
	case given == 0 && f.Rate == rate.Inf: // a cool-down is just over
		return progress.NoLimit, ""
	case given == 0 && f.Reason == "quota":
		return progress.LimitRate, "the quota allows no more"
	case given == 0 && f.Unproven:
		return progress.LimitRate, "slower after an outage"
	case given == 0:
		return progress.LimitRate, "the server takes no higher rate"
	case f.Unproven && f.Rate >= 0.9*given: // about the given rate
	case f.Rate < given:
		from, to := human.RateNumber(float64(given)), human.Rate(float64(f.Rate))
		if f.Unproven {
			return progress.LimitRate, fmt.Sprintf("%s → %s: slower after an outage", from, to)
		}
		return progress.LimitRate, fmt.Sprintf("%s → %s: the server refuses at %s", from, to, from)
	}
	return progress.LimitRate, "held by your --rps " + human.RateFlag(float64(given))
}

// room says why no more is in flight.
func (f *Facts) room() string {
	given := f.Given.InFlight
	switch {
	case f.Phase == throttle.PhaseHoldingBack, f.Phase == throttle.PhaseDown:
		return "holding back after " + cmp.Or(f.Trouble, "a refusal")
	case given > 0 && f.Limit < given && f.Untold:
		return fmt.Sprintf("%d → %d in flight: fewer after an outage", given, f.Limit)
	case given > 0 && f.Limit < given:
		return fmt.Sprintf("%d → %d in flight: the server refuses more", given, f.Limit)
	case given > 0:
		return fmt.Sprintf("held by your --concurrency %d", given)
	case f.Limit >= upstream.MostInFlight:
		return fmt.Sprintf("%d in flight, the most without --concurrency", upstream.MostInFlight)
	case f.Phase == throttle.PhaseStarting, f.Untold:
		return fmt.Sprintf("looking for the pace: %d in flight", f.InFlight)
	case f.Pressed && f.Rate == rate.Inf: // else it may be their rate that is refused
		return "more at once is refused"
	}
	return "more requests at once do not help"
}

// closed says for how long a server takes nothing, and why.
func closed(s throttle.UpstreamStats, trouble string, now time.Time) string {
	if s.Paused.IsZero() {
		return "down"
	}
	if PausedByHand(s) {
		return whose(s.PauseSource) + byHand(s.Paused, now)
	}
	why := cmp.Or(trouble, s.Reason)
	if s.PauseSource != "" {
		why = headerName(s.PauseSource)
	}
	return fmt.Sprintf("paused %s: %s", human.Until(s.Paused, now), why)
}
