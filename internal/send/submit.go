package send

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

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
		items = until(ctx, items)
	}
	for it, err := range items {
		if ctx.Err() != nil || r.awaitReader(ctx) != nil {
			return
		}
		if errors.Is(err, errSilence) {
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

// errSilence takes the place of an item that has not come for silentAfter.
var errSilence = errors.New("nothing was read for a while")

// until yields items until ctx ends, also where the next one is waited for:
// standard input may stay silent for hours. Its reader is left behind then, until
// a line comes or the program ends.
func until(ctx context.Context, items iter.Seq2[item.Item, error]) iter.Seq2[item.Item, error] {
	type next struct {
		item item.Item
		err  error
	}
	return func(yield func(item.Item, error) bool) {
		read := make(chan next)
		silent := time.NewTimer(silentAfter)
		defer silent.Stop()
		go func() {
			defer close(read)
			for it, err := range items {
				select {
				case read <- next{it, err}:
				case <-ctx.Done():
					return
				}
			}
		}()
		for {
			select {
			case n, more := <-read:
				if !more || !yield(n.item, n.err) {
					return
				}
				silent.Reset(silentAfter)
			case <-silent.C:
				if !yield(item.Item{}, errSilence) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
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
