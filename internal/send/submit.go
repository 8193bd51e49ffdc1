package send

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/resume"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/internal/stop"
	"github.com/penstock/penstock/internal/template"
)

// submit hands the source's items to the pool until all are, or ctx ends.
func (r *run) submit(ctx context.Context) {
	items := r.Source.Items()
	if r.Found.Partial {
		items = source.Until(ctx, items, silentAfter)
	}
	for it, err := range items {
		if ctx.Err() != nil || r.Results != nil &&
			r.Results.AwaitRoom(ctx, func() { r.Log.Warn(status.ResultsUnread) }) != nil {
			return
		}
		if errors.Is(err, source.ErrSilence) {
			if !r.queue.Flush(ctx) {
				return
			}
			continue
		}
		r.read.Add(1)
		r.queue.Read(it)
		var failed *source.ItemError
		switch {
		case errors.As(err, &failed):
			r.done(&job{item: failed.Item},
				results.Result{Status: item.Failed, Error: status.Plain(failed.Err)})
		case err != nil:
			_, misused := errors.AsType[*source.Mistake](err)
			r.end(stop.SourceFailed{Err: err, Misused: misused})
			return
		default:
			if !r.queue.Send(ctx, it) {
				return
			}
		}
	}
	if ctx.Err() != nil {
		return
	}
	r.whole.Store(true)
	if r.queue.Finish(ctx) {
		r.servers.EndIfAlone()
	}
}

// Before returns what an earlier run made of an item that has not changed since.
func (r *run) Before(it item.Item) item.Fate {
	if r.Journal == nil {
		return item.None
	}
	return r.Rules.Before(r.Journal, it)
}

// FailedBefore reports whether an earlier run failed any item.
func (r *run) FailedBefore() bool {
	return r.Journal != nil && r.Journal.Earlier().Counts[item.Failed] > 0
}

// Submit hands a job to the pool.
func (r *run) Submit(ctx context.Context, j *job) error { return r.pool.Submit(ctx, j) }

// Wait returns when all jobs have ended.
func (r *run) Wait(ctx context.Context) error { return r.pool.Wait(ctx) }

// Claim makes a job of an item and reports whether it is to be sent. Where earlier runs have
// settled that, the item is reported.
func (r *run) Claim(it item.Item) (*job, bool) {
	j := &job{item: it}
	j.Claimed(resume.Past{KeyEpoch: r.Again}, false)
	if r.Journal != nil || r.Idempotency.Header != "" {
		j.id = resume.IdentityOf(it)
	}
	if r.Journal == nil {
		r.obey(j)
		return j, true
	}
	d, err := r.Rules.Claim(r.Journal, j.id, it, time.Now())
	if err != nil {
		r.end(stop.JournalFailed{Err: err})
		return nil, false
	}
	if d.Do == resume.Ask && d.Why == resume.CutOff {
		d.Ended = r.start // at the latest: it was not recorded when its run was killed
	}
	j.claimed(d)
	out := results.Result{HTTPStatus: d.HTTPStatus}
	switch d.Do {
	case resume.Send:
		r.obey(j)
		return j, true
	case resume.Ask:
		if time.Since(d.Ended) < r.verifier.Settle { // it may still be at work on it
			out.Status, out.Error = item.Unknown, status.LeftInDoubt
			j.endedAs(out)
			r.putOff(j, d.Ended, false)
			return nil, false
		}
		r.obey(j)
		return j, true
	case resume.Skip:
		r.skipped[d.Why]++
		if d.Why == resume.Arrived && r.CanAsk(it) && !template.Incomplete(it.URL) {
			r.verifier.Delivered(it, func() http.Header { return r.maker.Headers.ToAsk(it) })
		}
		out.Status, out.Note = item.Skipped, status.Left(d.Why, nil)
		if d.HasReceipt && r.Results != nil { // which takes a look at the disk
			row, err := r.Journal.Load(j.id.ID())
			if err != nil {
				r.end(stop.JournalFailed{Err: err})
				return nil, false
			}
			row.Receipt().Show(&out)
		}
	case resume.Fail:
		out.Status, out.Error = item.Failed, status.Left(d.Why, it.Header)
	case resume.Leave:
		out.Status, out.Error = item.Unknown, status.Left(d.Why, nil)
	}
	r.done(j, out)
	return nil, false
}

// obey has a job wait for as long as its server asked for in an earlier run, and the server obey a
// quota that is shared before the job is sent. It is for submit.
func (r *run) obey(j *job) {
	if len(r.waits) == 0 && !r.Source.OwnURLs() && r.Quota == nil {
		return
	}
	origin := nethttp.OriginOf(j.item.URL)
	w, ok := r.waits[origin]
	wait := w.Until
	now := time.Now()
	s := r.servers.Of(origin) // known from now on: the run does not end while it may take something
	if !ok {
		return
	}
	j.server = s
	if !s.AskedEarlier(now, wait) || !wait.After(now) {
		return
	}
	if r.WaitsUntil(wait, now) { // else that is why the server's files are left
		r.Log.Info(status.Obeys(origin, wait, now))
	}
	s.Pause(wait, "an earlier run")
}
