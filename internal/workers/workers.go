// Package workers says how many workers a run needs: enough that one of them always waits for its
// turn, and no more. Events go in, numbers come out.
package workers

import (
	"sync"

	"github.com/penstock/penstock/internal/upstream"
	"github.com/penstock/penstock/throttle"
)

const (
	// maxWorkers bounds the growth of the pool. Past the limit of requests in flight a worker can
	// only wait, for a token or for its next attempt.
	maxWorkers = 4096
	// someWorkers are enough to begin with, where the limits do not say.
	someWorkers = 64
)

// A Need is how many workers a run needs. Its methods may be called concurrently, except for Grow.
type Need struct {
	given    int // by the user; 0: as many as are needed
	inFlight int // that the user allows; 0: any number

	mu       sync.Mutex
	backoff  int // jobs that wait for their next attempt
	changing int // of these, for small files that changed while they were sent
	retried  int // jobs that have waited for one, and have not ended

	// For Grow.
	unclaimed int64 // tokens that no worker waited for, when last looked
	grown     int   // workers that the limits need
	standIns  int   // workers beside them, in place of those that wait for a server that is closed
	grew      bool  // when last looked
}

// New returns the need of a run that begins. Given is how many the user wants, 0 for as many as are
// needed.
func New(given int, limits throttle.Limits) *Need {
	w := &Need{given: given, inFlight: limits.InFlight, grown: given}
	switch {
	case given > 0:
	case limits.InFlight > 0:
		w.grown = min(limits.InFlight, maxWorkers)
	default:
		w.grown = someWorkers
	}
	if given == 0 && limits.Rate > 0 {
		// Enough for answers that take half a second; the rest is grown.
		w.grown = min(w.grown, max(8, int(limits.Rate)/2+2))
	}
	return w
}

// ToBegin returns how many workers there are to begin with.
func (w *Need) ToBegin() int { return w.grown }

// A Backoff is what is known of the waits of one job for its next attempts. In the zero Backoff
// there was none. It belongs to one goroutine at a time.
type Backoff struct {
	waits   bool // now
	changed bool // since its content changed
	waited  bool // ever
}

// Wait records that a job waits for its next attempt, perhaps because its content changed. If it
// waits already, Wait does nothing.
func (w *Need) Wait(b *Backoff, changed bool) {
	if b.waits {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.backoff++
	if changed {
		w.changing++
	}
	if !b.waited {
		w.retried++
	}
	*b = Backoff{waits: true, changed: changed, waited: true}
}

// GoOn records that a job waits no more, if it does.
func (w *Need) GoOn(b *Backoff) {
	if !b.waits {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.backoff--
	if b.changed {
		w.changing--
	}
	b.waits = false
}

// End records that no attempt of a job comes after the last.
func (w *Need) End(b *Backoff) {
	w.GoOn(b)
	if !b.waited {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.retried--
	b.waited = false
}

// Counts returns how many jobs wait for their next attempt, how many of them since their content
// changed, and how many have waited for one.
func (w *Need) Counts() (backoff, changing, retried int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.backoff, w.changing, w.retried
}

// Grow returns how many workers the run needs while so many jobs are queued, or 0 if there are
// enough. One of them should always be waiting for its turn. More stand in for workers that are
// blocked by a backoff or a closed server. Refusing reports whether servers take nothing, and
// further is how many are needed to find out when they do.
func (w *Need) Grow(queued int, v upstream.Overview, refusing bool, further int) int {
	if w.given > 0 || queued == 0 {
		return 0
	}
	backoff, _, _ := w.Counts()
	if refusing {
		// A server that takes nothing needs only the workers that find out when it does.
		backoff = min(backoff, upstream.Probers)
	}
	if v.Parked == 0 {
		w.standIns = 0
	}
	late := v.Unclaimed > w.unclaimed || v.Waiting == v.Parked
	w.unclaimed = v.Unclaimed
	more := (w.grown+w.standIns)/2 + 1
	switch {
	case w.grew:
		w.grew = false // tokens that were late before the new workers came say nothing of them
	case !late || v.Holding == throttle.HoldingBandwidth:
	case v.Parked > 0:
		w.standIns += more
		w.grew = true
	case !refusing:
		w.grown += more
		w.grew = true
	}
	most := maxWorkers
	if w.inFlight > 0 {
		most = min(most, w.inFlight)
	}
	w.grown = min(w.grown, most)
	w.standIns = min(max(w.standIns, v.Parked), maxWorkers)
	return min(w.grown+backoff+further+w.standIns, maxWorkers)
}
