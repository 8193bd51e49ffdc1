package throttle

import (
	"context"
	"time"

	"golang.org/x/time/rate"
)

// A Bucket is a smoothed token bucket for many waiters: tokens fall due evenly spaced, 1/rate
// apart, and the caller that has waited longest takes the next.
//
// Most callers want [Bucket.Wait], once before each request.
//
// The guarantee: in any half-open interval of t seconds the bucket gives out at most rate·(t +
// 0.005) + burst tokens; where a caller asks for more than the burst, what it asks for stands for
// the burst. While callers wait, each token falls due at the instant at which the one before it was
// due plus 1/rate, whenever that one was really taken, so a late timer costs no rate. At most 5 ms
// of lateness are made up that way, which keeps any second within half a percent of the rate; what
// a process loses beyond that, because it was stopped, starved or asleep, is forgiven and does not
// leave as a burst afterwards.
//
// Unlike a reservation of [rate.Limiter], the turn of a waiting caller is not fixed: a new rate, a
// pause and its end act at once, a caller whose context ends leaves no debt, and a caller may ask
// for more tokens than the burst.
//
// A Bucket starts no goroutine and needs no Close. It is safe for concurrent use. Use [NewBucket];
// it must not be copied.
type Bucket struct{ line *line }

// BucketStats is a snapshot of a [Bucket]. Its JSON is its own: a struct that is to have other
// fields in JSON must have it as a named field, not embed it.
type BucketStats struct {
	Rate    rate.Limit // tokens a second; [rate.Inf], which JSON leaves out: no limit
	Burst   int        // tokens that an idle bucket gathers
	Waiting int        // callers that wait now
	Paused  time.Time  `json:",omitzero"` // when the pause in force ends; if zero, not paused

	Granted int64 // tokens given out

	// Unclaimed counts the grants whose token had fallen due before anybody came for it. While it
	// grows, more callers would make use of more of the rate. An unlimited bucket does not count.
	// With a [Leaser] it also counts the slots that went void while nobody waited, and the leases
	// that had all that was asked for and were used up by the last that waited.
	Unclaimed int64
}

// NewBucket returns a full bucket that gives out r tokens a second and at most burst of them at
// once. A burst below 1 is taken as 1, which spaces tokens evenly from the first one on.
//
// A rate of 0 stops: all callers wait until the rate is raised. [rate.Inf] is no limit. A rate that
// is negative or not a number is taken as 0.
func NewBucket(r rate.Limit, burst int) *Bucket { return &Bucket{newLine(r, burst)} }

// Wait is shorthand for WaitN(ctx, 1).
func (b *Bucket) Wait(ctx context.Context) error { return b.WaitN(ctx, 1) }

// WaitN blocks until n tokens are due to the caller and takes them; callers are served in the order
// in which they came. An n above the burst is legal: all of the n/rate seconds that it costs are
// waited for beforehand. An n below 1 does not wait.
//
// When ctx ends first, WaitN returns its cause (see [context.Cause]) and takes no token. It does so
// at the deadline and not before, even when the token would be due later: the rate may be raised
// meanwhile.
func (b *Bucket) WaitN(ctx context.Context, n int) error {
	_, err := b.line.waitN(ctx, n)
	return err
}

// Allow is shorthand for AllowN(1).
func (b *Bucket) Allow() bool { return b.AllowN(1) }

// AllowN takes n tokens if they are due now and reports whether it did. It is false while anyone
// waits, and for n above the burst unless there is no limit.
func (b *Bucket) AllowN(n int) bool {
	_, ok := b.line.takeN(n)
	return ok
}

// SetRate sets the rate in tokens a second, also for callers that wait now. Its argument is read as
// that of [NewBucket].
func (b *Bucket) SetRate(r rate.Limit) { b.line.setRate(r) }

// SetBurst sets how many tokens an idle bucket gathers. Below 1 is taken as 1.
func (b *Bucket) SetBurst(burst int) { b.line.setBurst(burst) }

// Pause gives out nothing until the given instant, to callers that wait now or come later. Of
// several pauses the one that ends last holds; the zero Time and instants in the past change
// nothing. A pause also passes while the machine is suspended, but if the wall clock is set, it
// stays as long as it was to be when Pause was called. Afterwards tokens are evenly spaced again:
// none were gathered.
func (b *Bucket) Pause(until time.Time) { b.line.pause(until, "", false) }

// Resume ends a pause now.
func (b *Bucket) Resume() { b.line.resume() }

// Stats returns a snapshot.
func (b *Bucket) Stats() BucketStats { return b.line.stats() }
