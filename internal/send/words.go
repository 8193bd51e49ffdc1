package send

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/throttle"
)

// holding names what holds the run back, also in words.
func (r *run) holding(v view, now time.Time) (progress.Limit, string) {
	if cause := r.ending.cause(); cause != nil {
		return progress.NoLimit, fmt.Sprintf("nothing new is sent: %v", errors.Unwrap(cause))
	}
	limit, words := r.control(v, now)
	if v.name != "" && words != "" && limit != progress.NoLimit {
		words = v.name + ": " + words
	}
	if back := r.moving.fallen(now, words); back != "" {
		words = strings.TrimPrefix(words+"; "+back, "; ")
	}
	if v.aside != "" {
		words = strings.TrimPrefix(words+"; "+v.aside, "; ")
	}
	return limit, words
}

// control names the control in force, and why nothing more is sent.
func (r *run) control(v view, now time.Time) (progress.Limit, string) {
	r.mu.Lock()
	backoff, changing, whole := r.backoff, r.changing, r.whole
	r.mu.Unlock()
	switch {
	case !v.Paused.IsZero():
		return progress.LimitCoolDown, closedWords(v.UpstreamStats, v.wrong, now)
	case v.Phase == throttle.PhaseDown:
		next := "trying it now"
		switch {
		case v.reached:
			next = "sending one file to try it"
		case now.Before(v.Probe):
			// An answer to another request may come first, and be better.
			next = "next try within " + human.Until(v.Probe, now)
		}
		switch {
		case now.Sub(v.Changed) < downAfter, v.random && !r.leftovers(v):
			return progress.LimitDown, r.roomWords(v) + ": " + next
		case r.leftovers(v):
			// The server may be up, and refuse these.
			return progress.LimitDown, fmt.Sprintf("the last %s: %s, %s", human.Plural(v.Waiting+v.InFlight+backoff, "file"), v.wrong, next)
		}
		switch at, theirs := r.givesUpAt(now); {
		case at.IsZero():
		case theirs:
			next += ", --give-up-after " + human.Instant(at, now)
		default:
			next += ", until " + human.Instant(at, now)
		}
		if v.reached {
			return progress.LimitDown, "reached again: " + next
		}
		return progress.LimitDown, fmt.Sprintf("server down (%s): %s", cmp.Or(v.wrong, v.Reason), next)
	}
	if quiet := r.silent(v, now); quiet > 0 {
		return progress.LimitDown, fmt.Sprintf("no answer for %s", human.Clock(quiet.Truncate(time.Second)))
	}
	switch v.Holding {
	case throttle.ByRate:
		return r.paceWords(v)
	case throttle.ByBandwidth:
		return progress.LimitBandwidth, "held by your --bandwidth " + human.Speed(float64(r.Limits.Bandwidth))
	case throttle.ByConcurrency, throttle.ByDown:
		return progress.LimitConcurrency, r.roomWords(v)
	}
	if until := r.settling.Load(); until != nil && v.InFlight == 0 {
		return progress.NoLimit, fmt.Sprintf("asking about files in doubt in %s", human.Until(*until, now))
	}
	if r.unread.Load() && v.InFlight == 0 {
		return progress.NoLimit, "nobody reads --results"
	}
	// No request waits for its turn.
	switch queued := r.pool.Stats().Queued; {
	case v.InFlight == 0 && backoff > 0:
		words := human.Plural(backoff, "file") + " to be tried again"
		switch {
		case v.wrong != "":
			words += ": " + v.wrong
		case changing == 1:
			words += ": it changed while it was sent"
		case changing > 1:
			words += fmt.Sprintf(": %d changed while they were sent", changing)
		}
		return progress.LimitBackoff, words
	case whole && queued == 0 && backoff == 0 && v.InFlight > 0:
		return progress.NoLimit, r.remainingWords(v) // no limit holds what is not there
	case r.Workers > 0 && v.InFlight+backoff >= r.Workers:
		return progress.LimitConcurrency, fmt.Sprintf("held by your --workers %d", r.Workers)
	case v.InFlight >= v.Limit && v.InFlight > 0:
		return progress.LimitConcurrency, r.roomWords(v)
	case queued > 0 || v.InFlight == 0:
		return progress.NoLimit, ""
	case whole:
		return progress.NoLimit, r.remainingWords(v)
	case r.Found.Partial:
		return progress.NoLimit, "waiting for standard input"
	}
	return progress.NoLimit, ""
}

// leftovers reports whether all that is left was refused by a server that has accepted something, and answers.
func (r *run) leftovers(v view) bool {
	_, err := strconv.Atoi(v.wrong)
	r.mu.Lock()
	defer r.mu.Unlock()
	return err == nil && r.whole && r.accepted && r.pool.Stats().Queued == 0 && r.retried > 0 && r.retried >= v.Waiting+v.InFlight+r.backoff
}

// givesUpAt is when the run ends if nothing is accepted until then, and whether the user's limit ends it; if zero, there is none.
func (r *run) givesUpAt(now time.Time) (at time.Time, theirs bool) {
	for _, s := range r.all() {
		after, ours := r.patienceWith(s)
		r.mu.Lock()
		failing, spent := !s.failing.IsZero(), s.spent(now)
		r.mu.Unlock()
		if end := now.Add(after - spent); failing && after > 0 && end.After(at) {
			at, theirs = end, !ours
		}
	}
	return at, theirs
}

// remainingWords says what the run waits for when all files are on their way.
func (r *run) remainingWords(v view) string {
	files, _ := r.moving.list()
	files = slices.DeleteFunc(files, func(u progress.Underway) bool { return u.Done >= u.Size })
	which := "last "
	if total, _ := r.items(); int64(v.InFlight) == total {
		which = "" // there were no others
	}
	switch {
	case len(files) == 1 && v.InFlight == 1:
		return "sending the " + which + "file"
	case len(files) > 0:
		return fmt.Sprintf("sending the %s%s", which, human.Plural(v.InFlight, "file"))
	case v.InFlight == 1:
		return "waiting for the " + which + "answer"
	}
	return fmt.Sprintf("waiting for the %s%s", which, human.Plural(v.InFlight, "answer"))
}

// silent returns for how long no answer has come although requests are in flight, if that is at least [silence] and twice
// what answers take; else 0.
func (r *run) silent(v view, now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, moving := r.moving.list(); r.heard.IsZero() || v.InFlight == 0 || moving > 0 {
		return 0
	}
	if quiet := now.Sub(r.heard); quiet >= max(silence, 2*v.Latency) {
		return quiet
	}
	return 0
}

// paceWords say why no more is sent in a second.
func (r *run) paceWords(v view) (progress.Limit, string) {
	given := r.Limits.Rate
	switch {
	case given == 0 && v.Rate == rate.Inf: // a cool-down is just over
		return progress.NoLimit, ""
	case given == 0 && v.Reason == "quota":
		return progress.LimitRate, "the quota allows no more"
	case given == 0:
		if v.unproven {
			return progress.LimitRate, "slower after an outage"
		}
		return progress.LimitRate, "more a second is refused"
	case v.unproven && v.Rate >= 0.9*given: // about the given rate
	case v.Rate < given:
		from := strings.TrimSuffix(human.Rate(float64(given)), " req/s")
		if v.unproven {
			return progress.LimitRate, fmt.Sprintf("%s → %s: slower after an outage", from, human.Rate(float64(v.Rate)))
		}
		return progress.LimitRate, fmt.Sprintf("%s → %s: the server refuses at %s", from, human.Rate(float64(v.Rate)), from)
	}
	return progress.LimitRate, "held by your --rps " + human.RateFlag(float64(given))
}

// roomWords say why no more is in flight.
func (r *run) roomWords(v view) string {
	given := r.Limits.InFlight
	switch {
	case v.Phase == throttle.PhaseHoldingBack, v.Phase == throttle.PhaseDown:
		return "holding back after " + cmp.Or(v.wrong, "a refusal")
	case given > 0 && v.Limit < given && v.untold:
		return fmt.Sprintf("%d → %d in flight: fewer after an outage", given, v.Limit)
	case given > 0 && v.Limit < given:
		return fmt.Sprintf("%d → %d in flight: the server refuses more", given, v.Limit)
	case given > 0:
		return fmt.Sprintf("held by your --concurrency %d", given)
	case v.Limit >= mostInFlight:
		return fmt.Sprintf("%d in flight, the most without --concurrency", mostInFlight)
	case v.Phase == throttle.PhaseStarting, v.untold:
		return fmt.Sprintf("looking for the pace: %d in flight", v.InFlight)
	}
	if v.pressed && v.Rate == rate.Inf { // else it may be their rate that is refused
		return "more at once is refused"
	}
	return "more at once gains nothing"
}

func closedWords(s throttle.UpstreamStats, wrong string, now time.Time) string {
	if s.Paused.IsZero() {
		return "down"
	}
	why := cmp.Or(wrong, s.Reason)
	if s.PauseSource != "" {
		why = header(s.PauseSource)
	}
	return fmt.Sprintf("paused %s: %s", human.Until(s.Paused, now), why)
}

// wrong says what went wrong with a server last; "" if nothing did. Of an answer it
// gives only the status.
func (r *run) wrong(s *server) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	word, _, _ := strings.Cut(s.trouble, " ")
	if _, err := strconv.Atoi(word); err == nil {
		return word
	}
	return s.trouble
}

// learned is what was found out of a server, as far as nobody gave it.
func learned(s throttle.UpstreamStats) (l progress.Learned) {
	if !s.Learned || s.Phase == throttle.PhaseDown {
		return l
	}
	if s.Limits.Rate == 0 && s.Rate != rate.Inf {
		l.Rate = progress.Optional(math.Round(float64(s.Rate)*1000) / 1000)
	}
	if s.Limits.InFlight == 0 && s.Limit < mostInFlight && s.Phase != throttle.PhaseStarting {
		l.InFlight = progress.Optional(s.Limit)
	}
	return l
}

// unlimited reports whether so many in flight are no limit.
func unlimited(inFlight int) bool { return inFlight >= math.MaxInt32 }
