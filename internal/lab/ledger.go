package lab

import (
	"crypto/sha256"
	"strings"
	"sync"
	"time"
)

// A ledger is what a server knows of the requests that it got. Its lock is held for a few map and
// queue operations, never while a body is read.
type ledger struct {
	epoch time.Time
	names bool // keep a record of each name

	mu struct {
		sync.Mutex
		stats         Stats // but for what ledger.stats works out
		told          int64 // accepted, with a whole 2xx answer that said so
		inFlight      int
		second, tenth peak
		items         map[string]item
		// how often each was accepted, of the names that got several
		contents map[content]int64
		keys     map[stamp][sha256.Size]byte
		working  map[stamp]struct{} // keys of requests that are worked on
	}
}

// item is what is kept of a name.
type item struct {
	size    int64
	times   int64
	sum     [sha256.Size]byte
	several bool // different contents, which are in the ledger's
}

// content is what a name got.
type content struct {
	name string
	sum  [sha256.Size]byte
}

func (l *ledger) init(preset string, names bool) {
	l.epoch = time.Now()
	l.names = names
	l.mu.second.span = time.Second
	l.mu.tenth.span = time.Second / 10
	l.mu.stats = Stats{Preset: preset, ByStatus: map[int]int64{}, Faults: map[string]int64{}}
	l.mu.items = map[string]item{}
	l.mu.contents = map[content]int64{}
	l.mu.keys = map[stamp][sha256.Size]byte{}
	l.mu.working = map[stamp]struct{}{}
}

// arrive counts a request that arrived at the instant at.
func (l *ledger) arrive(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := at.Sub(l.epoch)
	l.mu.stats.Requests++
	l.mu.second.add(t)
	l.mu.tenth.add(t)
	l.mu.inFlight++
	l.mu.stats.MaxInFlight = max(l.mu.stats.MaxInFlight, l.mu.inFlight)
}

// leave counts how a request ended: with a whole answer of that status, or with none, which is
// status 0; and whether its body was stored.
func (l *ledger) leave(status int, stored bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.inFlight--
	if status == 0 {
		l.mu.stats.Unanswered++
	} else {
		l.mu.stats.ByStatus[status]++
	}
	if stored && status/100 == 2 {
		l.mu.told++
	}
}

// accept stores a body under a name, and the idempotency key that came with it. With onlyNew it
// returns false, and stores nothing, where the name is stored.
func (l *ledger) accept(s stamp, onlyNew bool, size int64, sum [sha256.Size]byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	it, known := l.mu.items[s.name]
	if known && onlyNew {
		return false
	}
	l.mu.stats.Accepted++
	l.mu.stats.Bytes += size
	if !l.names {
		return true
	}
	// Cloned, else the whole request stays in memory.
	s = stamp{strings.Clone(s.name), strings.Clone(s.key)}
	if known && it.sum != sum && !it.several {
		it.several = true
		l.mu.contents[content{s.name, it.sum}] = it.times
	}
	if it.several {
		l.mu.contents[content{s.name, sum}]++
	}
	l.mu.items[s.name] = item{size: size, times: it.times + 1, sum: sum, several: it.several}
	if s.key != "" {
		if before, known := l.mu.keys[s]; known && before != sum {
			l.mu.stats.Reused++
		}
		l.mu.keys[s] = sum
	}
	return true
}

// item returns what is stored under a name.
func (l *ledger) item(name string) (it item, stored bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	it, stored = l.mu.items[name]
	return it, stored
}

// fault counts a fault that the server made on purpose.
func (l *ledger) fault(kind string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.stats.Faults[kind]++
}

// count adds one to a number of the ledger's stats.
func (l *ledger) count(n *int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	*n++
}

// A peak finds the largest number of arrivals in any half-open span [t, t+span). A span with that
// number ends with an arrival, so it is enough to look then.
type peak struct {
	span   time.Duration
	recent []time.Duration // arrivals since the server's epoch that lie in one span
	last   time.Duration
	max    int
}

func (p *peak) add(t time.Duration) {
	// Two handlers may come here in another order than they took the time, a few microseconds
	// apart.
	p.last = max(p.last, t)
	for len(p.recent) > 0 && p.last-p.recent[0] >= p.span {
		p.recent = p.recent[1:]
	}
	p.recent = append(p.recent, p.last)
	p.max = max(p.max, len(p.recent))
}
