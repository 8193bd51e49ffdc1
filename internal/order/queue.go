// Package order decides in which order the items of a run are sent. Items that a server would
// refuse, if it refuses all, and those that failed in an earlier run are put aside and sent after
// the others: they must not hold up new ones that sort behind them.
package order

import (
	"context"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/upstream"
)

const (
	// maxAside bounds the items that are put aside, at about 300 bytes each; one whose body is in
	// memory counts as many. Further ones are sent in their turn.
	maxAside = 50_000
	itemSize = 300
	// MaxListing is how long items of other directories are waited for that a program may still
	// write to standard input. It is enough to list a large directory on a slow disk.
	MaxListing = 30 * time.Second
)

// A Job is an item that is to be sent.
type Job interface {
	Item() *item.Item
	FailedBefore() bool // an earlier run failed it, and it has not changed since
}

// An Engine sends jobs. Its methods are called by one goroutine.
type Engine[J Job] interface {
	// Before returns what an earlier run made of an item that has not changed since.
	Before(it item.Item) item.Fate
	// FailedBefore reports whether an earlier run failed any item.
	FailedBefore() bool
	// Claim makes a job of an item, unless it is not to be sent.
	Claim(it item.Item) (j J, wanted bool)
	Sender[J]
}

// A Sender sends jobs. Submit hands one over, and Wait returns when all of them have ended. Both
// fail when ctx ends.
type Sender[J any] interface {
	Submit(ctx context.Context, j J) error
	Wait(ctx context.Context) error
}

// A Queue hands items to an engine. Its exported fields are set before its first use. Read, Send,
// Flush and Finish are called by one goroutine, the other methods by any.
type Queue[J Job] struct {
	Engine  Engine[J]
	Servers *upstream.Set
	Endless bool // more items may come for an unlimited time
	InOrder bool // what failed in an earlier run is sent in its turn

	doubting atomic.Bool // a server has refused many items alike

	mu      sync.Mutex
	dir     string // of the first item that was read
	several bool   // another one is elsewhere
	letAll  bool   // what was put aside is sent now
	refused []item.Item
	heavy   int // of refused, how many more they count as
	taken   []J // like refused, of those that a worker had already

	// For the goroutine that sends.
	whole       bool      // all items were read
	since       time.Time // the first of refused was put aside
	failed      []item.Item
	heavyFailed int // of failed, how many more they count as
}

// Send hands over an item now or, if it is put aside, later. It returns false if ctx has ended.
func (q *Queue[J]) Send(ctx context.Context, it item.Item) bool {
	return q.putAside(ctx, it) || q.submit(ctx, it)
}

// Read records where an item is. It is called for each item that is read, also for one that cannot
// be sent: whether there are several directories depends on all of them.
func (q *Queue[J]) Read(it item.Item) {
	dir := filepath.Dir(it.Path)
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.dir == "" {
		q.dir = dir
	}
	q.several = q.several || dir != q.dir
}

// mayBeRefused reports whether the item's server may refuse all, and whether the item is among
// those that it would refuse.
func (q *Queue[J]) mayBeRefused(it *item.Item) (server, item bool) {
	if !q.doubting.Load() {
		return false, false
	}
	q.mu.Lock()
	letAll := q.letAll
	q.mu.Unlock()
	if s := q.Servers.EndOf(nethttp.OriginOf(it.URL)); s != nil && !letAll {
		return s.MayRefuse(filepath.Dir(it.Path))
	}
	return false, false
}

// putAside reports whether an item is sent after others.
func (q *Queue[J]) putAside(ctx context.Context, it item.Item) bool {
	before := item.None
	if q.doubting.Load() || !q.InOrder && q.Engine.FailedBefore() { // else it does not matter
		before = q.Engine.Before(it)
	}
	_, doubted := q.mayBeRefused(&it)
	switch {
	case before == item.Delivered:
		return false
	case before == item.Failed && !q.InOrder && len(q.failed)+q.heavyFailed < maxAside:
		q.failed = append(q.failed, it)
		q.heavyFailed += it.Held() / itemSize
		return true
	case !doubted:
		return false
	}
	q.mu.Lock()
	n := len(q.refused) + q.heavy
	if n < maxAside {
		q.refused = append(q.refused, it)
		q.heavy += it.Held() / itemSize
	}
	q.mu.Unlock()
	switch {
	case n >= maxAside:
		q.tryNewest(ctx, true)
		q.setLetAll(false)
		return false // it is sent in its turn, unless its server is closed now
	case n == 0:
		q.since = time.Now()
	case q.Endless && time.Since(q.since) >= MaxListing:
		q.sendRefused(ctx)
	}
	return true
}

// submit hands an item to the engine if it is to be sent. It returns false if ctx has ended. An
// item that shows whether other directories are refused, too, is waited for; not in runs with
// several servers, where that would hold up the others.
func (q *Queue[J]) submit(ctx context.Context, it item.Item) bool {
	doubt, _ := q.mayBeRefused(&it)
	j, wanted := q.Engine.Claim(it)
	if !wanted {
		return true
	}
	probe := doubt && q.Servers.One && !j.FailedBefore()
	return q.Engine.Submit(ctx, j) == nil && (!probe || q.Engine.Wait(ctx) == nil)
}

// Take puts a job aside that a worker has begun with, if its server may refuse all that is like it,
// and reports whether it did.
func (q *Queue[J]) Take(j J) bool {
	if _, doubted := q.mayBeRefused(j.Item()); !doubted {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.letAll {
		return false
	}
	q.taken = append(q.taken, j)
	return true
}

// Refused records that a server refused one more item for good, by that status. If the server
// refuses all, it gets no more.
func (q *Queue[J]) Refused(s *upstream.Server, it *item.Item, status int) {
	if q.isEnough(s, s.Refuse(filepath.Dir(it.Path), status)) {
		q.Servers.ShutRefusing(s)
	}
}

// isEnough reports whether a server that refuses item after item gets no more.
func (q *Queue[J]) isEnough(s *upstream.Server, row upstream.Row) bool {
	q.mu.Lock()
	letAll, several := q.letAll, q.several
	q.mu.Unlock()
	switch {
	case !row.Many:
		return row.Enough
	case letAll, row.Spread && q.Servers.Several(): // of several servers none waits for another one
		return s.RefusesAll(!several)
	}
	q.doubting.Store(true)
	return false
}
