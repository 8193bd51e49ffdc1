package send

import (
	"context"
	"path/filepath"
	"slices"

	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/source"
)

// maxAside bounds the items that are sent after others, at about 300 bytes each. Further ones are sent in their turn.
const maxAside = 50_000

// An order holds the items that are sent after others: those of a directory of which a server refuses everything, and
// those that failed in an earlier run, which would hold up the new ones if they sorted first.
type order struct {
	dir     string // of the first item that was read
	several bool   // another one is elsewhere
	letAll  bool   // the items that were put aside are sent now

	refused []source.Item
	failed  []source.Item
	taken   []*job // like refused, of those that a worker had already
}

// read records that an item was read. It requires that run.mu is held.
func (o *order) read(it source.Item) {
	dir := filepath.Dir(it.Path)
	if o.dir == "" {
		o.dir = dir
	}
	o.several = o.several || dir != o.dir
}

// putAside reports whether an item is sent after others.
func (r *run) putAside(it source.Item) bool {
	o := &r.order
	switch {
	case r.inDoubted(it):
		if len(o.refused) >= maxAside {
			r.closeNarrow(true)
			return false // it is sent in its turn, unless its server is closed now
		}
		o.refused = append(o.refused, it)
	case len(o.failed) < maxAside && r.failedBefore(it):
		o.failed = append(o.failed, it)
	default:
		return false
	}
	return true
}

// failedBefore reports whether an item failed in an earlier run, and has not changed since.
func (r *run) failedBefore(it source.Item) bool {
	if r.Journal == nil || r.Journal.Earlier().Counts[journal.Failed] == 0 || slices.Equal(r.Only, []journal.State{journal.Failed}) {
		return false
	}
	c := r.Journal.Peek(identityOf(it).id(), fingerprintOf(it))
	return c.State == journal.Failed && c.Same && !c.Twice
}

// sendAside sends the items that were put aside. It returns false if ctx ended.
func (r *run) sendAside(ctx context.Context) bool {
	o := &r.order
	if r.narrow.Load() && r.pool.Wait(ctx) == nil {
		r.closeNarrow(!o.several)
	}
	r.mu.Lock()
	jobs := o.taken
	o.taken, o.letAll = nil, true
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		o.letAll = r.whole // else more may come
		r.mu.Unlock()
	}()
	for _, j := range jobs {
		if r.pool.Submit(ctx, j) != nil {
			return false
		}
	}
	items := slices.Concat(o.refused, o.failed)
	o.refused, o.failed = nil, nil
	for _, it := range items {
		if !r.submitItem(ctx, it) {
			return false
		}
	}
	return true
}

// submitItem hands an item to the pool if it is to be sent. It returns false if ctx ended. An item that shows whether other
// directories are refused, too, is waited for; not in runs with several servers, where that would hold up the others.
func (r *run) submitItem(ctx context.Context, it source.Item) bool {
	probe := r.doubted(it) != "" && !r.Source.OwnURLs()
	j, wanted := r.claim(it)
	if !wanted {
		return true
	}
	r.obey(j)
	return r.pool.Submit(ctx, j) == nil && (!probe || r.pool.Wait(ctx) == nil)
}

// takeAside reports whether a job is sent after others.
func (r *run) takeAside(j *job) bool {
	if j.pass > 0 || !r.inDoubted(j.item) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.order.letAll {
		return false
	}
	r.order.taken = append(r.order.taken, j)
	return true
}
