package send

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/penstock/penstock/internal/body"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/retry"
)

const (
	// maxPasses bounds how often the end of the run tries an item once more.
	maxPasses = 3
	// maxLater bounds the memory for those items; what is more of them has failed.
	maxLater = 50_000
)

// postponed are the jobs that the end of the run comes back to.
type postponed struct {
	jobs  []*job
	until time.Time // when the last of them may be asked for
}

// postpone reports whether the end of the run comes back to a job: one that the server failed while
// it accepted nothing at all, or one that it can be asked about.
func (r *run) postpone(j *job, out results.Result, end retry.Result) bool {
	outage := out.Status == item.Failed && end.Attempts > 1 &&
		(end.Status == 0 || end.Status >= 500) &&
		j.fault == nil && body.Fault(end.Err) == nil && !errors.Is(end.Err, retry.ErrUnreachable)
	ask := out.Status == item.Unknown && r.CanAsk(j.item)
	if !outage && !ask || j.pass == maxPasses || r.ending.Cause() != nil {
		return false
	}
	r.mu.Lock()
	if outage && !j.isStarved() || len(r.later.jobs) == maxLater {
		r.mu.Unlock()
		return false
	}
	j.pass++
	j.out = out
	if ask {
		j.Ended = time.Now()
	}
	r.putOffLocked(j, ask)
	r.mu.Unlock()
	j.settled()
	if r.Journal != nil {
		row := r.row(j, out.Status)
		row.HTTPStatus, row.Error = out.HTTPStatus, out.Error
		r.Journal.Put(row, nil)
	}
	return true
}

// putOff leaves a job to the end of the run.
func (r *run) putOff(j *job) {
	r.mu.Lock()
	defer r.mu.Unlock()
	j.pass++
	r.putOffLocked(j, j.ask)
}

func (r *run) putOffLocked(j *job, ask bool) {
	j.requeue(ask)
	r.later.jobs = append(r.later.jobs, j)
	if j.ask {
		r.later.until = later(r.later.until, j.Ended.Add(r.verifier.Settle))
	}
}

// comeBack gives postponed jobs to the pool again, until there are none or ctx ends.
func (r *run) comeBack(ctx context.Context) {
	for range maxPasses {
		if r.pool.Wait(ctx) != nil {
			return
		}
		r.mu.Lock()
		jobs, until := r.later.jobs, r.later.until
		r.later = postponed{}
		r.mu.Unlock()
		if len(jobs) == 0 {
			return
		}
		if wait := time.Until(until); wait > 0 {
			r.Log.Info(fmt.Sprintf("asking about %s in %s: the server may still be at work on them",
				human.Plural(len(jobs), "unknown file"), human.Span(wait)))
			r.settling.Store(&until)
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
			r.settling.Store(nil)
		}
		for _, j := range jobs {
			down := !j.ask && j.isStarved() // it still takes nothing
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

// leave does what there is to do for a job that is not sent since the run ends: it remains, unless
// it was sent before.
func (r *run) leave(j *job) {
	j.settled()
	if j.pass > 0 {
		r.giveBack(j)
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
