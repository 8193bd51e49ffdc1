package send

import (
	"context"
	"errors"
	"slices"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/resume"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/internal/upstream"
)

// submit hands the source's items to the pool until all are, or ctx ends.
func (r *run) submit(ctx context.Context) {
	items := r.Source.Items()
	if r.Found.Partial {
		items = source.Until(ctx, items, silentAfter)
	}
	for it, err := range items {
		if ctx.Err() != nil || r.awaitReader(ctx) != nil {
			return
		}
		if errors.Is(err, source.ErrSilence) {
			if !r.queue.Flush(ctx) {
				return
			}
			continue
		}
		r.mu.Lock()
		r.read++
		r.mu.Unlock()
		var failed *source.ItemError
		switch {
		case errors.As(err, &failed):
			r.done(&job{item: failed.Item}, results.Result{Status: item.Failed, Error: failed.Err.Error()})
		case err != nil:
			r.end(exit.Failed, err)
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
	r.mu.Lock()
	r.whole = true
	r.mu.Unlock()
	if r.queue.Finish(ctx) {
		r.endIfAlone()
	}
}

// Before returns what an earlier run made of an item that has not changed since.
func (r *run) Before(it item.Item) item.Fate {
	if r.Journal == nil || slices.Equal(r.Only, []item.Fate{item.Failed}) {
		return item.None
	}
	c := r.Journal.Peek(resume.IdentityOf(it).ID(), resume.FingerprintOf(it))
	switch {
	case !c.Same || c.Twice, c.State == item.Delivered && !r.Again.IsZero():
		return item.None
	}
	return c.State
}

// FailedBefore reports whether an earlier run failed any item.
func (r *run) FailedBefore() bool {
	return r.Journal != nil && r.Journal.Earlier().Counts[item.Failed] > 0
}

// Claim makes a job of an item, which waits as long as its server asked for in an earlier run.
func (r *run) Claim(it item.Item) (*job, bool) {
	j, wanted := r.claim(it)
	if wanted {
		r.obey(j)
	}
	return j, wanted
}

// Submit hands a job to the pool.
func (r *run) Submit(ctx context.Context, j *job) error { return r.pool.Submit(ctx, j) }

// Wait returns when all jobs have ended.
func (r *run) Wait(ctx context.Context) error { return r.pool.Wait(ctx) }

// Refuse closes a server that refuses everything alike.
func (r *run) Refuse(s *upstream.Server) { r.shut(s, exit.Refused, status.RefusesAll(s.Row())) }
