package send

import (
	"math"
	"time"

	"github.com/penstock/penstock/internal/conceal"
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
	if !r.Shard.IsWhole() {
		own, all := r.Source.Divided(r.Found)
		s.Shard = &report.Shard{Number: r.Shard.Number, Of: r.Shard.Of, Items: own, AllItems: all}
		s.Notes = append(s.Notes, status.WasInShard(r.Shard, own, all))
	}
	s.Rate.Ceiling = progress.Optional(r.Limits.Rate)
	s.InFlight.Ceiling = progress.Optional(r.Limits.InFlight)
	s.InFlight.Limit = progress.Optional(r.last.InFlightLimit)
	s.Rate.Limit = progress.Optional(math.Round(r.last.Ceiling*1000) / 1000)
	_, s.InFlight.Max = r.servers.InFlight()
	s.Timeline = &r.timeline
	s.SetLearned(r.servers.ByAccepted())

	r.servers.EndRefused()
	var gone int64 // since they were counted
	if whole {
		gone = total - r.read.Load()
	}
	reason := s.SetExit(r.ending.Strongest(), whole || !r.Found.Partial, gone)
	if gone > 0 {
		s.Notes = append(s.Notes, status.Gone(gone))
	}
	if _, theirs := reason.(stop.Interrupted); reason != nil && !theirs { // they know it
		s.Notes = append(s.Notes, r.words(reason))
	}
	s.Notes = append(s.Notes, status.Refused(s.Refusals, r.servers.RefusedAll)...)
	s.Notes = append(s.Notes, r.astray.notes()...)
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
	s.CapturesMissing = r.lacking.Load()
	s.Notes = append(s.Notes, status.Uncaptured(s.CapturesMissing, r.Results != nil)...)
	s.Notes = append(s.Notes, status.Shams(r.shams.Counts())...)
	s.NotJournaled = r.unnoted.Load()
	return s
}
