package send

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/status"
)

// Describe says in a line what is to be sent, where to, and within which limits.
func (o Options) Describe() string {
	files := human.Plural(o.Found.Items, "file") + ", " + human.Size(o.Found.Bytes)
	switch {
	case o.Found.Partial && o.Found.Items == 0:
		files = "the files that standard input names"
	case o.Found.Partial:
		files += ", and the files that standard input names"
	}
	to := o.Source.Method() + " " + report.Redact(o.To)
	if !strings.Contains(o.To, "://") {
		to = "to the URLs in " + o.To
	}
	return fmt.Sprintf("%s: %s; %s", files, to, o.limits())
}

func (o Options) limits() string {
	var limits []string
	if o.Limits.Rate > 0 {
		limits = append(limits, human.GivenRate(float64(o.Limits.Rate)))
	}
	if o.Limits.InFlight > 0 {
		limits = append(limits, fmt.Sprintf("at most %d in flight", o.Limits.InFlight))
	}
	if o.Limits.Bandwidth > 0 {
		limits = append(limits, "at most "+human.Speed(float64(o.Limits.Bandwidth)))
	}
	if o.Limits.Rate == 0 && o.Limits.InFlight == 0 {
		limits = append([]string{"as fast as the server takes them"}, limits...)
	}
	if o.Limits.Fixed {
		limits = append(limits, "fixed")
	}
	return strings.Join(limits, ", ")
}

// Earliest returns how long it takes at least to send what was found, and what the reason is; "" if nothing limits that, or nothing
// is sent. It ignores waits that are longer than --max-wait: nothing is sent to such a server.
func (o Options) Earliest(waits []journal.Wait, now time.Time) (d time.Duration, by string) {
	if o.Found.Items == 0 && !o.Found.Partial {
		return 0, ""
	}
	if waits := o.Found.Items - int64(max(o.Limits.Burst, 1)); o.Limits.Rate > 0 && waits > 0 {
		d, by = human.Seconds(float64(waits)/float64(o.Limits.Rate)), human.GivenRate(float64(o.Limits.Rate))
	}
	if b := float64(o.Limits.Bandwidth); b > 0 {
		if whole := human.Seconds(float64(o.Found.Bytes) / b); whole > d {
			d, by = whole, human.Speed(float64(b))
		}
	}
	for _, w := range waits {
		wait := w.Until.Sub(now)
		switch {
		case !o.waitsUntil(w.Until, now):
		case !o.Source.OwnURLs(): // there is no other server that gets items meanwhile
			return d + wait, "the wait that " + w.Origin + " asked for"
		case wait > d:
			d, by = wait, "the wait that "+w.Origin+" asked for"
		}
	}
	return d, by
}

// summary returns the report of the run. It is called when the run has ended.
func (r *run) summary() report.Summary {
	total, known := r.items()
	s := r.tally.Summary(time.Now(), total)
	s.To = report.Redact(r.To)
	s.Rate.Ceiling = progress.Optional(r.Limits.Rate)
	s.InFlight.Ceiling = progress.Optional(r.Limits.InFlight)
	s.InFlight.Limit = progress.Optional(r.last.InFlightLimit)
	s.Rate.Limit = progress.Optional(math.Round(r.last.Ceiling*1000) / 1000)
	_, s.InFlight.Max = r.servers.InFlight()
	s.Timeline = &r.timeline
	r.fillLearned(&s)

	r.refusedServers()
	code, reason := r.ending.status()
	if known && s.Items.Delivered+s.Items.Skipped == s.Items.Total {
		code, reason = exit.Delivered, nil // the reason to end came too late to matter
		if st, why := r.ending.status(); st == exit.Local {
			code, reason = st, why
		}
	}
	if code == exit.Delivered && s.Items.Failed+s.Items.Unknown > 0 {
		code = exit.Items
	}
	if gone := total - r.read; r.whole && gone > 0 {
		s.Notes = append(s.Notes, human.Plural(int(gone), "file")+" that were found are gone")
		if code == exit.Delivered {
			code = exit.Items
		}
	}
	if code == exit.Delivered && s.Items.Delivered+s.Items.Skipped < s.Items.Total {
		code = exit.Unavailable
	}
	s.ExitStatus = code
	if reason != nil && code != exit.Interrupted && code != exit.Terminated { // these say it themselves
		s.Notes = append(s.Notes, status.Plain(reason))
	}
	s.Notes = append(s.Notes, r.refusedNotes()...)
	if !r.Limits.Fixed && r.Limits.Rate > 0 {
		slower, alone := r.servers.Slower(float64(r.Limits.Rate))
		s.Notes = append(s.Notes, status.TooFast(slower, alone, float64(r.Limits.Rate))...)
	}
	left := r.Found.LeftOut
	left.Young += r.Source.YoungListed()
	if text := left.String(); text != "" {
		s.Notes = append(s.Notes, fmt.Sprintf("left out: %s (%s)", text, left.Advice()))
	}
	if n := r.Found.Unmatched; n > 0 {
		s.Notes = append(s.Notes, human.Plural(n, "line")+" of the results that were asked for match no file here")
	}
	if r.Found.Torn {
		s.Notes = append(s.Notes, "the last line of the results is incomplete and was ignored, so its file was not sent")
	}
	s.Notes = append(s.Notes, r.resumed()...)
	s.NotJournaled = r.unnoted.Load()
	return s
}
