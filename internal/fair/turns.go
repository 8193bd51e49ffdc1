package fair

import (
	"container/heap"
	"container/list"
	"time"

	"github.com/penstock/penstock/throttle"
)

// A call is a request that waits.
type call struct {
	place uint64 // of its first arrival: the least goes first
	fresh bool   // it may be sent again, and was not sent yet
	size  int64  // of the body, as declared
	since time.Time
	turn  chan turn // holds one: never blocks who has it
	wake  func()    // called with that; may be nil

	behind bool // in the background

	client *client // nil: it does not wait
	index  int     // in the client's calls
	seat   *list.Element
}

// waits reports whether the call is in a queue. It requires the queue's lock.
func (c *call) waits() bool { return c.client != nil }

// A turn is what a call that has waited gets: a permit or an error.
type turn struct {
	permit *throttle.Permit
	waited throttle.Waited // the upstream's account, by then
	probe  bool            // the upstream is down
	err    error
}

// turns are the calls of a class that wait for one upstream, and the order in which they go. It has
// no lock, no clock and no goroutine.
type turns struct {
	clients map[string]*client
	order   list.List // of *client: the first is next
	arrived list.List // of *call: the first came first
	bytes   int64
}

// A client has at least one call that waits.
type client struct {
	name  string
	calls calls
	seat  *list.Element // in the order
	had   bool          // a turn, since it has calls that wait
}

func (t *turns) waiting() int { return t.arrived.Len() }

// push adds a call. A client that had none goes last.
func (t *turns) push(name string, c *call) {
	of := t.clients[name]
	if of == nil {
		of = &client{name: name}
		if t.clients == nil {
			t.clients = make(map[string]*client)
		}
		t.clients[name] = of
		of.seat = t.order.PushBack(of)
	}
	c.client = of
	heap.Push(&of.calls, c)
	c.seat = t.arrived.PushBack(c)
	t.bytes += c.size
}

// remove takes out a call that waits.
func (t *turns) remove(c *call) {
	of := c.client
	c.client = nil
	heap.Remove(&of.calls, c.index)
	t.arrived.Remove(c.seat)
	t.bytes -= c.size
	if len(of.calls) == 0 {
		t.order.Remove(of.seat)
		delete(t.clients, of.name)
		if len(t.clients) == 0 {
			t.clients = nil // a map keeps the room of all that it has had
		}
	}
}

// take takes out the call whose turn it is, and returns nil if none waits. Its client then goes
// last.
//
// A probe, which is the only request to a server that refuses all, is not one that it has refused
// already, if possible, but the newest that is fresh: what is first in line may be all that the
// server refuses, and would be the probe again and again. A client that has had no turn goes before
// those whose many requests may be what it refuses.
func (t *turns) take(probe bool) *call {
	c := t.first(probe)
	if c != nil {
		c.client.had = true
		t.order.MoveToBack(c.client.seat)
		t.remove(c)
	}
	return c
}

func (t *turns) first(probe bool) *call {
	var fresh *call
	for e := t.order.Front(); probe && e != nil; e = e.Next() {
		of := e.Value.(*client)
		if fresh != nil && of.had {
			continue
		}
		if c := of.calls.newest(); c != nil {
			if fresh = c; !of.had {
				return c
			}
		}
	}
	if fresh != nil {
		return fresh
	}
	if e := t.order.Front(); e != nil {
		return e.Value.(*client).calls[0]
	}
	return nil
}

// before returns how many calls of those that wait go before one that came now.
func (t *turns) before(name string) int {
	of := t.clients[name]
	if of == nil {
		return len(t.clients) // each has its turn
	}
	n := len(of.calls)
	turns := n + 1 // of each client before it in the order; those behind it have one less
	for e := t.order.Front(); e != nil; e = e.Next() {
		if other := e.Value.(*client); other == of {
			turns--
		} else {
			n += min(len(other.calls), turns)
		}
	}
	return n
}

// calls is a heap: the first to go is the first in it.
type calls []*call

func (h calls) Len() int           { return len(h) }
func (h calls) Less(i, j int) bool { return h[i].place < h[j].place }
func (h calls) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push is for the package heap.
func (h *calls) Push(x any) {
	c := x.(*call)
	c.index = len(*h)
	*h = append(*h, c)
}

// Pop is for the package heap.
func (h *calls) Pop() any {
	last := len(*h) - 1
	c := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return c
}

// newest returns the fresh call that came last, or nil if none is fresh.
func (h calls) newest() (newest *call) {
	for _, c := range h {
		if c.fresh && (newest == nil || c.place > newest.place) {
			newest = c
		}
	}
	return newest
}
