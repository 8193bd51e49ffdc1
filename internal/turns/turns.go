// Package turns has the order in which requests of several clients go to one target: of each client
// the oldest that is due, and the clients by turns.
package turns

import (
	"container/heap"
	"container/list"
	"slices"
	"time"
)

// A Waiter is a request that waits.
type Waiter struct {
	Seq   int64     // the older of two has the less
	Since time.Time // it waits
	Due   time.Time // not before then; if zero, at once
	of    *client
}

// Client returns the name of the client that the request was pushed for.
func (w Waiter) Client() string { return w.of.name }

// A Line is what waits for one target. It has no lock and no clock. The zero value is ready.
type Line struct {
	InOrder bool // a client's next request waits until the one before is done, and not blocked

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
func (l *Line) clientOf(name string) *client {
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

// Push adds a waiter of the client of that name.
func (l *Line) Push(name string, w Waiter) {
	w.of = l.clientOf(name)
	if w.Due.IsZero() {
		heap.Push(&w.of.ready, w)
	} else {
		heap.Push(&l.delayed, w)
		w.of.delayed++
	}
	l.seat(w.of)
}

// Due returns when the first of those that wait for their time is due; zero if there is none.
func (l *Line) Due() time.Time {
	if len(l.delayed) == 0 {
		return time.Time{}
	}
	return l.delayed[0].Due
}

// Len returns how many wait or were taken.
func (l *Line) Len() int {
	n := len(l.delayed)
	for _, c := range l.clients {
		n += len(c.ready) + c.taken
	}
	return n
}

// BlockedBy returns the first request that holds up one of the client of that name; 0 if there is
// none.
func (l *Line) BlockedBy(name string, seq int64) int64 {
	if c := l.clients[name]; c != nil && len(c.blocks) > 0 && c.blocks[0] < seq {
		return c.blocks[0]
	}
	return 0
}

// ripen has those wait no longer that are due.
func (l *Line) ripen(now time.Time) {
	for len(l.delayed) > 0 && !l.delayed[0].Due.After(now) {
		w := heap.Pop(&l.delayed).(Waiter)
		w.of.delayed--
		heap.Push(&w.of.ready, w)
		l.seat(w.of)
	}
}

// Take takes out the waiter whose turn it is. It reports false if none is due.
func (l *Line) Take(now time.Time) (Waiter, bool) {
	l.ripen(now)
	first := l.order.Front()
	if first == nil {
		return Waiter{}, false
	}
	c := first.Value.(*client)
	w := heap.Pop(&c.ready).(Waiter)
	c.taken++
	l.order.MoveToBack(first)
	l.seat(c)
	return w, true
}

// Done says that a waiter which was taken is so no more.
func (l *Line) Done(w Waiter) {
	w.of.taken--
	l.seat(w.of)
}

// Remove takes out a waiter that was not taken, of the client of that name.
func (l *Line) Remove(name string, seq int64) {
	of := l.clients[name]
	is := func(w Waiter) bool { return w.Seq == seq }
	if i := slices.IndexFunc(of.ready, is); i >= 0 {
		heap.Remove(&of.ready, i)
	} else {
		heap.Remove(&l.delayed, slices.IndexFunc(l.delayed, is))
		of.delayed--
	}
	l.seat(of)
}

// Block has a request hold up those of its client that are behind it, if they go in order.
func (l *Line) Block(name string, seq int64) {
	if l.InOrder {
		c := l.clientOf(name)
		i, _ := slices.BinarySearch(c.blocks, seq)
		c.blocks = slices.Insert(c.blocks, i, seq)
		l.seat(c)
	}
}

// Unblock undoes Block.
func (l *Line) Unblock(name string, seq int64) {
	if l.InOrder {
		c := l.clientOf(name)
		if i, ok := slices.BinarySearch(c.blocks, seq); ok {
			c.blocks = slices.Delete(c.blocks, i, i+1)
		}
		l.seat(c)
	}
}

// waits reports whether a client's first request has to wait for others of the client.
func (l *Line) waits(c *client) bool {
	return l.InOrder && (c.taken+c.delayed > 0 ||
		len(c.blocks) > 0 && c.blocks[0] < c.ready[0].Seq)
}

// seat gives a client a turn, or takes it away. A client that has nothing is forgotten.
func (l *Line) seat(c *client) {
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

// Oldest returns since when the oldest waits; zero if none does.
func (l *Line) Oldest() (since time.Time) {
	for _, c := range l.clients {
		if len(c.ready) > 0 {
			since = Earlier(since, c.ready[0].Since)
		}
	}
	for _, w := range l.delayed {
		since = Earlier(since, w.Since)
	}
	return since
}

// Earlier returns the earlier one of two times that are not zero, or the one that is not.
func Earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// ready is a heap of waiters: the oldest goes first.
type ready []Waiter

func (h ready) Len() int           { return len(h) }
func (h ready) Less(i, j int) bool { return h[i].Seq < h[j].Seq }
func (h ready) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push is for the package heap.
func (h *ready) Push(x any) { *h = append(*h, x.(Waiter)) }

// Pop is for the package heap.
func (h *ready) Pop() any { return pop((*[]Waiter)(h)) }

// delayed is a heap of waiters: the one that is due first goes first.
type delayed []Waiter

func (h delayed) Len() int           { return len(h) }
func (h delayed) Less(i, j int) bool { return h[i].Due.Before(h[j].Due) }
func (h delayed) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push is for the package heap.
func (h *delayed) Push(x any) { *h = append(*h, x.(Waiter)) }

// Pop is for the package heap.
func (h *delayed) Pop() any { return pop((*[]Waiter)(h)) }

func pop(h *[]Waiter) Waiter {
	last := len(*h) - 1
	w := (*h)[last]
	(*h)[last] = Waiter{}
	*h = (*h)[:last]
	return w
}
