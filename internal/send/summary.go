package send

import (
	"math"
	"time"

	"github.com/penstock/penstock/internal/conceal"
	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/internal/stop"
)

// summary returns the report of the run. It is called when the run has ended.
func (r *run) summary() report.Summary {
	total, whole := r.items()
	s := r.tally.Summary(time.Now(), total)
	s.To = conceal.URL(r.To)
	s.Rate.Ceiling = progress.Optional(r.Limits.Rate)
	s.InFlight.Ceiling = progress.Optional(r.Limits.InFlight)
	s.InFlight.Limit = progress.Optional(r.last.InFlightLimit)
	s.Rate.Limit = progress.Optional(math.Round(r.last.Ceiling*1000) / 1000)
	_, s.InFlight.Max = r.servers.InFlight()
	s.Timeline = &r.timeline
	s.SetLearned(r.servers.ByAccepted())

	r.servers.EndRefused()
	code, reason := exit.Delivered, r.ending.Strongest()
	if reason != nil {
		code = reason.Exit()
	}
	counts, gone := s.Items, total-r.read.Load()
	done := counts.Delivered + counts.Skipped
	if (whole || !r.Found.Partial) && done == counts.Total && code != exit.Local {
		code, reason = exit.Delivered, nil // the reason to end came too late to matter
	}
	switch {
	case code != exit.Delivered:
	case counts.Failed+counts.Unknown > 0, whole && gone > 0:
		code = exit.Items
	case done < counts.Total:
		code = exit.Unavailable
	}
	if whole && gone > 0 {
		s.Notes = append(s.Notes, status.Gone(gone))
	}
	s.ExitStatus = code
	if _, theirs := reason.(stop.Interrupted); reason != nil && !theirs { // they know it
		s.Notes = append(s.Notes, r.words(reason))
	}
	s.Notes = append(s.Notes, status.Refused(s.Refusals, r.servers.RefusedAll)...)
	if !r.Limits.Fixed && r.Limits.Rate > 0 {
		slower, alone := r.servers.Slower(float64(r.Limits.Rate))
		s.Notes = append(s.Notes, status.TooFast(slower, alone, float64(r.Limits.Rate))...)
	}
	left := r.Found.LeftOut
	left[source.Young] += r.Source.YoungListed()
	s.Notes = append(s.Notes, status.Scanned(r.Found, left)...)
	resumed := status.Resumed{
		Skipped: r.skipped, LastRun: r.LastRun,
		Found: r.asked.found.Load(), Absent: r.asked.absent.Load(),
	}
	s.Notes = append(s.Notes, resumed.Notes(time.Now())...)
	s.NotJournaled = r.unnoted.Load()
	return s
}
