package fair

import (
	"context"
	"sync/atomic"
)

type behindKey struct{}

// Behind returns a context whose requests are in the background: they get a turn only when no other
// request waits for that upstream, however long that is. Among themselves their clients take turns
// as ever.
func Behind(ctx context.Context) context.Context {
	return context.WithValue(ctx, behindKey{}, true)
}

// classes are the calls that wait for one upstream: those in the background, and all others. It has
// no lock, no clock and no goroutine.
type classes struct {
	ahead, behind turns
	crowd         atomic.Int64 // how many wait, for those that have no lock
}

func (k *classes) of(c *call) *turns {
	if c.behind {
		return &k.behind
	}
	return &k.ahead
}

func (k *classes) waiting() int { return k.ahead.waiting() + k.behind.waiting() }

func (k *classes) push(name string, c *call) {
	k.of(c).push(name, c)
	k.count()
}

func (k *classes) remove(c *call) {
	k.of(c).remove(c)
	k.count()
}

func (k *classes) count() { k.crowd.Store(int64(k.waiting())) }

// take takes out the call whose turn it is, and returns nil if none waits.
func (k *classes) take(probe bool) *call {
	defer k.count()
	if c := k.ahead.take(probe); c != nil {
		return c
	}
	return k.behind.take(probe)
}
