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

// Limits are one upstream's ceilings. A zero field is not given.
//
// A field that is set is a ceiling, and sending begins at it. It is lowered only while the server
// refuses. A field that is zero is found: Rate from refusals and from the quotas that the server
// tells; InFlight from latency, from the bytes a second while bodies take long, and from refusals,
// beginning with one request. If Rate is set, latency is not used for InFlight.
//
// Whether a refusal is about the rate or about the number in flight is found, too: 429 is taken for
// the one and 503 for the other only until the evidence says otherwise. If InFlight is zero, at
// most 256 requests are on the wire. Bandwidth is not looked for.
//
// An Upstream of your own does not see the bytes that you send, so only a [Transport] keeps
// Bandwidth; for other protocols see [Bandwidth].
type Limits struct {
	Rate      rate.Limit // requests a second, evenly spaced
	Burst     int        // requests that may leave at once after a lull; if zero, 1
	InFlight  int        // requests on the wire
	Bandwidth rate.Limit // request-body bytes a second, all transfers together

	// Fixed takes the limits as they are, and finds none. Cool-downs and the
	// probing of a server that is down hold all the same.
	Fixed bool
}

// Validate returns an error that names every field that cannot be, with its
// value.
func (l Limits) Validate() error {
	var errs []error
	check := func(field string, v float64) {
		if !(v >= 0) {
			errs = append(errs, fmt.Errorf("throttle: Limits.%s is %v, want 0 (not given) or more", field, v))
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

// An Upstream joins the limits of one server: how many requests are in flight,
// how many leave a second, and a [Bandwidth] for what is sent. It finds those
// that [Limits] leave open from the [Feedback] that it is given. [Transport]
// keeps one for each server; callers of other protocols use it directly:
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
	line      *line // with a door for those in flight
	bandwidth *Bandwidth
	waits     waits
	sampler   sampler

	mu struct {
		sync.Mutex
		limits Limits
		made   Limits // those it was made with
		err    error  // of the limits

		controller controller
		steered    steering // what the bucket was last told
		told       finding  // what people were last told

		maxInFlight int
		sent        int64
		outcomes    [len(outcomes)]int64
	}
}

// steering is what the controller has the bucket do.
type steering struct {
	room  int
	rate  float64
	most  int // also of a probe
	held  bool
	probe time.Time

	until time.Time // when all of it may change by itself; if zero, it does not
}

// UpstreamStats is a snapshot of an [Upstream]. Its JSON is its own: a struct that is to have other
// fields in JSON must have it as a named field, not embed it.
type UpstreamStats struct {
	Limits  Limits
	Holding Holding // the limit that holds callers back now

	// What is in force, be it given or found, and why it last changed.
	Limit   int        // requests in flight; [math.MaxInt], which JSON leaves out: no limit
	Rate    rate.Limit // requests a second; [rate.Inf], which JSON leaves out: no limit
	Learned bool       // one of the two was found
	Phase   Phase
	Reason  string    // for people to read
	Changed time.Time // when the phase did
	// PhaseDown and PhaseHoldingBack: when the next may go; if zero, one is on its way
	Probe time.Time `json:",omitzero"`

	Waiting     int   // callers that wait for a permit or a token
	InFlight    int   // requests from their token on until their permit's end
	MaxInFlight int   // the most of them at any time
	Sent        int64 // attempts let go, those that net/http repeats by itself included

	// How requests ended, by the feedback given.
	Succeeded, Throttled, Overloaded, TimedOut, Failed int64

	// Unreported counts the permits that ended by [Permit.Release], or with a
	// [Feedback] without an Outcome. If all do, Limit stays at 1 where it is to be found.
	Unreported int64

	// Latency is a fading mean of the latency of successes, in which the last one
	// counts an eighth; if zero, there was none.
	Latency time.Duration

	// BytesPerSecond is how many body bytes a second the server has acknowledged in the
	// last second or two, of all transfers whose progress is known; see
	// [Permit.Progress]. If none is under way, 0.
	BytesPerSecond float64

	// Unclaimed is [BucketStats.Unclaimed]: while it grows, more callers would
	// make use of more of the rate.
	Unclaimed int64

	Paused      time.Time `json:",omitzero"` // when the cool-down in force ends; if zero, none
	PauseSource string    // who asked for it, such as "retry-after"

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
		line:      newLine(unset(limits.Rate), limits.Burst),
		bandwidth: NewBandwidth(unset(limits.Bandwidth)),
	}
	now := time.Now()
	u.waits.since = now
	u.line.waits, u.bandwidth.waits = &u.waits, &u.waits
	u.line.changed = u.steerInTime
	u.mu.limits, u.mu.made, u.mu.err = limits, limits, err
	u.mu.controller.init(limits, now)
	u.steerLocked(now)
	u.mu.told = finding{phase: u.mu.controller.phase, limit: u.mu.steered.room, rate: validRate(rate.Limit(u.mu.steered.rate))}
	return u
}

// SetLimits sets the limits, also for callers that wait now. If they are not valid,
// it changes nothing and returns an error. What a [Transport] began to send
// without a bandwidth limit goes on without one.
func (u *Upstream) SetLimits(limits Limits) error {
	if err := limits.Validate(); err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.mu.limits, u.mu.err = limits, nil
	u.line.setBurst(limits.Burst)
	u.bandwidth.SetRate(unset(limits.Bandwidth))
	now := time.Now()
	u.mu.controller.setLimits(limits, now)
	u.steerLocked(now)
	return nil
}

// steerLocked passes on what the controller has changed. It requires that mu is
// held.
func (u *Upstream) steerLocked(now time.Time) {
	if s := u.mu.controller.orders(now); s != u.mu.steered {
		u.mu.steered = s
		u.line.steer(s)
	}
}

// steerInTime passes on what has changed by itself, once its instant has come.
func (u *Upstream) steerInTime() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.steerInTimeLocked()
}

// steerInTimeLocked requires that mu is held.
func (u *Upstream) steerInTimeLocked() {
	if u.mu.steered.until.IsZero() {
		return
	}
	if now := time.Now(); !now.Before(u.mu.steered.until) {
		u.steerLocked(now)
	}
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
	u.steerInTimeLocked()
	u.mu.Unlock()
	if err != nil {
		return nil, err
	}
	token, err := u.token(ctx, weight)
	if err != nil {
		return nil, err
	}
	u.mu.Lock()
	now := time.Now()
	p := &Permit{upstream: u, token: token, ticket: u.mu.controller.sent(now)}
	u.mu.maxInFlight = max(u.mu.maxInFlight, u.mu.controller.places)
	u.steerLocked(now)
	late := expired(ctx, now)
	if !late {
		u.mu.sent++
	}
	u.mu.Unlock()
	if late { // its turn came at that very instant
		p.Release()
		return nil, context.DeadlineExceeded
	}
	return p, nil
}

// expired reports whether the deadline of a context has passed, though perhaps the context
// has not ended yet.
func expired(ctx context.Context, now time.Time) bool {
	deadline, ok := ctx.Deadline()
	return ok && !now.Before(deadline)
}

// again takes a place and tokens for a request that has its permit and is about
// to be sent once more, perhaps since the server did not want it. Meanwhile it is not
// in flight. After an error it is not in flight any more.
func (u *Upstream) again(ctx context.Context, p *Permit, weight int, refused bool) error {
	u.mu.Lock()
	now := time.Now()
	if refused {
		u.mu.outcomes[Overloaded]++
	}
	u.mu.controller.recall(&p.ticket, refused, now)
	u.steerLocked(now)
	u.mu.Unlock()
	u.landed()
	token, err := u.token(ctx, weight)
	if err != nil {
		p.landed = true
		return err
	}
	p.token = token
	u.mu.Lock()
	defer u.mu.Unlock()
	now = time.Now()
	u.mu.controller.resent(&p.ticket, now)
	u.steerLocked(now)
	return nil
}

// resent counts a request that has its permit and was let go once more.
func (u *Upstream) resent() {
	u.mu.Lock()
	u.mu.sent++
	u.mu.Unlock()
}

// token waits for the tokens of one attempt, and returns when they were given out.
func (u *Upstream) token(ctx context.Context, weight int) (time.Time, error) {
	at, err := u.line.waitN(ctx, max(weight, 1))
	return u.line.mu.at(at), err
}

// Pause stops sending until the given instant, as if the server had asked for it. Of several pauses
// the one that ends last holds. The source is for people to read.
func (u *Upstream) Pause(until time.Time, source string) { u.line.pause(until, source, false) }

// Resume ends a pause now.
func (u *Upstream) Resume() {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	u.mu.controller.resume(now)
	u.steerLocked(now)
	u.line.resume()
}

// Stop fails callers that wait, and all that come later, with a [*StopError]
// that wraps err. Requests in flight are left to finish. Only the first call
// counts.
func (u *Upstream) Stop(err error) {
	u.line.stop(&StopError{Err: err})
}

// Stats returns a snapshot.
func (u *Upstream) Stats() UpstreamStats {
	bucket := u.line.stats()
	holding, waited := u.waits.snapshot()
	u.mu.Lock()
	defer u.mu.Unlock()
	c, now := &u.mu.controller, time.Now()
	s := UpstreamStats{
		Limits:         u.mu.limits,
		Holding:        holding,
		Limit:          c.room(now),
		Rate:           validRate(rate.Limit(c.mean(now))),
		Learned:        c.learned(),
		Phase:          c.phase,
		Reason:         c.reason,
		Changed:        c.changed,
		Probe:          c.probe,
		Waiting:        bucket.Waiting,
		InFlight:       u.mu.controller.places,
		MaxInFlight:    u.mu.maxInFlight,
		Sent:           u.mu.sent,
		Succeeded:      u.mu.outcomes[Success],
		Throttled:      u.mu.outcomes[Throttled],
		Overloaded:     u.mu.outcomes[Overloaded],
		TimedOut:       u.mu.outcomes[TimedOut],
		Failed:         u.mu.outcomes[Failed],
		Unreported:     u.mu.outcomes[0],
		Latency:        seconds(c.latency),
		BytesPerSecond: c.flow.bytesPerSecond(),
		Unclaimed:      bucket.Unclaimed,
		Waited:         waited,
	}
	if c.trial != 0 {
		s.Probe = time.Time{}
	}
	s.Paused, s.PauseSource = u.line.pausedUntil()
	return s
}

// latency returns the usual latency, 0 if it is not known.
func (u *Upstream) latency() time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	return seconds(u.mu.controller.latency)
}

// idle reports whether the upstream is not in use and a new one in its place would do the same.
func (u *Upstream) idle() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.mu.limits == u.mu.made && u.mu.controller.places == 0 && !u.mu.controller.held && u.line.full()
}

// news is what came of a feedback.
type news struct {
	until  time.Time // the cool-down that it began or prolonged; if zero, none
	source string

	changed bool // the phase, or a limit by a tenth and more
	finding
}

// finding is what the controller has found.
type finding struct {
	phase  Phase
	limit  int
	rate   rate.Limit
	reason string
}

// differs reports whether people would care.
func (f finding) differs(g finding) bool {
	far := func(a, b float64) bool { return math.Abs(a-b) > 0.1*min(a, b) }
	return f.phase != g.phase || far(float64(f.limit), float64(g.limit)) || far(float64(f.rate), float64(g.rate))
}

// feed records how a request went.
func (u *Upstream) feed(t ticket, f Feedback) (n news) {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now() // not before the lock: the controller's time does not go back
	if f.Outcome == Success && f.Latency <= 0 {
		f.Latency = now.Sub(t.at)
	}
	if int(f.Outcome) < len(outcomes) {
		u.mu.outcomes[f.Outcome]++
	}
	if f.Outcome == 0 {
		f.Outcome = Ignored
	}
	c := &u.mu.controller
	until, source := c.done(t, f, now)
	// First of all, so that no request leaves at a rate that is not known yet.
	if !until.IsZero() && u.line.pause(until, source, source == "" && until.After(f.RetryAt)) {
		n.until, n.source = until, source
	}
	u.steerLocked(now)
	n.finding = finding{c.phase, u.mu.steered.room, validRate(rate.Limit(c.mean(now))), c.reason}
	if n.changed = n.differs(u.mu.told); n.changed {
		u.mu.told = n.finding
	}
	return n
}

// landed counts a request out.
func (u *Upstream) landed() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.mu.controller.landed()
	u.steerLocked(time.Now()) // before its place is free: a quota may have none left
	u.line.land()
}
