package lab

import (
	"crypto/sha256"
	"strings"
	"sync"
	"time"
)

// A ledger is what a server knows of the requests that it got. Its lock is held
// for a few map and queue operations, never while a body is read.
type ledger struct {
	epoch time.Time
	names bool // keep a record of each name

	mu struct {
		sync.Mutex
		requests, accepted, unanswered int64
		bytes                          int64
		inFlight, maxInFlight          int
		second, tenth                  peak
		byStatus                       map[int]int64
		faults                         map[string]int64
		items                          map[string]item
		keys                           map[stamp]struct{}
	}
}

// item is what is kept of a name.
type item struct {
	size  int64
	times int64
	sum   [sha256.Size]byte
}

// stamp is an idempotency key that came with a name. One set for all names is
// smaller than a set in each.
type stamp struct{ name, key string }

func (l *ledger) init(names bool) {
	l.epoch = time.Now()
	l.names = names
	l.mu.second.span = time.Second
	l.mu.tenth.span = time.Second / 10
	l.mu.byStatus = map[int]int64{}
	l.mu.faults = map[string]int64{}
	l.mu.items = map[string]item{}
	l.mu.keys = map[stamp]struct{}{}
}

// arrive counts a request that arrived at the instant at.
func (l *ledger) arrive(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := at.Sub(l.epoch)
	l.mu.requests++
	l.mu.second.add(t)
	l.mu.tenth.add(t)
	l.mu.inFlight++
	l.mu.maxInFlight = max(l.mu.maxInFlight, l.mu.inFlight)
}

// leave counts how a request ended: with a whole answer of that status, or with
// none, which is status 0.
func (l *ledger) leave(status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.inFlight--
	if status == 0 {
		l.mu.unanswered++
	} else {
		l.mu.byStatus[status]++
	}
}

// accept stores a body under a name, and the idempotency key that came with it.
func (l *ledger) accept(name, key string, size int64, sum [sha256.Size]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.accepted++
	l.mu.bytes += size
	if !l.names {
		return
	}
	it, known := l.mu.items[name]
	if !known {
		name = strings.Clone(name) // else the whole request line stays in memory
	}
	l.mu.items[name] = item{size: size, times: it.times + 1, sum: sum}
	if key != "" {
		l.mu.keys[stamp{name, key}] = struct{}{}
	}
}

// fault counts a fault that the server made on purpose.
func (l *ledger) fault(kind string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.faults[kind]++
}
