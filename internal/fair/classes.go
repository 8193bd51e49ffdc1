package fair

import "context"

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
}

func (k *classes) of(c *call) *turns {
	if c.behind {
		return &k.behind
	}
	return &k.ahead
}

func (k *classes) waiting() int { return k.ahead.waiting() + k.behind.waiting() }

func (k *classes) push(name string, c *call) { k.of(c).push(name, c) }

func (k *classes) remove(c *call) { k.of(c).remove(c) }

// take takes out the call whose turn it is, and returns nil if none waits.
func (k *classes) take(probe bool) *call {
	if c := k.ahead.take(probe); c != nil {
		return c
	}
	return k.behind.take(probe)
}
