package throttle

import (
	"context"
	"math"
	"runtime"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock/internal/standing"
	"github.com/penstock/penstock/internal/suspend"
)

const (
	// defaultCatchUp keeps any second within 1 % of the rate, and the lead over a
	// server that tolerates 10 ms of jitter below what it tolerates.
	defaultCatchUp = 0.005

	// suspendCheck is how often a paused bucket looks whether the machine was
	// suspended: timers do not advance meanwhile, but a pause does.
	suspendCheck = 10 * time.Second
)

// A Bucket is a smoothed token bucket for many waiters: tokens fall due evenly
// spaced, 1/rate apart, and the caller that has waited longest takes the next.
//
// Most callers want [Bucket.Wait], once before each request.
//
// The guarantee: in any half-open interval of t seconds the bucket gives out at
// most rate·(t + c) + burst tokens, where c, the catch-up of [Bucket.SetCatchUp],
// is 0.005 s unless it is set; where a caller asks for more than the burst, what
// it asks for stands for the burst. While callers wait, each token falls due at the
// instant at which the one before it was due plus 1/rate, whenever that one was
// really taken, so a late timer costs no rate. At most c seconds of lateness are
// made up that way; what a process loses beyond that, because it was stopped,
// starved or asleep, is forgiven and does not leave as a burst afterwards.
//
// Unlike a reservation of [rate.Limiter], the turn of a waiting caller is not fixed:
// a new rate, a pause and its end act at once, a caller whose context ends leaves no
// debt, and a caller may ask for more tokens than the burst.
//
// A Bucket starts no goroutine and needs no Close. It is safe for concurrent
// use. Use [NewBucket]; it must not be copied.
type Bucket struct {
	base  time.Time   // origin of all instants below, on the monotonic clock
	timer *time.Timer // watched by the first waiter

	// For an Upstream. Set before use.
	maxWait time.Duration // the longest pause that is sat out; if zero, any
	waits   *waits        // records what the first waiter waits for; may be nil
	// called, without mu, when steer's orders may have changed by themselves; if nil, they do not
	changed func()

	// Set by tests, before use: time.Now and suspend.Total.
	clock  func() time.Time
	asleep func() time.Duration

	mu struct {
		sync.Mutex

		door door
		held hold // what the first waiter waits for

		limit   rate.Limit // as set: lim never holds rate.Inf
		burst   int
		catchUp time.Duration

		// lim does the arithmetic of tokens, at instants that the bucket names
		// and that never go back. floor is the latest of them.
		lim   *rate.Limiter
		size  int // its burst: ours, or more for a heavy first waiter
		floor time.Duration
		late  time.Duration // of the last waiter's timer, at most catchUp
		given time.Duration // when tokens were given out last

		queue waitlist

		// The first waiter's reservation is the only one outstanding, so that it
		// can be taken back and made anew.
		reserved    int // tokens; if zero, no reservation
		reservation rate.Reservation
		due         time.Duration

		// A pause has a length, not an end on the wall clock, which may be set meanwhile.
		until     time.Time     // when it ends, for people; if zero, not paused
		end       time.Duration // when it ends, if the machine is not suspended
		suspended time.Duration // how long the machine had been when it began
		source    string        // who asked for the latest pause
		own       bool          // nobody did

		err error // stopped

		granted, unclaimed int64
	}
}

// BucketStats is a snapshot of a [Bucket]. Its JSON is its own: a struct that is to have other
// fields in JSON must have it as a named field, not embed it.
type BucketStats struct {
	Rate    rate.Limit // tokens a second; [rate.Inf], which JSON leaves out: no limit
	Burst   int        // tokens that an idle bucket gathers
	Waiting int        // callers that wait now
	Paused  time.Time  `json:",omitzero"` // when the pause in force ends; if zero, not paused

	Granted int64 // tokens given out

	// Unclaimed counts the grants whose token had fallen due before anybody
	// came for it. While it grows, more callers would make use of more of the
	// rate. An unlimited bucket does not count.
	Unclaimed int64
}

// NewBucket returns a full bucket that gives out r tokens a second and at most
// burst of them at once. A burst below 1 is taken as 1, which spaces tokens
// evenly from the first one on.
//
// A rate of 0 stops: all callers wait until the rate is raised. [rate.Inf] is no limit. A rate that
// is negative or not a number is taken as 0.
func NewBucket(r rate.Limit, burst int) *Bucket {
	b := &Bucket{base: time.Now(), timer: time.NewTimer(time.Hour), clock: time.Now, asleep: suspend.Total}
	b.timer.Stop()
	b.mu.door.room, b.mu.door.until = math.MaxInt, never
	b.mu.burst = max(burst, 1)
	b.mu.catchUp = seconds(defaultCatchUp)
	b.mu.limit = validRate(r)
	b.mu.size = b.mu.burst
	b.mu.lim = rate.NewLimiter(0, b.mu.size)
	if b.mu.limit != rate.Inf {
		b.mu.lim.SetLimitAt(b.base, b.mu.limit)
	}
	return b
}

// Wait is shorthand for WaitN(ctx, 1).
func (b *Bucket) Wait(ctx context.Context) error { return b.WaitN(ctx, 1) }

// WaitN blocks until n tokens are due to the caller and takes them; callers are
// served in the order in which they came. An n above the burst is legal: all of
// the n/rate seconds that it costs are waited for beforehand. An n below 1 does
// not wait.
//
// When ctx ends first, WaitN returns its cause (see [context.Cause]) and takes
// no token. It does so at the deadline and not before, even when the token would
// be due later: the rate may be raised meanwhile.
func (b *Bucket) WaitN(ctx context.Context, n int) error {
	_, err := b.waitN(ctx, n)
	return err
}

// waitN also returns the instant at which the tokens were given out, which on a
// machine that is busy may be well before the caller runs.
func (b *Bucket) waitN(ctx context.Context, n int) (time.Duration, error) {
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	now := b.now()
	if n < 1 {
		return now, nil
	}
	b.mu.Lock()
	if b.mu.err == nil && b.mu.queue.first == nil && b.takeLocked(now, n) {
		now = b.mu.given
		b.mu.Unlock()
		return now, nil
	}
	if err := b.refusalLocked(); err != nil {
		b.mu.Unlock()
		return 0, err
	}
	w := b.mu.queue.get(n)
	w.fresh = standing.Of(ctx) == standing.Fresh
	b.mu.queue.push(w)
	if b.mu.queue.first == w {
		w.state.Store(leading)
		b.settleLocked()
	} else if b.mu.door.probe != 0 && b.mu.reserved != 0 { // it may be the probe, instead of the one that tokens are reserved for
		b.settleLocked()
	}
	b.mu.Unlock()
	return b.wait(ctx, w)
}

// Allow is shorthand for AllowN(1).
func (b *Bucket) Allow() bool { return b.AllowN(1) }

// AllowN takes n tokens if they are due now and reports whether it did. It is
// false while anyone waits, and for n above the burst unless there is no limit.
func (b *Bucket) AllowN(n int) bool {
	if n < 1 {
		return true
	}
	now := b.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mu.err != nil || b.mu.queue.first != nil || n > b.mu.burst && b.mu.limit != rate.Inf {
		return false
	}
	ok := b.takeLocked(now, n)
	if !ok {
		b.unreserveLocked(b.now())
	}
	return ok
}

// SetRate sets the rate in tokens a second, also for callers that wait now. Its
// argument is read as that of [NewBucket].
func (b *Bucket) SetRate(r rate.Limit) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r = validRate(r); r != b.mu.limit {
		b.setRateLocked(r)
		b.settleLocked()
	}
}

// setRateLocked requires that mu is held, and that r is valid.
func (b *Bucket) setRateLocked(r rate.Limit) {
	b.pausedLocked() // one that is over ended under the old rate
	now := b.now()
	b.unreserveLocked(now)
	if b.mu.limit == rate.Inf { // whatever went out until now, the next token is 1/r away
		b.mu.size = b.mu.burst
		b.mu.lim = rate.NewLimiter(r, b.mu.size)
		b.mu.lim.ReserveN(b.at(now), b.mu.size)
	} else if r != rate.Inf {
		b.mu.lim.SetLimitAt(b.at(now), r)
	}
	b.mu.floor = now
	b.mu.limit = r
}

// SetBurst sets how many tokens an idle bucket gathers. Below 1 is taken as 1.
func (b *Bucket) SetBurst(burst int) {
	burst = max(burst, 1)
	b.mu.Lock()
	defer b.mu.Unlock()
	if burst == b.mu.burst {
		return
	}
	b.pausedLocked() // one that is over ended under the old burst
	now := b.now()
	b.unreserveLocked(now)
	b.mu.burst = burst
	if w := b.mu.queue.first; w != nil {
		b.fitLocked(now, w.n) // it keeps what it has waited for
	} else {
		b.fitLocked(now, 0)
	}
	b.settleLocked()
}

// SetCatchUp sets how much faster than the rate tokens may come in a second to make
// up for late timers. The default, 0.005, is half a percent: any second holds at most
// 1.005·rate + burst tokens. With 0 nothing is made up for, as the strictest of
// servers may need, and the rate falls short by the share of time by which timers are
// late. Values are limited to 0 to 1; NaN is taken as 0.
func (b *Bucket) SetCatchUp(share float64) {
	if !(share > 0) {
		share = 0
	}
	b.mu.Lock()
	b.mu.catchUp = seconds(min(share, 1))
	b.mu.late = 0 // it may be more than is now made up for
	b.mu.Unlock()
}

// Pause gives out nothing until the given instant, to callers that wait now or
// come later. Of several pauses the one that ends last holds; the zero Time and
// instants in the past change nothing. A pause also passes while the machine is
// suspended, but if the wall clock is set, it stays as long as it was to be when
// Pause was called. Afterwards tokens are evenly spaced again: none were gathered.
func (b *Bucket) Pause(until time.Time) { b.pause(until, "", false) }

// pause reports whether the pause is now the one that holds. One of our own is
// sat out however long it is.
func (b *Bucket) pause(until time.Time, source string, own bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	// The lengths of two that end at the same instant differ by the time between two looks at the
	// clock.
	left := until.Sub(b.clock())
	if left <= 0 || until.Equal(b.mu.until) || left <= b.pausedLocked() {
		return false
	}
	now := b.now()
	b.unreserveLocked(now)
	b.mu.until, b.mu.source, b.mu.own = until, source, own
	b.mu.end, b.mu.suspended = now+min(left, never-now), b.asleep()
	if err := b.refusalLocked(); err != nil {
		b.mu.queue.stop(err)
		b.fitLocked(b.mu.floor, 0) // as when a heavy first waiter leaves
	}
	b.settleLocked()
	return true
}

// refusalLocked requires that mu is held.
func (b *Bucket) refusalLocked() error {
	if b.mu.err != nil {
		return b.mu.err
	}
	if b.maxWait > 0 && !b.mu.own && b.pausedLocked() > b.maxWait {
		return &PausedError{Until: b.untilLocked(), Source: b.mu.source}
	}
	return nil
}

// paused reports whether a pause is in force.
func (b *Bucket) paused() bool {
	until, _ := b.pausedUntil()
	return !until.IsZero()
}

// pausedUntil returns when the pause in force ends and who asked for it, or zeros.
func (b *Bucket) pausedUntil() (time.Time, string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	until := b.untilLocked()
	if until.IsZero() {
		return until, ""
	}
	return until, b.mu.source
}

// Resume ends a pause now.
func (b *Bucket) Resume() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pausedLocked() > 0 {
		b.resumeLocked(b.now())
		b.settleLocked()
	}
}

// Stats returns a snapshot.
func (b *Bucket) Stats() BucketStats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := BucketStats{
		Rate:      b.mu.limit,
		Burst:     b.mu.burst,
		Waiting:   b.mu.queue.len,
		Granted:   b.mu.granted,
		Unclaimed: b.mu.unclaimed,
	}
	s.Paused = b.untilLocked()
	return s
}

// stop fails all waiting and later calls with err.
func (b *Bucket) stop(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mu.err == nil {
		b.mu.err = err
		b.mu.queue.stop(err)
		b.holdLocked(free)
	}
}

// steer sets the rate, how many may be in flight and, where it is not free, what
// else holds the door: see door. All at once: in between, waiters would go.
func (b *Bucket) steer(s steering) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r := validRate(rate.Limit(s.rate)); r != b.mu.limit {
		b.setRateLocked(r)
	}
	d := &b.mu.door
	d.room, d.most, d.probe, d.until = s.room, s.most, 0, never
	if s.held {
		d.probe = never
		if !s.probe.IsZero() {
			d.probe = max(b.now()+time.Until(s.probe), 1)
		}
	}
	if !s.until.IsZero() {
		d.until = b.now() + time.Until(s.until)
	}
	b.settleLocked()
}

// land counts a request out that was let in.
func (b *Bucket) land() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.door.inFlight--
	if b.mu.queue.first != nil {
		b.settleLocked()
	}
}

// full reports whether the bucket is as good as new: no caller waits, no pause is in force, and all
// tokens are there.
func (b *Bucket) full() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mu.queue.first != nil || b.pausedLocked() > 0 {
		return false
	}
	return b.mu.limit == rate.Inf || b.mu.lim.TokensAt(b.at(max(b.now(), b.mu.floor))) >= float64(b.mu.burst)
}

// rate returns the rate in force.
func (b *Bucket) rate() rate.Limit {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mu.limit
}

// now is an instant as the bucket counts them. Reading only the monotonic clock
// costs about half of time.Now.
func (b *Bucket) now() time.Duration { return time.Since(b.base) }

func (b *Bucket) at(t time.Duration) time.Time { return b.base.Add(t) }

// takeLocked takes n tokens if they are there. If they are not, it may leave a reservation. It
// requires that mu is held and no caller waits. The instant now was read before mu was taken, which
// keeps the clock out of the section that all callers share.
func (b *Bucket) takeLocked(now time.Duration, n int) bool {
	if !b.mu.until.IsZero() && b.pausedLocked() > 0 {
		return false
	}
	if why, _ := b.mu.door.shut(now); why != free {
		return false
	}
	if b.mu.limit != rate.Inf {
		if b.mu.limit == 0 {
			return false
		}
		now = max(now, b.mu.floor)
		b.reserveLocked(b.fromLocked(now), n)
		if b.mu.due > now {
			now = b.now() // it may have fallen due while this caller waited for mu
			b.forgiveLocked(now, n)
			if b.mu.due > now {
				b.mu.late = 0
				return false
			}
		}
		b.useLocked()
		b.mu.late = min(b.mu.late, now-b.mu.floor)
		b.mu.unclaimed++
	}
	b.mu.granted += int64(n)
	b.mu.given = now
	b.mu.door.enter()
	return true
}

// fromLocked returns the instant at which to reserve for a caller that found no other waiting: now,
// unless the last waiter's timer was late and the caller comes right after, as workers do that were
// all served at once. Then the lateness is made up for as if they had been waiting. It requires
// that mu is held.
func (b *Bucket) fromLocked(now time.Duration) time.Duration {
	if b.mu.late > 0 && now-b.mu.floor > b.mu.late+b.mu.catchUp {
		b.mu.late = 0 // this caller is late itself
	}
	return max(b.mu.floor, now-b.mu.late)
}

// fitLocked makes the limiter hold the burst, or n tokens where that is more: it
// refuses more than it can hold. It requires that mu is held and nothing is
// reserved, and t, which becomes the floor, is not before it.
func (b *Bucket) fitLocked(t time.Duration, n int) {
	b.mu.floor = t
	if size := max(n, b.mu.burst); size != b.mu.size {
		b.mu.size = size
		b.mu.lim.SetBurstAt(b.at(t), size)
	}
}

// reserveLocked reserves n tokens at instant t, which is not before floor, and
// notes when they are due. It requires that mu is held and nothing is reserved.
func (b *Bucket) reserveLocked(t time.Duration, n int) {
	b.fitLocked(t, n)
	at := b.at(t)
	b.mu.reservation = *b.mu.lim.ReserveN(at, n)
	b.mu.reserved = n
	b.mu.due = t + b.mu.reservation.DelayFrom(at)
	if b.mu.due < t { // centuries away
		b.mu.due = math.MaxInt64
	}
}

// unreserveLocked gives the first waiter's reservation back, with all that it has
// waited for until now. It requires that mu is held.
func (b *Bucket) unreserveLocked(now time.Duration) {
	if b.mu.reserved == 0 {
		return
	}
	t := min(now, b.mu.due) // past its due instant the limiter takes it as used
	b.mu.reservation.CancelAt(b.at(t))
	b.mu.reserved = 0
	b.mu.floor = t
}

// pausedLocked returns how long the pause still lasts; 0 if there is none. It requires that mu is
// held.
func (b *Bucket) pausedLocked() time.Duration {
	if b.mu.until.IsZero() {
		return 0
	}
	now, slept := b.now(), b.asleep()-b.mu.suspended
	if slept < time.Second { // what is less is an error of measurement
		slept = 0
	}
	left := b.mu.end - now - slept
	if left > 0 {
		return left
	}
	end := b.mu.end // not when somebody came to look
	if slept > 0 {
		end = now
	}
	b.resumeLocked(end)
	return 0
}

// untilLocked returns when the pause ends by the wall clock as it is now, or the
// zero Time. It requires that mu is held.
func (b *Bucket) untilLocked() time.Time {
	left := b.pausedLocked()
	if left == 0 {
		return time.Time{}
	}
	if until := b.clock().Add(left); until.Round(0).Sub(b.mu.until.Round(0)).Abs() > time.Second && b.mu.end != never {
		b.mu.until = until // the clock was set, or the machine suspended
	}
	return b.mu.until
}

// resumeLocked ends the pause at the given instant and lets go of all tokens but
// one that were gathered in it. It requires that mu is held.
func (b *Bucket) resumeLocked(end time.Duration) {
	b.mu.until = time.Time{}
	b.mu.floor = max(b.mu.floor, end)
	at := b.at(b.mu.floor)
	b.mu.lim.SetBurstAt(at, 1)
	b.mu.lim.SetBurstAt(at, b.mu.size)
}

// settleLocked serves all waiters whose tokens are due and sets the timer for
// the one that is then first, which watches it. It requires that mu is held.
func (b *Bucket) settleLocked() {
	for first := b.mu.queue.first; first != nil; first = b.mu.queue.first {
		w := first
		if b.mu.door.probe != 0 {
			// Those that come back would go round and round, and the first of the others may be all
			// that the server refuses, as when what comes first in a list is bad.
			w = b.mu.queue.newest()
		}
		why, wait := b.dueLocked(w)
		if why != free {
			b.holdLocked(why)
			b.watchLocked(first, wait)
			return
		}
		b.mu.granted += int64(w.n)
		b.mu.door.enter()
		b.mu.queue.remove(w)
		w.at = b.mu.given
		w.set(granted)
	}
	b.holdLocked(free)
}

// holdLocked notes what the first waiter waits for. It requires that mu is held.
func (b *Bucket) holdLocked(why hold) {
	if b.waits != nil && b.mu.held != why {
		b.waits.hold(why)
	}
	b.mu.held = why
}

// dueLocked takes the tokens of w, the next to go, if they are due. If not, it returns why and how
// long to wait before looking again; 0 means until something changes. It requires that mu is held.
func (b *Bucket) dueLocked(w *waiter) (why hold, wait time.Duration) {
	left := b.pausedLocked()
	now := b.now()
	why, wait = b.mu.door.shut(now)
	// a waiter that could not go without the pause does not wait for it
	if left > 0 && why != byConcurrency {
		return byCoolDown, min(left, suspendCheck)
	}
	if why != free {
		b.unreserveLocked(now) // no token is to grow old at the door
		return why, wait
	}
	// nor is what was due meanwhile made up for
	if b.mu.held == byConcurrency || b.mu.held == byDown {
		b.mu.floor = max(b.mu.floor, now)
	}
	switch b.mu.limit {
	case rate.Inf:
		b.mu.given = now
		return free, 0
	case 0:
		return byRate, 0
	}
	if b.mu.reserved != w.n { // those of another, or none
		b.unreserveLocked(now)
		// At the last token's due instant, not at the present one: that makes
		// up for the time since.
		b.reserveLocked(b.mu.floor, w.n)
	}
	b.forgiveLocked(now, w.n)
	if b.mu.due > now {
		return byRate, b.mu.due - now
	}
	b.useLocked()
	b.mu.late = now - b.mu.floor
	b.mu.given = now
	return free, 0
}

// useLocked ends the reservation, which was used. It requires that mu is held.
func (b *Bucket) useLocked() {
	b.mu.reserved = 0
	b.fitLocked(b.mu.due, 0)
}

// forgiveLocked brings a reservation that is too late to be made up for in full
// forward to what can be. It requires that mu is held and n tokens are reserved.
func (b *Bucket) forgiveLocked(now time.Duration, n int) {
	if oldest := now - b.mu.catchUp; b.mu.due < oldest {
		b.unreserveLocked(now)
		b.reserveLocked(oldest, n)
	}
}

// watchLocked makes w, the first in line, look again after the given wait. It
// requires that mu is held.
func (b *Bucket) watchLocked(w *waiter, wait time.Duration) {
	if until := b.mu.door.until; until != never {
		if change := max(until-b.now(), 1); wait == 0 || change < wait {
			wait = change
		}
	}
	if wait == 0 {
		b.timer.Stop()
	} else {
		b.timer.Reset(wait)
	}
	if w.state.Load() == queued {
		w.set(leading)
	}
}

// wait parks the calling goroutine until w is served, stopped, or ctx ends. It
// returns when w was served.
func (b *Bucket) wait(ctx context.Context, w *waiter) (time.Duration, error) {
	for {
		var ended bool
		if w.state.Load() == leading {
			ended = b.lead(ctx, w)
		} else {
			ended = w.park(ctx)
		}
		if ended && b.leave(w) {
			// The canceller of a context holds its lock until all waiters are
			// woken; of very many, most would park once more to ask for the cause.
			runtime.Gosched()
			b.mu.queue.put(w)
			return 0, context.Cause(ctx)
		}
		switch w.state.Load() {
		case granted:
			at := w.at
			b.mu.queue.put(w)
			return at, nil
		case stopped:
			err := w.err
			b.mu.queue.put(w)
			return 0, err
		}
	}
}

// lead parks the first waiter, which watches the timer.
func (b *Bucket) lead(ctx context.Context, w *waiter) (ended bool) {
	select {
	case <-w.wake:
		return false
	case <-ctx.Done():
		return true
	case <-b.timer.C:
		if b.changed != nil {
			b.changed() // steers, if it is time
		}
		b.mu.Lock()
		b.settleLocked()
		b.mu.Unlock()
		return false
	}
}

// leave takes w out of the queue, unless it was served or stopped before.
func (b *Bucket) leave(w *waiter) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := w.state.Load(); s == granted || s == stopped {
		return false
	}
	first := b.mu.queue.first == w
	b.mu.queue.remove(w)
	// it may have been the one for whom it was reserved
	if first || b.mu.door.probe != 0 && b.mu.reserved != 0 {
		b.unreserveLocked(b.now())
		b.fitLocked(b.mu.floor, 0) // what it gathered beyond the burst goes with it
		b.settleLocked()
	}
	return true
}

// validRate reads r as documented at [NewBucket].
func validRate(r rate.Limit) rate.Limit {
	if !(r > 0) {
		return 0
	}
	return min(r, rate.Inf)
}

// seconds converts, saturating.
func seconds(s float64) time.Duration {
	// As a float64 the longest duration is one too many.
	if s *= float64(time.Second); s < math.MaxInt64 {
		return time.Duration(s)
	}
	return math.MaxInt64
}
