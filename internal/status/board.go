package status

import (
	"math"
	"time"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock/internal/board"
	"github.com/penstock/penstock/internal/conceal"
	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/internal/upstream"
	"github.com/penstock/penstock/throttle"
)

// Upstreams is what the state of a run or a relay says of each server. It is for the goroutine that
// calls the set's Overview.
func Upstreams(set *upstream.Set, now time.Time) []board.Upstream {
	rows := []board.Upstream{}
	for _, o := range set.Each() {
		rows = append(rows, upstreamRow(o, now))
	}
	return rows
}

func upstreamRow(o upstream.Overview, now time.Time) board.Upstream {
	row := board.Upstream{
		Name: o.Name, Phase: o.Phase.String(),
		Sent: o.Sent, Accepted: o.Succeeded, Throttled: o.Throttled, Overloaded: o.Overloaded,
		TimedOut: o.TimedOut, Failed: o.UpstreamStats.Failed,
		InFlight: o.InFlight, Waiting: o.Waiting, Latency: o.Latency.Seconds(),
		Found: o.UpstreamStats.Learned, Trying: o.Learned.Trying,
		Paused: !o.UpstreamStats.Paused.IsZero(),
		Waited: map[string]float64{
			string(progress.LimitRate):        seconds(o.Waited.Rate),
			string(progress.LimitConcurrency): seconds(o.Waited.Concurrency),
			string(progress.LimitBandwidth):   seconds(o.Waited.Bandwidth),
			string(progress.LimitCoolDown):    seconds(o.Waited.CoolDown),
			string(progress.LimitDown):        seconds(o.Waited.Down),
			string(progress.LimitQuota):       seconds(o.Waited.Quota),
		},
	}
	if o.Rate != rate.Inf {
		row.Rate = progress.Round(float64(o.Rate), 3)
	}
	if o.Limit < math.MaxInt32 {
		row.InFlightLimit = o.Limit
	}
	row.Down = !row.Paused && o.Phase == throttle.PhaseDown
	switch {
	case PausedByHand(o.UpstreamStats) && Open(o.UpstreamStats.Paused, now):
	case row.Paused:
		row.Until = o.UpstreamStats.Paused
	case row.Down && o.Probe.After(now):
		row.Until = o.Probe
	}
	o.Name = "" // the words are about this server alone
	facts := Facts{Overview: o, Now: now, Given: o.UpstreamStats.Limits}
	_, row.Holding = facts.Holding()
	return row
}

func seconds(d time.Duration) float64 { return progress.Round(d.Seconds(), 3) }

// Run returns what a page shows of a run that began at that instant.
func Run(
	to string, start, now time.Time, s *progress.Snapshot, set *upstream.Set,
) board.State {
	return board.State{
		Command: "send", To: conceal.URL(to), Started: start, Now: now,
		Holding: s.Holding, Draining: s.Stopping,
		Upstreams: Upstreams(set, now),
		Items: &board.Items{
			Total: s.Total, Known: s.KnownTotal, Delivered: s.Delivered, Failed: s.Failed,
			Unknown: s.Unknown, Skipped: s.Skipped, Deferred: s.Deferred,
			Bytes: s.Bytes, AllBytes: s.TotalBytes, Left: progress.Round(s.ETA.Seconds(), 1),
		},
	}
}
