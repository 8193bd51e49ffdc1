package throttle

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limits are one upstream's ceilings. A zero field means unset: no ceiling.
// Feedback and cool-downs hold all the same.
type Limits struct {
	Rate      rate.Limit // requests a second, evenly spaced
	Burst     int        // requests that may leave at once after a lull; zero: 1
	InFlight  int        // requests on the wire
	Bandwidth rate.Limit // request-body bytes a second, all transfers together
}

// Validate returns an error that names every field that cannot be, with its
// value.
func (l Limits) Validate() error {
	var errs []error
	check := func(field string, v float64) {
		if !(v >= 0) {
			errs = append(errs, fmt.Errorf("throttle: Limits.%s is %v, want 0 (no limit) or more", field, v))
		}
	}
	check("Rate", float64(l.Rate))
	check("Burst", float64(l.Burst))
	check("InFlight", float64(l.InFlight))
	check("Bandwidth", float64(l.Bandwidth))
	return errors.Join(errs...)
}

// unset returns r, or no limit where it is zero.
func unset(r rate.Limit) rate.Limit {
	if r == 0 {
		return rate.Inf
	}
	return r
}

// An Upstream joins the limits of one server: a [Concurrency], then a [Bucket],
// and a [Bandwidth] for what is sent. [Transport] keeps one for each server;
// callers of other protocols use it directly:
//
//	permit, err := upstream.Acquire(ctx, 1)
//	if err != nil {
//		return err
//	}
//	err = send()
//	permit.Done(feedback(err))
//
// It is safe for concurrent use. Use [NewUpstream]; it must not be copied.
type Upstream struct {
	concurrency *Concurrency
	bucket      *Bucket
	bandwidth   *Bandwidth
	waits       waits

	mu struct {
		sync.Mutex
		limits Limits
		made   Limits // those it was made with
		err    error  // of the limits

		inFlight, maxInFlight int
		sent                  int64
		outcomes              [len(outcomes)]int64
		latency               time.Duration // of successes, smoothed
	}
}

// UpstreamStats is a snapshot of an [Upstream].
type UpstreamStats struct {
	Limits  Limits
	Holding Holding // the limit that holds callers back now

	Waiting     int   // callers who wait for a permit or a token
	InFlight    int   // requests from their token on until their permit's end
	MaxInFlight int   // the most of them at any time
	Sent        int64 // attempts let go, those that net/http repeats by itself included

	// How requests ended, by the feedback given.
	Succeeded, Throttled, Overloaded, TimedOut int64

	// Latency is a fading mean of the latency of successes, in which the last one
	// counts an eighth; zero: none was told.
	Latency time.Duration

	// Unclaimed is [BucketStats.Unclaimed]: while it grows, more callers would
	// make use of more of the rate.
	Unclaimed int64

	Paused      time.Time // when the cool-down in force ends; zero: none
	PauseSource string    // who asked for it, such as "Retry-After"

	// Waited is how long each limit was the one that held callers back. The
	// times add up to at most the time since [NewUpstream].
	Waited Waited
}

// NewUpstream returns an upstream with the limits given. If they are not valid,
// Acquire says so; see [Limits.Validate].
func NewUpstream(limits Limits) *Upstream {
	err := limits.Validate()
	if err != nil {
		limits = Limits{}
	}
	u := &Upstream{
		concurrency: NewConcurrency(ceiling(limits.InFlight)),
		bucket:      NewBucket(unset(limits.Rate), limits.Burst),
		bandwidth:   NewBandwidth(unset(limits.Bandwidth)),
	}
	u.concurrency.refusal = u.bucket.refusal
	u.waits.since = time.Now()
	u.bandwidth.waits = &u.waits
	u.mu.limits, u.mu.made, u.mu.err = limits, limits, err
	return u
}

func ceiling(inFlight int) int {
	if inFlight == 0 {
		return math.MaxInt
	}
	return inFlight
}

// SetLimits sets the limits, for those who wait now as well. It changes nothing
// and returns an error when they are not valid. What a [Transport] began to send
// without a bandwidth limit goes on without one.
func (u *Upstream) SetLimits(limits Limits) error {
	if err := limits.Validate(); err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.mu.limits, u.mu.err = limits, nil
	u.concurrency.SetLimit(ceiling(limits.InFlight))
	u.bucket.SetBurst(limits.Burst)
	u.bucket.SetRate(unset(limits.Rate))
	u.bandwidth.SetRate(unset(limits.Bandwidth))
	return nil
}

// Acquire blocks until a request of that weight may be sent: until it has a
// permit, and then weight tokens. A weight below 1 is taken as 1. The request
// should leave at once; the caller must end the permit.
//
// When ctx ends first, Acquire returns its cause (see [context.Cause]); after
// [Upstream.Stop] a [*StopError]; and with the upstream of a [Transport] a
// [*PausedError] where a cool-down is longer than [Transport.MaxWait].
func (u *Upstream) Acquire(ctx context.Context, weight int) (*Permit, error) {
	u.mu.Lock()
	err := u.mu.err
	u.mu.Unlock()
	if err != nil {
		return nil, err
	}
	// The permit comes first: a token that waited for a permit would be old, and
	// old tokens leave as a burst.
	if !u.concurrency.tryAcquire() {
		u.waits.enter(byConcurrency)
		err := u.concurrency.acquire(ctx)
		u.waits.leave(byConcurrency)
		if err != nil {
			return nil, err
		}
	}
	if err := u.token(ctx, weight); err != nil {
		u.concurrency.release()
		return nil, err
	}
	u.mu.Lock()
	u.mu.sent++
	u.mu.inFlight++
	u.mu.maxInFlight = max(u.mu.maxInFlight, u.mu.inFlight)
	u.mu.Unlock()
	return &Permit{concurrency: u.concurrency, upstream: u}, nil
}

// resent counts a request that has its permit and was let go once more.
func (u *Upstream) resent() {
	u.mu.Lock()
	u.mu.sent++
	u.mu.Unlock()
}

// token waits for the tokens of one attempt.
func (u *Upstream) token(ctx context.Context, weight int) error {
	weight = max(weight, 1)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if u.bucket.AllowN(weight) {
		return nil
	}
	u.waits.enter(byRate)
	defer u.waits.leave(byRate)
	return u.bucket.WaitN(ctx, weight)
}

// Pause lets nobody send until the given instant, as if the server had asked
// for it. Of several pauses the one that ends last holds. The source is for
// people to read.
func (u *Upstream) Pause(until time.Time, source string) { u.pause(until, source) }

// pause reports whether the pause is now the one that holds.
func (u *Upstream) pause(until time.Time, source string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.bucket.pause(until, source) {
		return false
	}
	u.waits.pause(until)
	// Those who queue for a permit fail as well. Who comes to that queue from here
	// on asks for itself.
	if err := u.bucket.refusal(); err != nil {
		u.concurrency.fail(err)
	}
	return true
}

// Resume ends a pause now.
func (u *Upstream) Resume() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.waits.resume()
	u.bucket.Resume()
}

// Stop fails those who wait, and everyone who comes later, with a [*StopError]
// that wraps err. Requests in flight are left to finish. Only the first call
// counts.
func (u *Upstream) Stop(err error) {
	stop := &StopError{Err: err}
	u.concurrency.stop(stop)
	u.bucket.stop(stop)
}

// Stats returns a snapshot.
func (u *Upstream) Stats() UpstreamStats {
	bucket, permits := u.bucket.Stats(), u.concurrency.Stats()
	holding, waited := u.waits.snapshot()
	u.mu.Lock()
	defer u.mu.Unlock()
	s := UpstreamStats{
		Limits:      u.mu.limits,
		Holding:     holding,
		Waiting:     bucket.Waiting + permits.Waiting,
		InFlight:    u.mu.inFlight,
		MaxInFlight: u.mu.maxInFlight,
		Sent:        u.mu.sent,
		Succeeded:   u.mu.outcomes[Success],
		Throttled:   u.mu.outcomes[Throttled],
		Overloaded:  u.mu.outcomes[Overloaded],
		TimedOut:    u.mu.outcomes[TimedOut],
		Latency:     u.mu.latency,
		Unclaimed:   bucket.Unclaimed,
		Waited:      waited,
	}
	s.Paused, s.PauseSource = u.bucket.pausedUntil()
	return s
}

// idle reports whether nobody uses the upstream and a new one in its place would
// do the same.
func (u *Upstream) idle() bool {
	u.mu.Lock()
	changed := u.mu.limits != u.mu.made
	u.mu.Unlock()
	s := u.concurrency.Stats()
	return !changed && s.Held == 0 && s.Waiting == 0 && u.bucket.full()
}

// feed takes in how a request went, and reports whether that began or prolonged
// a cool-down.
func (u *Upstream) feed(f Feedback) (paused bool) {
	u.mu.Lock()
	if int(f.Outcome) < len(outcomes) {
		u.mu.outcomes[f.Outcome]++
	}
	if f.Outcome == Success && f.Latency > 0 {
		if u.mu.latency == 0 {
			u.mu.latency = f.Latency
		}
		u.mu.latency += (f.Latency - u.mu.latency) / 8
	}
	u.mu.Unlock()
	if f.Outcome != Throttled && f.Outcome != Overloaded {
		return false
	}
	return u.pause(f.RetryAt, f.Source)
}

// landed counts a request out.
func (u *Upstream) landed() {
	u.mu.Lock()
	u.mu.inFlight--
	u.mu.Unlock()
}

// A StopError is what waiting returns once its limit was stopped. Nothing was
// sent.
type StopError struct{ Err error }

// Error returns the text of the error.
func (e *StopError) Error() string {
	if e.Err == nil {
		return "throttle: stopped, nothing was sent"
	}
	return "throttle: stopped, nothing was sent: " + e.Err.Error()
}

// Unwrap returns the error given to Stop.
func (e *StopError) Unwrap() error { return e.Err }

// RetryAt returns the zero Time, which means never: whoever retries should not.
func (e *StopError) RetryAt() time.Time { return time.Time{} }

// A PausedError is what waiting returns when a cool-down lasts longer than a
// request waits; see [Transport.MaxWait]. Nothing was sent.
type PausedError struct {
	Until  time.Time // when the cool-down ends
	Source string    // who asked for it, such as "retry-after"; may be empty
}

// Error returns the text of the error.
func (e *PausedError) Error() string {
	s := "throttle: cool-down until " + e.Until.Format(time.RFC3339)
	if e.Source != "" {
		s += " (" + e.Source + ")"
	}
	return s + ", nothing was sent; try again then"
}

// RetryAt returns the instant at which the cool-down ends.
func (e *PausedError) RetryAt() time.Time { return e.Until }
