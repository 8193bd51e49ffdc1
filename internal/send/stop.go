package send

import (
	"time"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/outcome"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/internal/stop"
	"github.com/penstock/penstock/internal/upstream"
)

// end notes a reason to end the run and begins to stop it.
func (r *run) end(reason stop.Reason) { r.ending.Add(reason) }

// interrupt begins the orderly stop that the user asked for.
func (r *run) interrupt(cause error) {
	// First of all: what is in flight then is what is left to finish.
	reason := stop.Interrupted{Err: cause}
	r.end(reason)
	n, _ := r.servers.InFlight()
	r.Log.Info(status.Stopping(cause, n, r.StopTimeout))
	if r.StopTimeout == 0 {
		return
	}
	r.breaking = time.AfterFunc(r.StopTimeout, func() {
		r.Log.Info(status.StopTimeoutOver(r.StopTimeout))
		r.breakOff(stop.StopTimeout{Interrupted: reason, Limit: r.StopTimeout})
	})
}

// giveUp ends a run in which nothing was accepted for too long, by any server.
func (r *run) giveUp(now time.Time) {
	r.failRefused(now)
	if stats := r.pool.Stats(); r.Found.Stream && stats.Queued+stats.Waiting+stats.Busy == 0 {
		r.servers.Rest() // until the next line comes
		return
	}
	if why, ends := r.servers.GiveUp(now); ends {
		r.end(why)
	}
}

// failRefused ends a run when the only files left are themselves the cause of their refusal.
func (r *run) failRefused(now time.Time) {
	stats := r.pool.Stats()
	last := r.whole.Load() && stats.Queued+stats.Waiting == 0
	if last && r.refusals.End(stats.Busy, now) {
		r.end(stop.LastRefused{Items: stats.Busy, After: upstream.LonePatience})
	}
}

// noResults ends the run, since the results cannot be written.
func (r *run) noResults(err error) {
	r.end(stop.ResultsFailed{Err: err, Journaled: r.Journal != nil})
}

// ended records how a job ended. If a server refuses all files alike, or all come into doubt, it
// gets no more of them.
func (r *run) ended(j *job, out results.Result) {
	switch code := out.HTTPStatus; {
	case j.tries == 0:
	case out.Status == item.Unknown && !r.Declined(code):
		j.server.Doubt(j.sent)
	case out.Status != item.Failed || code == 0:
	case !outcome.IsFinal(code, j.ruled.Effect):
		j.server.EndRow()
	case j.countedBy != code:
		r.countRefusal(j, code)
	}
}

// countRefusal counts a job that was refused for good. Where possible it is called before another
// request can take the job's place in flight.
func (r *run) countRefusal(j *job, code int) {
	known := code == j.Past().FailedBy && !upstream.AboutAccount(code)
	if !known && !r.Declined(code) { // else it is nothing new
		r.queue.Refused(j.server, &j.item, code)
	}
}
