package send

import (
	"context"
	"path/filepath"
	"slices"
	"time"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/source"
)

// maxAside bounds the items that are sent after others, at about 300 bytes each. Further ones are sent in their turn.
const maxAside = 50_000

// maxListing is how long files of other directories are waited for that a program may still write to standard input. It is
// enough to list a large directory on a slow disk.
const maxListing = 30 * time.Second

// An order holds the items that are sent after others: those that a server would refuse, if it refuses all, and
// those that failed in an earlier run, which would hold up the new ones if they sorted first.
type order struct {
	dir     string // of the first item that was read
	several bool   // another one is elsewhere
	letAll  bool   // the items that were put aside are sent now

	since   time.Time // the first of refused was put aside
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
func (r *run) putAside(ctx context.Context, it source.Item) bool {
	o := &r.order
	had, failed := r.settledBefore(it)
	switch _, doubted := r.doubted(it); {
	case had:
		return false
	case failed && len(o.failed) < maxAside:
		o.failed = append(o.failed, it)
	case doubted && len(o.refused) >= maxAside:
		r.tryNewest(ctx, true)
		r.letAll(false)
		return false // it is sent in its turn, unless its server is closed now
	case doubted:
		if len(o.refused) == 0 {
			o.since = time.Now()
		}
		o.refused = append(o.refused, it)
		if r.Found.Partial && time.Since(o.since) >= maxListing { // it may have no end
			r.sendRefused(ctx)
		}
	default:
		return false
	}
	return true
}

// settledBefore reports whether an item was delivered or failed in an earlier run, and has not changed since.
func (r *run) settledBefore(it source.Item) (delivered, failed bool) {
	if r.Journal == nil || slices.Equal(r.Only, []item.Fate{item.Failed}) {
		return false, false
	}
	if !r.doubting.Load() && r.Journal.Earlier().Counts[item.Failed] == 0 {
		return false, false // it does not matter
	}
	c := r.Journal.Peek(identityOf(it).id(), fingerprintOf(it))
	same := c.Same && !c.Twice
	return same && c.State == item.Delivered && r.Again.IsZero(), same && c.State == item.Failed
}

// sendAside sends the items that were put aside: those that failed before last, since their refusal says nothing new. It returns
// false if ctx ended.
func (r *run) sendAside(ctx context.Context) bool {
	o := &r.order
	if r.doubting.Load() && (r.whole || r.doubts()) && !r.sendRefused(ctx) {
		return false
	}
	failed := o.failed
	o.failed = nil
	for _, it := range failed {
		if !r.submitItem(ctx, it) {
			return false
		}
	}
	// What is in the queue yet may be refused, too, before anything else is accepted.
	return !r.whole || r.sendRefused(ctx)
}

// sendRefused sends the items that a server would refuse, if it does not refuse all: the newest first. Workers do not keep to
// the order, so a few are waited for, then more and more; not in runs with several servers, where that would hold up the others.
// It returns false if ctx ended.
func (r *run) sendRefused(ctx context.Context) bool {
	r.tryNewest(ctx, !r.order.several)
	defer r.letAll(r.whole) // else more may come
	for n := 2; ; n *= 2 {
		for range n {
			j := r.newestAside()
			if j == nil {
				return true
			}
			if r.pool.Submit(ctx, j) != nil {
				return false
			}
		}
		if !r.Source.OwnURLs() && r.pool.Wait(ctx) != nil {
			return false
		}
	}
}

// doubts reports whether a server may refuse all, or items wait for that to be known.
func (r *run) doubts() bool {
	if r.servers.AnyMayRefuse() {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.order.refused)+len(r.order.taken) > 0
}

func (r *run) letAll(is bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.order.letAll = is
}

// sortAside puts the items that a server would refuse in the order of their age. Of equal ones the last in the list counts as
// the newest: it is the farthest from those that were refused.
func (r *run) sortAside() {
	r.mu.Lock()
	defer r.mu.Unlock()
	o := &r.order
	slices.SortStableFunc(o.refused, func(a, b source.Item) int { return a.ModTime.Compare(b.ModTime) })
	slices.SortStableFunc(o.taken, func(a, b *job) int {
		switch {
		case a.failedBy == 0 && b.failedBy != 0:
			return 1 // one that failed before is not new
		case a.failedBy != 0 && b.failedBy == 0:
			return -1
		}
		return a.item.ModTime.Compare(b.item.ModTime)
	})
}

// newestAside takes the newest item that was put aside, and makes a job of it. It returns nil if there is none that is to be
// sent.
func (r *run) newestAside() *job {
	o := &r.order
	for {
		r.mu.Lock()
		taken, refused := len(o.taken), len(o.refused)
		if taken > 0 && (refused == 0 || o.taken[taken-1].failedBy == 0 && o.taken[taken-1].item.ModTime.After(o.refused[refused-1].ModTime)) {
			j := o.taken[taken-1]
			o.taken = o.taken[:taken-1]
			r.mu.Unlock()
			return j
		}
		if refused == 0 {
			r.mu.Unlock()
			return nil
		}
		it := o.refused[refused-1]
		o.refused = o.refused[:refused-1]
		r.mu.Unlock()
		if j, wanted := r.claim(it); wanted {
			r.obey(j)
			return j
		}
	}
}

// submitItem hands an item to the pool if it is to be sent. It returns false if ctx ended. An item that shows whether other
// directories are refused, too, is waited for; not in runs with several servers, where that would hold up the others.
func (r *run) submitItem(ctx context.Context, it source.Item) bool {
	doubt, _ := r.doubted(it)
	j, wanted := r.claim(it)
	if !wanted {
		return true
	}
	r.obey(j)
	probe := doubt && j.failedBy == 0 && !r.Source.OwnURLs()
	return r.pool.Submit(ctx, j) == nil && (!probe || r.pool.Wait(ctx) == nil)
}

// takeAside reports whether a job is sent after others.
func (r *run) takeAside(j *job) bool {
	if _, doubted := r.doubted(j.item); !doubted || j.pass > 0 {
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
