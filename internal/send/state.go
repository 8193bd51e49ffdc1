package send

import (
	"time"

	"github.com/penstock/penstock/internal/board"
	"github.com/penstock/penstock/internal/conceal"
	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/internal/status"
)

// publish tells what the run does to whoever wants to know.
func (r *run) publish(s *progress.Snapshot, now time.Time, ended bool) {
	if r.Publish == nil {
		return
	}
	state := board.State{
		Command: "send", To: conceal.URL(r.To), Started: r.start, Now: now,
		Holding: s.Holding, Draining: s.Stopping,
		Upstreams: status.Upstreams(&r.servers, now),
		Items: &board.Items{
			Total: s.Total, Known: s.KnownTotal, Delivered: s.Delivered, Failed: s.Failed,
			Unknown: s.Unknown, Skipped: s.Skipped, Deferred: s.Deferred,
			Bytes: s.Bytes, AllBytes: s.TotalBytes, Left: progress.Round(s.ETA.Seconds(), 1),
		},
		Failures: r.failures.List(),
	}
	if ended {
		state.Ended = now
	}
	r.Publish(state)
}
