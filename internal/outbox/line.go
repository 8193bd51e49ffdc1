package outbox

import (
	"container/heap"
	"container/list"
	"slices"
	"time"
)

// A waiter is a request that waits, as far as it is kept in memory.
type waiter struct {
	seq   int64
	since time.Time
	due   time.Time
	of    *client
}

// A line is what waits for one target, and the order in which it goes. It has no lock and no clock.
type line struct {
	inOrder bool
	clients map[string]*client
	order   list.List // of *client, those that have a turn: the first is next
	delayed delayed
}

// A client has at least one request that waits or was taken.
type client struct {
	name    string
	ready   ready
	delayed int
	taken   int
	blocks  []int64       // requests that hold up those behind them, the oldest first
	seat    *list.Element // in the order; nil if it has no turn
}

// clientOf returns the client of that name.
func (l *line) clientOf(name string) *client {
	c := l.clients[name]
	if c == nil {
		c = &client{name: name}
		if l.clients == nil {
			l.clients = make(map[string]*client)
		}
		l.clients[name] = c
	}
	return c
}

// push adds a waiter of the client of that name.
func (l *line) push(name string, w waiter) {
	w.of = l.clientOf(name)
	if w.due.IsZero() {
		heap.Push(&w.of.ready, w)
	} else {
		heap.Push(&l.delayed, w)
		w.of.delayed++
	}
	l.seat(w.of)
}

// ripen has those wait no longer that are due.
func (l *line) ripen(now time.Time) {
	for len(l.delayed) > 0 && !l.delayed[0].due.After(now) {
		w := heap.Pop(&l.delayed).(waiter)
		w.of.delayed--
		heap.Push(&w.of.ready, w)
		l.seat(w.of)
	}
}

// take takes out the waiter whose turn it is. It reports false if none is due.
func (l *line) take(now time.Time) (waiter, bool) {
	l.ripen(now)
	first := l.order.Front()
	if first == nil {
		return waiter{}, false
	}
	c := first.Value.(*client)
	w := heap.Pop(&c.ready).(waiter)
	c.taken++
	l.order.MoveToBack(first)
	l.seat(c)
	return w, true
}

// done says that a waiter which was taken is so no more.
func (l *line) done(w waiter) {
	w.of.taken--
	l.seat(w.of)
}

// remove takes out a waiter that was not taken, of the client of that name.
func (l *line) remove(name string, seq int64) {
	of := l.clients[name]
	is := func(w waiter) bool { return w.seq == seq }
	if i := slices.IndexFunc(of.ready, is); i >= 0 {
		heap.Remove(&of.ready, i)
	} else {
		heap.Remove(&l.delayed, slices.IndexFunc(l.delayed, is))
		of.delayed--
	}
	l.seat(of)
}

// block has a request hold up those of its client that are behind it, if they go in order.
func (l *line) block(name string, seq int64) {
	if l.inOrder {
		c := l.clientOf(name)
		i, _ := slices.BinarySearch(c.blocks, seq)
		c.blocks = slices.Insert(c.blocks, i, seq)
		l.seat(c)
	}
}

// unblock undoes block.
func (l *line) unblock(name string, seq int64) {
	if l.inOrder {
		c := l.clientOf(name)
		if i, ok := slices.BinarySearch(c.blocks, seq); ok {
			c.blocks = slices.Delete(c.blocks, i, i+1)
		}
		l.seat(c)
	}
}

// waits reports whether a client's first request has to wait for others of the client.
func (l *line) waits(c *client) bool {
	return l.inOrder && (c.taken+c.delayed > 0 ||
		len(c.blocks) > 0 && c.blocks[0] < c.ready[0].seq)
}

// seat gives a client a turn, or takes it away. A client that has nothing is forgotten.
func (l *line) seat(c *client) {
	turn := len(c.ready) > 0 && !l.waits(c)
	switch {
	case turn && c.seat == nil:
		c.seat = l.order.PushBack(c)
	case !turn && c.seat != nil:
		l.order.Remove(c.seat)
		c.seat = nil
	}
	if len(c.ready)+c.delayed+c.taken+len(c.blocks) == 0 {
		delete(l.clients, c.name)
	}
}

// oldest returns since when the oldest waits; zero if none does.
func (l *line) oldest() (since time.Time) {
	for _, c := range l.clients {
		if len(c.ready) > 0 {
			since = earlier(since, c.ready[0].since)
		}
	}
	for _, w := range l.delayed {
		since = earlier(since, w.since)
	}
	return since
}

// earlier returns the earlier one of two times that are not zero, or the one that is not.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// ready is a heap of waiters: the oldest goes first.
type ready []waiter

func (h ready) Len() int           { return len(h) }
func (h ready) Less(i, j int) bool { return h[i].seq < h[j].seq }
func (h ready) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push is for the package heap.
func (h *ready) Push(x any) { *h = append(*h, x.(waiter)) }

// Pop is for the package heap.
func (h *ready) Pop() any { return pop((*[]waiter)(h)) }

// delayed is a heap of waiters: the one that is due first goes first.
type delayed []waiter

func (h delayed) Len() int           { return len(h) }
func (h delayed) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h delayed) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push is for the package heap.
func (h *delayed) Push(x any) { *h = append(*h, x.(waiter)) }

// Pop is for the package heap.
func (h *delayed) Pop() any { return pop((*[]waiter)(h)) }

func pop(h *[]waiter) waiter {
	last := len(*h) - 1
	w := (*h)[last]
	(*h)[last] = waiter{}
	*h = (*h)[:last]
	return w
}
