package lab

import "time"

// ring is a queue of instants that grows to what it holds at most, and no more.
// Instants are durations since the server's epoch.
type ring struct {
	buf  []time.Duration
	head int
	len  int
}

func (r *ring) push(t time.Duration) {
	if r.len == len(r.buf) {
		grown := make([]time.Duration, max(16, 2*r.len))
		n := copy(grown, r.buf[r.head:])
		copy(grown[n:], r.buf[:r.head])
		r.buf, r.head = grown, 0
	}
	r.buf[(r.head+r.len)%len(r.buf)] = t
	r.len++
}

// front is the oldest instant of a ring that is not empty.
func (r *ring) front() time.Duration { return r.buf[r.head] }

func (r *ring) pop() {
	r.head = (r.head + 1) % len(r.buf)
	r.len--
}

// forget drops what is span old or older at t, which leaves what lies in the
// same half-open span as t.
func (r *ring) forget(t, span time.Duration) {
	for r.len > 0 && t-r.front() >= span {
		r.pop()
	}
}

// A peak finds the largest number of arrivals in any half-open span [t, t+span).
// A span with that number ends with an arrival, so it is enough to look then.
type peak struct {
	span   time.Duration
	recent ring
	last   time.Duration
	max    int
}

func (p *peak) add(t time.Duration) {
	// Two handlers may come here in another order than they took the time, a few
	// microseconds apart.
	p.last = max(p.last, t)
	p.recent.forget(p.last, p.span)
	p.recent.push(p.last)
	p.max = max(p.max, p.recent.len)
}
