package throttle

import (
	"context"
	"math"
	"runtime"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock/internal/adaptive"
	"github.com/penstock/penstock/internal/standing"
	"github.com/penstock/penstock/internal/suspend"
)

// A line is where callers wait for their turn, in the order in which they came: for a pause to end,
// for the door and for tokens. A [Bucket] is a line whose door is always open; that of an
// [Upstream] counts the requests in flight. It has no goroutine: the first waiter watches the
// timer.
type line struct {
	timer *time.Timer

	// Set before use.
	maxPause time.Duration // the longest pause that is waited for; if zero, any
	waits    *waits        // records what the first waiter waits for; may be nil
	// called, without mu, when steer's orders may have changed by themselves; if nil, they do not
	changed func()

	// Set by tests, before use: time.Now and suspend.Total.
	clock  func() time.Time
	asleep func() time.Duration

	mu struct {
		sync.Mutex
		supply
		door  door
		queue waitlist
		held  Holding       // what the first waiter waits for
		given time.Duration // when tokens were given out last
		pause pause
		err   error  // stopped
		share *share // if nil, nothing is shared with other processes
	}
}

func newLine(r rate.Limit, burst int) *line {
	l := &line{timer: time.NewTimer(time.Hour), clock: time.Now, asleep: suspend.Total}
	l.timer.Stop()
	l.mu.door.room, l.mu.door.until = math.MaxInt, never
	l.mu.supply = newSupply(r, burst)
	return l
}

// waitN returns the instant at which n tokens were given out, which on a machine that is busy may
// be well before the caller runs. See [Bucket.WaitN].
func (l *line) waitN(ctx context.Context, n int) (time.Duration, error) {
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	now := l.mu.now()
	if n < 1 {
		return now, nil
	}
	l.mu.Lock()
	if l.mu.err == nil && l.mu.queue.first == nil && l.takeLocked(now, n) {
		now = l.mu.given
		l.mu.Unlock()
		return now, nil
	}
	if err := l.refusalLocked(); err != nil {
		l.mu.Unlock()
		return 0, err
	}
	w := l.mu.queue.get(n)
	w.fresh, w.crowd = standing.Of(ctx) == standing.Fresh, standing.Crowd(ctx)
	l.mu.queue.push(w)
	if l.mu.queue.first == w {
		w.state.Store(leading)
		l.settleLocked()
	} else if l.mu.door.probe != 0 && l.mu.reserved != 0 {
		l.settleLocked() // it may be the probe, instead of the one that tokens are reserved for
	}
	l.mu.Unlock()
	return l.wait(ctx, w)
}

// takeN is waitN for callers that do not wait.
func (l *line) takeN(n int) (given time.Duration, ok bool) {
	now := l.mu.now()
	if n < 1 {
		return now, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.err != nil || l.mu.queue.first != nil || n > l.mu.burst && l.mu.limit != rate.Inf {
		return 0, false
	}
	if !l.takeLocked(now, n) {
		l.mu.unreserve(l.mu.now())
		l.askForLocked(n)
		return 0, false
	}
	return l.mu.given, true
}

// takeLocked takes n tokens if they are there. If they are not, it may leave a reservation. It
// requires that mu is held and no caller waits. The instant now was read before mu was taken, which
// keeps the clock out of the section that all callers share.
func (l *line) takeLocked(now time.Duration, n int) bool {
	if !l.mu.pause.until.IsZero() && l.pausedLocked() > 0 {
		return false
	}
	if why, _ := l.mu.door.shut(now); why != HoldingNone {
		return false
	}
	if l.mu.share != nil {
		if now = l.mu.now(); !l.leasedLocked(now, n) {
			return false
		}
	}
	given, ok := l.mu.take(now, n)
	if ok {
		if l.mu.share != nil {
			l.takeUnclaimedLocked(now, n)
		}
		l.mu.granted += int64(n)
		l.mu.given = given
		l.mu.door.enter()
	}
	return ok
}

// setRate sets the rate, also for callers that wait.
func (l *line) setRate(r rate.Limit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.setRateLocked(r) {
		l.settleLocked()
	}
}

// setRateLocked reports whether the rate is another one now. It requires that mu is held.
func (l *line) setRateLocked(r rate.Limit) bool {
	if r = validRate(r); r == l.mu.limit {
		return false
	}
	l.pausedLocked() // one that is over ended under the old rate
	l.mu.setRate(r)
	return true
}

// setBurst sets the burst, below 1 as 1.
func (l *line) setBurst(burst int) {
	burst = max(burst, 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if burst == l.mu.burst {
		return
	}
	l.pausedLocked() // one that is over ended under the old burst
	wanted := 0
	if w := l.mu.queue.first; w != nil {
		wanted = w.n
	}
	l.mu.setBurst(burst, wanted)
	l.settleLocked()
}

// rate returns the rate in force.
func (l *line) rate() rate.Limit {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.limit
}

// stats returns a snapshot.
func (l *line) stats() BucketStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return BucketStats{
		Rate:      l.mu.limit,
		Burst:     l.mu.burst,
		Waiting:   l.mu.queue.len,
		Paused:    l.untilLocked(),
		Granted:   l.mu.granted,
		Unclaimed: l.unclaimedLocked(),
	}
}

// stop fails all waiting and later calls with err.
func (l *line) stop(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.err == nil {
		l.mu.err = err
		l.mu.share.stop()
		l.mu.queue.stop(err)
		l.holdLocked(HoldingNone)
	}
}

// steer sets the rate, how many may be in flight and, where it is not free, what else holds the
// door: see door. All at once: in between, waiters would go.
func (l *line) steer(o adaptive.Orders) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.setRateLocked(rate.Limit(o.Rate))
	d := &l.mu.door
	d.room, d.most, d.probe, d.until = o.Room, o.Most, 0, never
	if o.Held {
		d.probe = never
		if !o.Probe.IsZero() {
			d.probe = max(l.mu.now()+time.Until(o.Probe), 1)
		}
	}
	if !o.Until.IsZero() {
		d.until = l.mu.now() + time.Until(o.Until)
	}
	l.settleLocked()
}

// land counts a request out that was let in.
func (l *line) land() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.door.inFlight--
	if l.mu.queue.first != nil {
		l.settleLocked()
	}
}

// full reports whether the line is as good as new: no caller waits, no pause is in force, and all
// tokens are there.
func (l *line) full() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.queue.first == nil && l.pausedLocked() == 0 && l.mu.supply.full() &&
		!l.owesLocked()
}

// settleLocked serves all waiters whose tokens are due and sets the timer for the one that is then
// first, which watches it. It requires that mu is held.
func (l *line) settleLocked() {
	for first := l.mu.queue.first; first != nil; first = l.mu.queue.first {
		w := first
		if l.mu.door.probe != 0 {
			// Those that come back would go round and round, and the first of the others may be all
			// that the server refuses, as when what comes first in a list is bad.
			w = l.mu.queue.newest()
		}
		why, wait := l.dueLocked(w)
		if why != HoldingNone {
			l.holdLocked(why)
			l.watchLocked(first, wait)
			return
		}
		l.mu.granted += int64(w.n)
		l.mu.door.enter()
		l.mu.queue.remove(w)
		w.at = l.mu.given
		w.set(granted)
	}
	l.holdLocked(HoldingNone)
}

// holdLocked notes what the first waiter waits for. It requires that mu is held.
func (l *line) holdLocked(why Holding) {
	if l.waits != nil && l.mu.held != why {
		l.waits.hold(why)
	}
	l.mu.held = why
}

// dueLocked takes the tokens of w, the next to go, if they are due. If not, it returns why and how
// long to wait before looking again; 0 means until something changes. It requires that mu is held.
func (l *line) dueLocked(w *waiter) (why Holding, wait time.Duration) {
	left := l.pausedLocked()
	now := l.mu.now()
	why, wait = l.mu.door.shut(now)
	// a waiter that could not go without the pause does not wait for it
	if left > 0 && why != HoldingConcurrency {
		return HoldingCoolDown, min(left, suspendCheck)
	}
	if why != HoldingNone {
		l.mu.unreserve(now) // no token is to grow old at the door
		return why, wait
	}
	slot := now
	if l.mu.share != nil {
		var ok bool
		if slot, wait, ok = l.sharedLocked(w, now); !ok {
			l.mu.unreserve(now)
			return HoldingQuota, wait
		}
	}
	switch l.mu.held { // nor is what was due meanwhile made up for
	case HoldingConcurrency, HoldingDown:
		l.mu.skip(now)
	case HoldingQuota:
		l.mu.skip(slot)
	}
	switch wait = l.mu.await(now, w.n); wait {
	case 0:
		if l.mu.share != nil {
			l.takeSlotsLocked(now, 1, l.mu.queue.len > 1)
		}
		l.mu.given = now
		return HoldingNone, 0
	case never:
		wait = 0
	}
	return HoldingRate, wait
}

// watchLocked makes w, the first in line, look again after the given wait. It requires that mu is
// held.
func (l *line) watchLocked(w *waiter, wait time.Duration) {
	if until := l.mu.door.until; until != never {
		if change := max(until-l.mu.now(), 1); wait == 0 || change < wait {
			wait = change
		}
	}
	if wait == 0 {
		l.timer.Stop()
	} else {
		l.timer.Reset(wait)
	}
	if w.state.Load() == queued {
		w.set(leading)
	}
}

// wait parks the calling goroutine until w is served, stopped, or ctx ends. It returns when w was
// served.
func (l *line) wait(ctx context.Context, w *waiter) (time.Duration, error) {
	for {
		var ended bool
		if w.state.Load() == leading {
			ended = l.lead(ctx, w)
		} else {
			ended = w.park(ctx)
		}
		if ended && l.leave(w) {
			// The canceller of a context holds its lock until all waiters are woken; of very many,
			// most would park once more to ask for the cause.
			runtime.Gosched()
			l.mu.queue.put(w)
			return 0, context.Cause(ctx)
		}
		switch w.state.Load() {
		case granted:
			at := w.at
			l.mu.queue.put(w)
			return at, nil
		case stopped:
			err := w.err
			l.mu.queue.put(w)
			return 0, err
		}
	}
}

// lead parks the first waiter, which watches the timer.
func (l *line) lead(ctx context.Context, w *waiter) (ended bool) {
	select {
	case <-w.wake:
		return false
	case <-ctx.Done():
		return true
	case <-l.timer.C:
		if l.changed != nil {
			l.changed() // steers, if it is time
		}
		l.mu.Lock()
		l.settleLocked()
		l.mu.Unlock()
		return false
	}
}

// leave takes w out of the queue, unless it was served or stopped before.
func (l *line) leave(w *waiter) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := w.state.Load(); s == granted || s == stopped {
		return false
	}
	first := l.mu.queue.first == w
	l.mu.queue.remove(w)
	// it may have been the one for whom it was reserved
	if first || l.mu.door.probe != 0 && l.mu.reserved != 0 {
		l.mu.unreserve(l.mu.now())
		l.mu.shrink()
		l.settleLocked()
	}
	return true
}
