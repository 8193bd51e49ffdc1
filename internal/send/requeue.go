package send

import (
	"time"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/order"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/status"
)

// postpone reports whether the end of the run comes back to a job: one that the server failed while
// it accepted nothing at all, or one that it can be asked about.
func (r *run) postpone(j *job, out results.Result, outage bool) bool {
	ask := out.Status == item.Unknown && r.CanAsk(j.item)
	if !outage && !ask || j.pass == order.MaxPasses || r.ending.Cause() != nil {
		return false
	}
	// The end of a stream may never come, and its results come as the items end.
	if !ask && r.Found.Stream && !r.whole.Load() {
		return false
	}
	if outage && !j.isStarved() {
		return false
	}
	j.endedAs(out)
	var ended time.Time
	if ask {
		ended = time.Now()
	}
	if !r.putOff(j, ended, true) {
		return false
	}
	j.settled()
	if r.Journal != nil {
		row := r.row(j, out.Status)
		row.HTTPStatus, row.Error = out.HTTPStatus, out.Error
		r.Journal.Put(row, nil)
	}
	return true
}

// putOff leaves a job to the end of the run: to ask about it if the instant is not zero, which is
// when its last attempt ended. It returns false if that is optional and there are too many.
func (r *run) putOff(j *job, ended time.Time, optional bool) bool {
	at := ended
	if !at.IsZero() {
		at = at.Add(r.verifier.Settle)
	}
	if !r.later.Add(j, at, optional) {
		return false
	}
	j.postponed(ended) // before anybody takes it: the pool is waited for first
	return true
}

// Settles says that servers are asked about so many jobs after a wait.
func (r *run) Settles(jobs int, wait time.Duration) { r.Log.Info(status.Settling(jobs, wait)) }

// InVain reports whether a job is not sent once more: its server still takes nothing.
func (r *run) InVain(j *job) bool { return !j.Asks() && j.isStarved() }

// GiveBack reports a postponed job as it ended last.
func (r *run) GiveBack(j *job) {
	out := j.out
	if out.Status == item.Failed && r.ending.Cause() != nil && !r.refusals.AreOver() {
		out.Status = item.Deferred
	}
	r.done(j, out)
}

// abandon does what there is to do for a job that is not sent since the run ends: it remains,
// unless it was sent before.
func (r *run) abandon(j *job) {
	j.settled()
	if j.pass > 0 {
		r.GiveBack(j)
	}
}
