package fair

import (
	"cmp"
	"slices"
	"time"
)

// A Waiter is a client with requests that wait.
type Waiter struct {
	Client  string
	Waiting int
	Oldest  time.Duration // how long the one has waited that is next
}

// compare is negative if a comes before b: more wait, or have waited for longer.
func (a Waiter) compare(b Waiter) int {
	switch {
	case a.Waiting != b.Waiting:
		return b.Waiting - a.Waiting
	case a.Oldest != b.Oldest:
		return cmp.Compare(b.Oldest, a.Oldest)
	}
	return cmp.Compare(a.Client, b.Client)
}

// Waiters returns the clients that have most requests waiting for the upstream of that key, without
// what is in the background; at most so many.
func (t *Transport) Waiters(key string, most int) (first []Waiter) {
	t.mu.Lock()
	defer t.mu.Unlock()
	q := t.mu.queues[key]
	if q == nil {
		return nil
	}
	now := time.Now()
	for name, c := range q.ahead.clients {
		w := Waiter{name, len(c.calls), now.Sub(c.calls[0].since)}
		if len(first) >= most && (most == 0 || w.compare(first[most-1]) > 0) {
			continue // as for nearly all of many
		}
		i, _ := slices.BinarySearchFunc(first, w, Waiter.compare)
		first = slices.Insert(first[:min(len(first), most-1)], i, w)
	}
	return first
}
