package throttle

import (
	"context"
	"errors"
	"math"
	"reflect"
	"time"

	"golang.org/x/time/rate"
)

// A share is what a [line] has of limits that it shares with other processes. The line's lock
// protects it. The line has none until there is such a limit, so that others cost a look at a
// pointer.
type share struct {
	leases *leases // if nil, no slot is needed

	most      int           // how many may be in flight …
	until     time.Duration // … until this instant, and then none
	suspended time.Duration // how long the machine had been when these were set
}

// leases are the slots that a Leaser has granted.
type leases struct {
	leaser    Leaser
	ctx       context.Context // of its calls
	cancel    context.CancelFunc
	slots     slots
	suspended time.Duration // how long the machine had been when the last call began
}

// setLeaser replaces the Leaser, also for callers that wait; nil removes it. What the last one
// granted is not used.
func (l *line) setLeaser(leaser Leaser) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.shareLocked()
	if was := s.leases; was != nil {
		if leaser != nil && reflect.ValueOf(leaser).Comparable() && was.leaser == leaser {
			return
		}
		was.cancel()
		l.mu.unclaimed += was.slots.unclaimed
		l.mu.queue.ungather()
		s.leases = nil
	}
	if leaser != nil {
		ctx, cancel := context.WithCancel(context.Background())
		s.leases = &leases{leaser: leaser, ctx: ctx, cancel: cancel}
	}
	l.setShareLocked(s)
}

// stop ends the calls of the Leaser.
func (s *share) stop() {
	if s != nil && s.leases != nil {
		s.leases.cancel()
	}
}

// setCap lets at most n be in flight until the given instant, and then none. If n is negative,
// there is no such limit.
func (l *line) setCap(n int, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.shareLocked()
	end := min(l.afterLocked(time.Until(until)), never-1)
	s.most, s.until, s.suspended = n, end, l.asleep()
	if n < 0 {
		s.most, s.until = math.MaxInt, never
	}
	l.setShareLocked(s)
}

// shareLocked returns the line's share, or a new one. It requires that mu is held.
func (l *line) shareLocked() *share {
	if l.mu.share == nil {
		return &share{most: math.MaxInt, until: never}
	}
	return l.mu.share
}

// setShareLocked requires that mu is held.
func (l *line) setShareLocked(s *share) {
	l.mu.share = s
	if s.leases == nil && s.until == never {
		l.mu.share = nil
	}
	l.settleLocked()
}

// afterLocked returns the instant that is d from now, or never. It requires that mu is held.
func (l *line) afterLocked(d time.Duration) time.Duration {
	now := l.mu.now()
	return now + max(min(d, never-now), -time.Duration(1)<<60)
}

// slept reports whether the machine was suspended since it had been for so long in all. Less than a
// second is an error of measurement.
func (l *line) slept(since time.Duration) bool { return l.asleep()-since >= time.Second }

// freshLocked drops slots and a cap that are out of date, and reports whether the cap lets one in.
// Waiting reports whether callers wait. It requires that mu is held, and that there is a share.
func (l *line) freshLocked(now time.Duration, waiting bool) bool {
	s := l.mu.share
	if x := s.leases; x != nil {
		if l.slept(x.suspended) {
			x.slots.drop()
			l.mu.queue.ungather()
			if !x.slots.asking { // else what is on its way is old as well
				x.suspended = l.asleep()
			}
		}
		if l.mu.held == HoldingCoolDown {
			x.slots.excuse(now)
		} else {
			x.slots.pass(now, waiting)
		}
	}
	if s.until == never {
		return true
	}
	if l.slept(s.suspended) {
		s.until = 0
	}
	return now < s.until && l.mu.door.inFlight < s.most
}

// sharedLocked reports whether w may go as far as what is shared is concerned; if so, at is the
// instant of its last slot, which it has to take. If not, wait is how long to wait before looking
// again, or 0. It requires that mu is held, and that there is a share.
func (l *line) sharedLocked(w *waiter, now time.Duration) (at, wait time.Duration, ok bool) {
	if !l.freshLocked(now, true) {
		return 0, 0, false
	}
	x := l.mu.share.leases
	if x == nil {
		return now, 0, true
	}
	if k := min(x.slots.due(now), w.n-1-w.slots); k > 0 {
		x.slots.take(now, k, true)
		w.slots += k
	}
	again := l.askLocked(x, now, max(l.mu.queue.weight-int64(w.slots), w.many(), 1))
	first := x.slots.first()
	if first <= now {
		return first, 0, true
	}
	if wait = min(first-now, again, suspendCheck); first == never && again == never {
		wait = 0
	}
	return 0, wait, false
}

// leasedLocked is sharedLocked for a caller that finds no other waiting, and n slots. It takes
// none.
func (l *line) leasedLocked(now time.Duration, n int) bool {
	if !l.freshLocked(now, false) {
		return false
	}
	x := l.mu.share.leases
	return x == nil || x.slots.due(now) >= n
}

// takeSlotsLocked takes n slots that are due. Waiting reports whether callers wait for more. It
// requires that mu is held, and that there is a share.
func (l *line) takeSlotsLocked(now time.Duration, n int, waiting bool) {
	if x := l.mu.share.leases; x != nil {
		x.slots.take(now, n, waiting)
	}
}

// takeUnclaimedLocked takes n slots that fell due before anybody came for them. It requires that mu
// is held, and that there is a share.
func (l *line) takeUnclaimedLocked(now time.Duration, n int) {
	l.takeSlotsLocked(now, n, false)
	if l.mu.limit == rate.Inf && l.mu.share.leases != nil { // else their tokens were counted
		l.mu.unclaimed++
	}
}

// askForLocked asks for n slots, if it is time, for a caller that does not wait for them. It
// requires that mu is held.
func (l *line) askForLocked(n int) {
	s, now := l.mu.share, l.mu.now()
	if s == nil || s.leases == nil || l.pausedLocked() > 0 || !l.freshLocked(now, false) {
		return
	}
	if every := s.leases.slots.every; n > 1 && every > slotLife/time.Duration(n-1) {
		return // the first would be void before the last is due
	}
	if why, _ := l.mu.door.shut(now); why == HoldingNone {
		l.askLocked(s.leases, now, int64(n))
	}
}

// askLocked asks for slots, if it is time, while callers want so many. If not, it returns how long
// until then, or never. It requires that mu is held.
func (l *line) askLocked(x *leases, now time.Duration, wanted int64) (wait time.Duration) {
	want, wait := x.slots.ask(now, wanted)
	if want == 0 {
		return wait
	}
	x.slots.call(now, want)
	x.suspended = l.asleep()
	go l.lease(x, want)
	return never
}

// lease asks for slots once.
func (l *line) lease(x *leases, want int) {
	got, err := x.leaser.Lease(x.ctx, want)
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.mu.share; s == nil || s.leases != x {
		return
	}
	again, end := got.Again, false
	if err != nil {
		got, again = Lease{}, time.Time{}
		var e interface{ RetryAt() time.Time }
		if errors.As(err, &e) {
			again = e.RetryAt()
			end = again.IsZero()
		}
	}
	switch now := l.mu.now(); {
	case end:
		x.slots.fail(0)
		l.mu.unreserve(now)
		l.mu.queue.stop(&leaseError{err})
		l.mu.shrink()
	case !again.IsZero():
		x.slots.add(now, l.afterLocked(time.Until(got.First)), got.Every, got.N,
			l.afterLocked(time.Until(again)))
	case got.N > 0:
		x.slots.add(now, l.afterLocked(time.Until(got.First)), got.Every, got.N, 0)
	default:
		x.slots.fail(now + askAfter)
	}
	l.settleLocked()
}

// wanted returns how many requests wait. A caller that gets turns for many may have just got one,
// and not be back yet.
func (l *line) wanted() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.mu.queue.len
	if crowd := l.mu.queue.crowd; crowd != nil {
		n = max(n, int(crowd.Load()))
	}
	return n
}

// unclaimedLocked returns BucketStats.Unclaimed. It requires that mu is held.
func (l *line) unclaimedLocked() int64 {
	n := l.mu.unclaimed
	if s := l.mu.share; s != nil && s.leases != nil {
		l.freshLocked(l.mu.now(), l.mu.queue.first != nil)
		n += s.leases.slots.unclaimed
	}
	return n
}

// owesLocked reports whether slots were granted that may still be used, or are being asked for, or
// there is a cap. It requires that mu is held.
func (l *line) owesLocked() bool {
	s := l.mu.share
	if s == nil {
		return false
	}
	l.freshLocked(l.mu.now(), l.mu.queue.first != nil)
	if s.until != never {
		return true
	}
	return s.leases != nil && (s.leases.slots.asking || s.leases.slots.left() > 0)
}
