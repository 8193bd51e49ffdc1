package order

import (
	"cmp"
	"context"
	"slices"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/upstream"
)

// Flush sends what was put aside, and last what failed in an earlier run: another refusal of it
// says nothing new. It returns false if ctx has ended.
func (q *Queue[J]) Flush(ctx context.Context) bool {
	if q.doubting.Load() && (q.whole || q.doubts()) && !q.sendRefused(ctx) {
		return false
	}
	failed := q.failed
	q.failed, q.heavyFailed = nil, 0
	for _, it := range failed {
		if !q.submit(ctx, it) {
			return false
		}
	}
	// What is in the queue yet may be refused, too, before anything else is accepted.
	return !q.whole || q.sendRefused(ctx)
}

// Finish is Flush when no more items come.
func (q *Queue[J]) Finish(ctx context.Context) bool {
	q.whole = true
	return q.Flush(ctx)
}

// sendRefused sends the items that a server would refuse, if it does not refuse all: the newest
// first. Workers do not keep to the order, so a few are waited for, then more and more; not in runs
// with several servers, where that would hold up the others. It returns false if ctx has ended.
func (q *Queue[J]) sendRefused(ctx context.Context) bool {
	q.mu.Lock()
	several := q.several
	q.mu.Unlock()
	q.tryNewest(ctx, !several)
	defer q.setLetAll(q.whole) // else more may come
	for n := 2; ; n *= 2 {
		for range n {
			j, ok := q.newest()
			if !ok {
				return true
			}
			if q.Engine.Submit(ctx, j) != nil {
				return false
			}
		}
		if q.Servers.One && q.Engine.Wait(ctx) != nil {
			return false
		}
	}
}

// tryNewest waits for what is in flight, tries the newest item that is left of a server that may
// refuse all, and closes the server if it refuses that, too: what is new is not held up by many
// items that are refused each time and sort before it. If alone, there are no other directories.
// From then on nothing is put aside. In runs with several servers nothing is waited for: that would
// hold up the others.
func (q *Queue[J]) tryNewest(ctx context.Context, alone bool) {
	servers := q.Servers.All()
	several := len(servers) > 1
	if !several && q.Engine.Wait(ctx) != nil {
		return
	}
	q.sort()
	q.setLetAll(true)
	for _, s := range servers {
		if q.refusesNewest(ctx, s, alone, several) {
			q.Servers.ShutRefusing(s)
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// refusesNewest reports whether a server refuses all, also the newest item that is left.
func (q *Queue[J]) refusesNewest(ctx context.Context, s *upstream.Server, alone,
	several bool) bool {
	before := s.Row().Items
	for !several && s.RefusesAll(alone) { // until one of them is accepted or refused
		j, ok := q.newest()
		if !ok {
			break
		}
		if q.Engine.Submit(ctx, j) != nil || q.Engine.Wait(ctx) != nil {
			return false
		}
		if s.Row().Items != before {
			break
		}
	}
	return s.RefusesAll(alone)
}

// doubts reports whether a server may refuse all, or items wait for that to be known.
func (q *Queue[J]) doubts() bool {
	if q.Servers.AnyMayRefuse() {
		return true
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.refused)+len(q.taken) > 0
}

func (q *Queue[J]) setLetAll(is bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.letAll = is
}

// sort puts the items that a server would refuse in the order of their age. Of equal ones the last
// in the list counts as the newest: it is the farthest from those that were refused. One that
// failed before is not new.
func (q *Queue[J]) sort() {
	q.mu.Lock()
	defer q.mu.Unlock()
	slices.SortStableFunc(q.refused, func(a,
		b item.Item) int {
		return a.ModTime.Compare(b.ModTime)
	})
	slices.SortStableFunc(q.taken, func(a, b J) int {
		return cmp.Or(-compare(a.FailedBefore(), b.FailedBefore()),
			a.Item().ModTime.Compare(b.Item().ModTime))
	})
}

func compare(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// newest takes the newest item that was put aside, and makes a job of it. It returns false if there
// is none that is to be sent.
func (q *Queue[J]) newest() (j J, ok bool) {
	for {
		it, j, more := q.takeNewest()
		switch {
		case !more:
			return j, false
		case it == nil:
			return j, true
		}
		if j, wanted := q.Engine.Claim(*it); wanted {
			return j, true
		}
	}
}

// takeNewest takes the newest item that was put aside, if it is nil the job.
func (q *Queue[J]) takeNewest() (it *item.Item, j J, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	taken, refused := len(q.taken)-1, len(q.refused)-1
	if taken >= 0 {
		j := q.taken[taken]
		if refused < 0 || !j.FailedBefore() && j.Item().ModTime.After(q.refused[refused].ModTime) {
			q.taken = q.taken[:taken]
			return nil, j, true
		}
	}
	if refused < 0 {
		return nil, j, false
	}
	last := q.refused[refused]
	q.refused = q.refused[:refused]
	q.heavy -= last.Held() / itemSize
	return &last, j, true
}
