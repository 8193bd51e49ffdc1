package wire

import (
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// usualLife is for how long a server is taken to keep an idle connection where nothing is
	// known: Gunicorn's 2 s are the shortest default.
	usualLife = 2 * time.Second
	// shortestLife bounds what new connections cost however soon a server closes them: beyond three
	// requests a second one after the other they are kept.
	shortestLife = time.Second / 2
	// soonest is how soon a connection may be closed after an answer because of that answer.
	soonest = time.Second / 4

	// maxLives bounds what is remembered. What is forgotten costs a connection or two.
	maxLives = 1024
)

// lives is how long servers keep connections that nothing is sent on, by the address that is
// dialled. Of requests that may not be repeated at most one per connection is lost to find that
// out.
type lives struct {
	mu sync.Mutex
	of map[string]*life
}

type life struct {
	told time.Duration // by the last Keep-Alive header; if zero, there was none
	seen time.Duration // the shortest one; 0: the server has closed none
}

// safe returns how long a connection may have been unused when a request is sent on it that may not
// be repeated. That is five eighths of its life: the rest is for the way there and back, and for
// clocks and timers. It is one of few values, since each stands for a pool.
func (l *lives) safe(addr string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := usualLife
	if of := l.of[addr]; of != nil {
		if of.told > 0 {
			known = of.told
		}
		if of.seen > 0 {
			known = min(known, of.seen)
		}
	}
	d := shortestLife
	for 2*d <= known {
		d *= 2
	}
	return d * 5 / 8
}

// ended records that a server has closed a connection that was idle for so long.
func (l *lives) ended(addr string, idle time.Duration) {
	if idle < soonest {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if of := l.lifeLocked(addr); of.seen == 0 || idle < of.seen {
		of.seen = idle
	}
}

// told records what a server says in an answer's Keep-Alive header.
func (l *lives) told(addr string, keepAlive []string) {
	for _, value := range keepAlive {
		for part := range strings.SplitSeq(value, ",") {
			name, number, _ := strings.Cut(strings.TrimSpace(part), "=")
			if !strings.EqualFold(name, "timeout") {
				continue
			}
			seconds, err := strconv.ParseInt(strings.Trim(number, `"`), 10, 32)
			if err != nil || seconds < 0 {
				continue
			}
			l.mu.Lock()
			told := max(time.Duration(seconds)*time.Second, 1) // 0 seconds are known, too
			l.lifeLocked(addr).told = told
			l.mu.Unlock()
		}
	}
}

// lifeLocked requires that mu is held.
func (l *lives) lifeLocked(addr string) *life {
	of := l.of[addr]
	if of == nil {
		for old := range l.of {
			if len(l.of) < maxLives {
				break
			}
			delete(l.of, old)
		}
		if of = new(life); l.of == nil {
			l.of = make(map[string]*life)
		}
		l.of[addr] = of
	}
	return of
}
