package throttle

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// A waiter is one goroutine parked in a waitlist.
//
// It parks on a channel and not on a mutex or condition, so that it can leave when its context
// ends, and so that fake time moves while it waits.
type waiter struct {
	next, prev *waiter
	n          int           // tokens or permits wanted
	slots      int           // taken beforehand, of the n that it needs; see share
	fresh      bool          // its request may be sent again, and was not sent yet
	crowd      *atomic.Int64 // requests that it gets turns for, one by one; nil: one
	state      atomic.Uint32 // queued, then perhaps leading, then granted or stopped
	wake       chan struct{} // holds one signal: look at state
	at         time.Duration // when it was granted what it waited for
	err        error         // why it was stopped
}

const (
	queued  = iota
	leading // first in line: this goroutine watches the timer
	granted
	stopped // it waits in vain: read err
)

// set records the new state and wakes the waiter. A signal that was not yet read is enough: the
// waiter reads the state, not the signal.
func (w *waiter) set(state uint32) {
	w.state.Store(state)
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// park blocks until the waiter is woken, or ctx ends; it reports the latter.
func (w *waiter) park(ctx context.Context) (ended bool) {
	select {
	case <-w.wake:
		return false
	case <-ctx.Done():
		return true
	}
}

// many returns how many requests wait for the turns that the waiter gets, as far as it says so.
func (w *waiter) many() int64 {
	if w.crowd == nil {
		return 0
	}
	return w.crowd.Load()
}

// A waitlist is a FIFO of waiters. Its owner's lock protects all of it but get and put.
type waitlist struct {
	first, last *waiter
	len         int
	crowd       *atomic.Int64 // of the last waiter that had one
	weight      int64         // what all want together, of each up to mostSlots
	spare       sync.Pool     // never shared: a channel belongs to one synctest bubble
}

// get returns a fresh or reused waiter.
func (l *waitlist) get(n int) *waiter {
	w, _ := l.spare.Get().(*waiter)
	if w == nil {
		w = &waiter{wake: make(chan struct{}, 1)}
	}
	w.n, w.slots, w.fresh, w.crowd = n, 0, false, nil
	w.state.Store(queued)
	return w
}

// put takes back a waiter that is in no list and whose goroutine is done with it.
func (l *waitlist) put(w *waiter) {
	select {
	case <-w.wake: // a signal that came too late to be read
	default:
	}
	l.spare.Put(w)
}

func (l *waitlist) push(w *waiter) {
	w.prev = l.last
	if l.last == nil {
		l.first = w
	} else {
		l.last.next = w
	}
	l.last = w
	l.len++
	l.weight += int64(min(w.n, mostSlots))
	if w.crowd != nil {
		l.crowd = w.crowd
	}
}

func (l *waitlist) remove(w *waiter) {
	if w.prev == nil {
		l.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		l.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.next, w.prev = nil, nil
	l.len--
	l.weight -= int64(min(w.n, mostSlots))
}

// newest returns the last one that is fresh, or the first if none is.
func (l *waitlist) newest() *waiter {
	for w := l.last; w != nil; w = w.prev {
		if w.fresh {
			return w
		}
	}
	return l.first
}

// ungather takes from the waiters the slots that they have gathered.
func (l *waitlist) ungather() {
	for w := l.first; w != nil; w = w.next {
		w.slots = 0
	}
}

// stop empties the list and fails everyone in it with err.
func (l *waitlist) stop(err error) {
	for w := l.first; w != nil; w = l.first {
		l.remove(w)
		w.err = err
		w.set(stopped)
	}
}
