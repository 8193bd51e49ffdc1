package fair

import (
	"math"
	"time"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock/throttle"
)

// QueueStats is what waits for one upstream, without what is in the background.
type QueueStats struct {
	Waiting int           // requests
	Clients int           // that they belong to
	Bytes   int64         // of their bodies, as far as their lengths are known
	Oldest  time.Duration // how long the one has waited that came first
}

// Queue returns what waits for the upstream of that key; see [throttle.Transport.KeyOf].
func (t *Transport) Queue(key string) QueueStats {
	t.mu.Lock()
	defer t.mu.Unlock()
	q := t.mu.queues[key]
	if q == nil || q.ahead.waiting() == 0 {
		return QueueStats{}
	}
	oldest := q.ahead.arrived.Front().Value.(*call)
	return QueueStats{
		Waiting: q.ahead.waiting(),
		Clients: len(q.ahead.clients),
		Bytes:   q.ahead.bytes,
		Oldest:  time.Since(oldest.since),
	}
}

// Estimate returns for how long a request of that client would wait which came now, and was not in
// the background: 0 if it could leave at once, and -1 if that is not known, as while the server has
// answered nothing yet. While it is down, that is until it is tried next: the request may be that
// try, or wait for longer; and -1 if a try is under way.
//
// It is the turns before the request at the pace of the upstream: its rate, or its limit in flight
// and how long requests take, or what the queue was served at, if that is slower. It begins when a
// cool-down ends. What comes later has turns too, so a client with many requests waiting waits for
// longer than it was told if other clients go on to come.
func (t *Transport) Estimate(key, client string) time.Duration {
	u, ok := t.base.Lookup(key)
	if !ok {
		return 0 // nothing was sent there yet
	}
	s := u.Stats()
	t.mu.Lock()
	defer t.mu.Unlock()
	var o outlook
	if q := t.mu.queues[key]; q != nil {
		o = outlook{
			waiting: q.waiting() > 0,
			ahead:   q.ahead.before(client),
			given:   q.given,
			spacing: q.pace.mean(),
		}
	}
	return o.wait(s, time.Now())
}

// An outlook is what a request that comes now finds.
type outlook struct {
	waiting bool
	ahead   int           // turns before its own
	given   time.Time     // when the last turn was
	spacing time.Duration // of turns, as measured; 0 if it was not
}

// wait returns how long the request waits; -1 if that is not known.
func (o outlook) wait(s throttle.UpstreamStats, now time.Time) time.Duration {
	begin := max(s.Paused.Sub(now), 0)
	switch {
	case begin > 0:
	case s.Phase == throttle.PhaseDown && s.Probe.After(now):
		return s.Probe.Sub(now)
	case s.Phase == throttle.PhaseDown:
		return -1
	case s.Phase == throttle.PhaseHoldingBack:
		begin = max(s.Probe.Sub(now), 0)
	}

	// The first turn, and the spacing of those after it, by each limit.
	first, spacing := begin, o.spacing
	if s.Rate != rate.Inf {
		each := seconds(1 / float64(s.Rate))
		spacing = max(spacing, each)
		// Without a burst a token falls due so long after the last.
		if !o.given.IsZero() && (o.waiting || s.Limits.Burst <= 1) {
			first = max(first, o.given.Add(each).Sub(now))
		}
	}
	if s.InFlight >= s.Limit || o.ahead > 0 && s.Limit != math.MaxInt {
		if s.Latency == 0 && o.spacing == 0 {
			return -1
		}
		spacing = max(spacing, s.Latency/time.Duration(max(s.Limit, 1)))
		if s.InFlight >= s.Limit {
			first = max(first, spacing)
		}
	}
	total := float64(first) + float64(o.ahead)*float64(spacing)
	return time.Duration(min(total, forever))
}

// forever is a duration that can be added to others.
const forever = 1 << 62

// seconds returns a duration of at most forever.
func seconds(s float64) time.Duration {
	return time.Duration(min(s*float64(time.Second), forever))
}

// A pace measures the spacing of turns while calls wait all the time, without the time in which the
// upstream was paused or down.
type pace struct {
	last         time.Time
	held         time.Duration // by pauses and outages, up to last
	span, grants float64       // fading sums: seconds, and turns
}

// Turns come in rounds where requests that left together end together. The mean is over at least
// two rounds, but not over more than mostTurns.
const (
	leastTurns = 64
	mostTurns  = 1024
)

// add records a turn.
func (p *pace) add(now time.Time, s throttle.UpstreamStats) {
	held := s.Waited.CoolDown + s.Waited.Down
	if !p.last.IsZero() {
		keep := 1 - 1/float64(max(2*min(s.Limit, mostTurns/2), leastTurns))
		p.span = p.span*keep + (now.Sub(p.last) - (held - p.held)).Seconds()
		p.grants = p.grants*keep + 1
	}
	p.last, p.held = now, held
}

// mean returns the mean spacing, 0 if none was measured.
func (p *pace) mean() time.Duration {
	if p.grants == 0 {
		return 0
	}
	return max(seconds(p.span/p.grants), 0)
}
