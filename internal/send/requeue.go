package send

import (
	"context"
	"time"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/status"
)

// maxPasses bounds how often the end of the run tries an item once more.
const maxPasses = 3

// postpone reports whether the end of the run comes back to a job: one that the server failed while
// it accepted nothing at all, or one that it can be asked about.
func (r *run) postpone(j *job, out results.Result, outage bool) bool {
	ask := out.Status == item.Unknown && r.CanAsk(j.item)
	if !outage && !ask || j.pass == maxPasses || r.ending.Cause() != nil {
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

// comeBack gives postponed jobs to the pool again, until there are none or ctx ends.
func (r *run) comeBack(ctx context.Context) {
	for range maxPasses {
		if r.pool.Wait(ctx) != nil {
			return
		}
		jobs, until := r.later.Take()
		if len(jobs) == 0 {
			return
		}
		if wait := time.Until(until); wait > 0 {
			r.Log.Info(status.Settling(len(jobs), wait))
			r.settling.Store(&until)
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
			r.settling.Store(nil)
		}
		for _, j := range jobs {
			down := !j.Asks() && j.isStarved() // it still takes nothing
			if down || r.pool.Submit(ctx, j) != nil {
				r.giveBack(j)
			}
		}
	}
}

// giveBack reports a postponed job as it ended last.
func (r *run) giveBack(j *job) {
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
		r.giveBack(j)
	}
}
