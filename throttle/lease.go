package throttle

import (
	"context"
	"time"
)

// A Leaser shares one rate of requests among processes. It leases to each of them instants at which
// a request may be sent, its slots, and no instant to two of them; see [Upstream.SetLeaser] and
// [Transport.LeaserFor].
//
// Its methods may be called concurrently, by one goroutine at a time for each upstream.
type Leaser interface {
	// Lease asks for that many slots, 1 or more, and returns those that are granted. It is asked
	// while callers wait, somewhat before the slots that they have are used up. It should return
	// within a few hundred milliseconds, and must when ctx ends, as it does with [Upstream.Stop].
	//
	// Nothing is sent without a slot, so after an error nothing is until Lease, which is asked
	// again, grants some: at the instant that the error's method RetryAt() time.Time returns, if it
	// has one, or else a second later. If that is the zero Time, which means never, all callers
	// that wait fail with the error.
	Lease(ctx context.Context, want int) (Lease, error)
}

// A Lease is what a [Leaser] grants: N requests may be sent, the first at the instant First and
// each of the others Every later than the one before. A slot that is not used within 20 ms of its
// instant is void, so that what was not used does not leave as a burst.
type Lease struct {
	First time.Time     // by this machine's clock
	Every time.Duration // if zero, all slots are due at First
	N     int           // if zero or less, none is granted

	// Again is when to ask again. If it is zero, where N is above zero when all but the slots of
	// this lease are used up, and else after a second.
	Again time.Time
}
