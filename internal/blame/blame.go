// Package blame decides whether a refused request is itself at fault, or its server is busy or
// down, by how other requests of its kind end. It has no clock and never waits.
package blame

import "sync"

const (
	// A refusal is blamed on the request while the others that were accepted had been refused at
	// most this often: then eight refusals in a row are chance once in a hundred million times.
	refusalShare = 0.1

	// The same for a failure, such as 500, of which a request that is sent again costs the server
	// no more than another: then eight in a row are chance once in 256 times.
	failureShare = 1

	// sureBlame is how often a request must have been blamed for it to be to blame as well when no
	// other is left to be accepted: an outage that begins may look like that once, …
	sureBlame = 2
	// … but not after so many others since its first refusal, of which none was ever refused.
	sureAccepted = 20
)

// Failed replaces the status of attempts that may have been processed: a 500 and a 502 to one
// request count as the same failure.
const Failed = -1

// A Kind records how the requests of one kind ended. The zero value has seen none. It is safe for
// concurrent use.
type Kind struct {
	mu       sync.Mutex
	accepted int64 // attempts that were accepted
	endured  int64 // how often those requests had been refused before
	refused  int64 // attempts that were refused
	innocent int64 // of these, those of requests that are not surely to blame
	newest   int64 // refused, when the attempt began that was accepted and began last
}

// Never reports whether nothing of the kind was ever accepted.
func (k *Kind) Never() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.accepted == 0
}

// Now returns the present instant, counted in refusals of the kind. Pass the instant at which an
// attempt began to [Kind.Accept].
func (k *Kind) Now() int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.refused
}

// Accept records an attempt that was accepted and began at the given instant.
func (k *Kind) Accept(began int64, c *Call) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.accepted++
	k.endured += c.refusals
	k.newest = max(k.newest, began)
}

// A Call is what is known of the refusals of one request. The zero value is one that was not
// refused yet. It belongs to one goroutine.
type Call struct {
	refusals int64
	status   int // of the last one
	counted  int // how often it was to blame
	sure     bool

	// Its kind's counts at the last one, and at the first one with that status.
	number, accepted, endured, innocent int64
	firstAccepted, firstEndured         int64
}

// Alone reports whether the request was refused before and no other of its kind was since.
func (c *Call) Alone(k *Kind) bool { return c.refusals > 0 && k.Now() == c.number }

// Refused reports whether the request was refused before.
func (c *Call) Refused() bool { return c.refusals > 0 }

// FailedOnce reports whether the request was refused once, with the status [Failed].
func (c *Call) FailedOnce() bool { return c.refusals == 1 && c.status == Failed }

// weigh reports whether a refusal now, in the same way as the last one, counts as a failure of the
// request itself, and whether the request is surely to blame then. It counts if others of its kind,
// sent since it was last refused, were accepted, and had hardly been refused themselves. Where many
// compete for what an upstream accepts, or wait for a quota, those that are accepted were refused
// before, and no request is to blame. It requires that mu is held.
func (k *Kind) weigh(c *Call) (counts, sure bool) {
	passed, endured := k.accepted-c.accepted, k.endured-c.endured
	share := refusalShare
	if c.status == Failed {
		share = failureShare
	}
	counts = c.refusals > 0 && passed > 0 && k.newest >= c.number &&
		float64(endured) <= share*float64(passed)
	many := k.accepted-c.firstAccepted >= sureAccepted && k.endured == c.firstEndured
	return counts, c.sure || counts && (many || c.counted+1 >= sureBlame)
}

// Refuse records a refusal with the given status, and reports whether it counts as a failure of the
// request itself. Status 0 is a connection that was refused: it says nothing about the request,
// which was not sent.
func (k *Kind) Refuse(c *Call, status int) (counts bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refused++
	if status != 0 && status == c.status {
		if counts, c.sure = k.weigh(c); counts {
			c.counted++
		} else if c.sure && k.innocent == c.innocent { // and no other is left to be accepted
			counts = true
		}
	} else {
		c.firstAccepted, c.firstEndured = k.accepted, k.endured
	}
	if !c.sure {
		k.innocent++
	}
	c.refusals++
	c.status, c.number = status, k.refused
	c.accepted, c.endured, c.innocent = k.accepted, k.endured, k.innocent
	return counts
}

// Blames reports whether a request that is refused once more is surely to blame.
func (k *Kind) Blames(c *Call) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, sure := k.weigh(c)
	return sure
}
