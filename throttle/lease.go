package throttle

import (
	"context"
	"time"
)

// A Leaser shares one rate of requests among processes. It leases to each of them instants at which
// a request may be sent, its slots, and no instant to two of them; see [Upstream.SetLeaser] and
// [Transport.LeaserFor].
//
// Lease may be called concurrently. For each upstream that the Leaser was set for there is one call
// at a time, but for one that is ending when SetLeaser has set it anew.
type Leaser interface {
	// Lease asks for that many slots, 1 or more, and returns those that are granted, which may be
	// fewer. It is called while callers wait, somewhat before the slots that they have are used up,
	// and when [Upstream.TryAcquire] finds none. It should return within a few hundred
	// milliseconds, and must when ctx ends, as it does with [Upstream.Stop] and when another Leaser
	// takes its place.
	//
	// Nothing is sent without a slot, so after an error nothing is until Lease, which is called
	// again, grants some: at the instant that the error's method RetryAt() time.Time returns, if it
	// has one, or else a second later. If that is the zero Time, which means never, all callers
	// that wait fail with an error that wraps it; Lease is called again for those that come later.
	Lease(ctx context.Context, want int) (Lease, error)
}

// A Lease is what a [Leaser] grants: N requests may be sent, the first at the instant First and
// each of the others Every later than the one before. A slot that is not used within 20 ms of its
// instant is void, so that what was not used does not leave as a burst; where First is long past,
// or zero, all of them are.
type Lease struct {
	First time.Time     // by this machine's clock
	Every time.Duration // if zero, all slots are due at First
	N     int           // if zero or less, none is granted

	// Again is the earliest time of the next call. If it is zero, Lease is called again when the
	// slots of this lease are about to be used; after one without slots, a second later.
	Again time.Time
}

// SetLeaser makes requests wait for slots of the Leaser, too, also those that wait now: each
// attempt takes as many as its weight, and Limits hold besides. What another Leaser has granted
// before is not used; to set the same one again changes nothing. If nil, no slot is needed.
//
// How many slots are asked for follows from the callers that wait and from how many were used
// lately, so that a process with little to do leaves them to others. A Leaser that serves others,
// too, grants no more than fall due within some 100 ms, as what is granted and not used is lost for
// all. If its slots are used up while callers wait, it is asked again at once, and else at most 20
// times a second. So where many slots are wanted by others, a caller that sends one request after
// the other gets about 20 a second: start more goroutines.
//
// An upstream of a [Transport] whose Leaser was changed by SetLeaser is not forgotten.
func (u *Upstream) SetLeaser(leaser Leaser) {
	u.mu.Lock()
	u.mu.kept = leaser != nil || u.mu.leased
	u.mu.Unlock()
	u.line.setLeaser(leaser)
}

// Cap lets at most n requests be in flight until the given instant, besides what Limits allow, and
// then none until it is called again. If n is negative, there is no such limit. Requests that are
// in flight already stay, also if they are more.
//
// It is for a limit that processes share: what one of them was allotted for some time may be
// another's afterwards. So a cap also ends when the machine was suspended. The limits that are
// found do not follow it: to be held by a cap says nothing of the server.
func (u *Upstream) Cap(n int, until time.Time) { u.line.setCap(n, until) }
