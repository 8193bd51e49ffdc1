package throttle

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock/internal/adaptive"
)

// An Upstream joins the limits of one server: how many requests are in flight, how many leave a
// second, and a [Bandwidth] for what is sent. It finds those that [Limits] leave open from the
// [Feedback] that it is given. [Transport] keeps one for each server; callers of other protocols
// use it directly:
//
//	permit, err := upstream.Acquire(ctx, 1)
//	if err != nil {
//		return err
//	}
//	err = send()
//	permit.Done(feedback(err))
//
// For gRPC a Signal follows from the code: OK is SignalSuccess, ResourceExhausted SignalThrottled,
// Unavailable SignalOverloaded, DeadlineExceeded SignalTimedOut, Canceled SignalIgnored, Unknown,
// Internal and DataLoss SignalFailed, and any other SignalAnswered; see examples/grpc.
//
// It is safe for concurrent use. Use [NewUpstream]; it must not be copied.
type Upstream struct {
	// Observe, if set, is called with what happens to permits of [Upstream.Acquire] and
	// [Upstream.TryAcquire], by many goroutines at once and with no lock held: their callers wait
	// until it returns. Set it before the first use. [Transport.Observe] says more of requests.
	Observe func(Event)

	line      *line // with a door for those in flight
	bandwidth *Bandwidth
	waits     waits
	sampler   sampler
	observed  bool // by its Transport

	mu struct {
		sync.Mutex
		limits Limits
		made   Limits // those it was made with
		err    error  // of the limits
		leased bool   // it was made with a Leaser
		kept   bool   // its Leaser was changed since

		controller *adaptive.Controller
		orders     adaptive.Orders // what the line was last told
		told       finding         // what people were last told

		maxInFlight int
		sent        int64
		ended       [len(adaptive.Signals)]int64 // requests by their Signal
	}
}

// NewUpstream returns an upstream with the limits given. If they are not valid, Acquire fails at
// once with what [Limits.Validate] returns, and nothing is sent; the error's method RetryAt returns
// the zero time, so that the package retry ends the call.
func NewUpstream(limits Limits) *Upstream {
	err := limits.Validate()
	if err != nil {
		limits, err = Limits{}, &limitsError{err}
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
	u.mu.controller = adaptive.New(limits.adaptive(), now)
	u.steerLocked(now)
	u.mu.told = u.findingLocked(now)
	return u
}

// SetLimits sets the limits, also for callers that wait now. If they are not valid, it changes
// nothing and returns an error. What a [Transport] began to send without a bandwidth limit goes on
// without one.
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
	u.mu.controller.SetLimits(limits.adaptive(), now)
	u.steerLocked(now)
	return nil
}

// steerLocked passes on what the controller has changed. It requires that mu is held.
func (u *Upstream) steerLocked(now time.Time) {
	if o := u.mu.controller.Orders(now); o != u.mu.orders {
		u.mu.orders = o
		u.line.steer(o)
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
	if u.mu.orders.Until.IsZero() {
		return
	}
	if now := time.Now(); !now.Before(u.mu.orders.Until) {
		u.steerLocked(now)
	}
}

// Acquire blocks until a request of that weight may be sent: until it has a permit, and then weight
// tokens. A weight below 1 is taken as 1. The request should leave at once; the caller must end the
// permit.
//
// When ctx ends first, Acquire returns its cause (see [context.Cause]); after [Upstream.Stop] a
// [*StopError]; and with the upstream of a [Transport] a [*PausedError] where a cool-down is longer
// than [Transport.MaxPause].
func (u *Upstream) Acquire(ctx context.Context, weight int) (*Permit, error) {
	p := new(Permit)
	if err := u.acquire(ctx, p, weight); err != nil {
		return nil, err
	}
	return p, nil
}

// acquire is Acquire, whose permit it fills in.
func (u *Upstream) acquire(ctx context.Context, p *Permit, weight int) error {
	if err := u.look(); err != nil {
		return err
	}
	begin := time.Now()
	token, waited, err := u.token(ctx, weight)
	if err != nil {
		return err
	}
	now, ok := u.admit(ctx, p, token)
	if !ok { // its turn came at that very instant
		return context.DeadlineExceeded
	}
	p.wait, p.waited = now.Sub(begin), waited
	if u.Observe != nil {
		u.observeSent(p, Event{Waited: p.wait, WaitedFor: waited, Token: token})
	}
	return nil
}

// observeSent passes on that a permit was given out. If Observe panics nobody has the permit, so it
// is given back.
func (u *Upstream) observeSent(p *Permit, e Event) {
	returned := false
	defer func() {
		if !returned {
			u.takeBack(p)
		}
	}()
	e.Kind = EventSent
	u.Observe(e)
	returned = true
}

// takeBack ends a permit that nobody was given.
func (u *Upstream) takeBack(p *Permit) {
	u.feed(p.ticket, Feedback{})
	u.landed()
}

// TryAcquire is Acquire for callers that do not wait: it reports whether a request of that weight
// may be sent now, and if so returns its permit. It is false while any caller waits, and for a
// weight above [Limits.Burst], unless there is no limit of rate. With a [Leaser] it is false if not
// so many slots are due, and asks for them for a later call; those of a weight are due at once only
// if the last follows the first within 20 ms.
func (u *Upstream) TryAcquire(weight int) (*Permit, bool) {
	if u.look() != nil {
		return nil, false
	}
	at, ok := u.line.takeN(max(weight, 1))
	if !ok {
		return nil, false
	}
	p := new(Permit)
	u.admit(context.Background(), p, u.line.mu.at(at))
	if u.Observe != nil {
		u.observeSent(p, Event{Token: p.token})
	}
	return p, true
}

// look passes on what has changed by itself, and returns why there are no permits.
func (u *Upstream) look() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.steerInTimeLocked()
	return u.mu.err
}

// admit makes p the permit of a token, and returns the instant. It reports false if the deadline of
// ctx has passed.
func (u *Upstream) admit(ctx context.Context, p *Permit, token time.Time) (now time.Time, ok bool) {
	u.mu.Lock()
	now = time.Now()
	p.upstream, p.token, p.ticket = u, token, u.mu.controller.Sent(now)
	u.mu.maxInFlight = max(u.mu.maxInFlight, u.mu.controller.Places())
	u.steerLocked(now)
	late := expired(ctx, now)
	if !late {
		u.mu.sent++
	}
	u.mu.Unlock()
	if late {
		u.takeBack(p)
	}
	return now, !late
}

// expired reports whether the deadline of a context has passed, though perhaps the context has not
// ended yet.
func expired(ctx context.Context, now time.Time) bool {
	deadline, ok := ctx.Deadline()
	return ok && !now.Before(deadline)
}

// again takes a place and tokens for a request that has its permit and is about to be sent once
// more, perhaps since the server did not want it. Meanwhile it is not in flight. After an error it
// is not in flight any more.
func (u *Upstream) again(ctx context.Context, p *Permit, weight int, refused bool) error {
	u.mu.Lock()
	now := time.Now()
	if refused {
		u.mu.ended[SignalOverloaded]++
	}
	u.mu.controller.Recall(&p.ticket, refused, now)
	u.steerLocked(now)
	u.mu.Unlock()
	u.landed()
	token, _, err := u.token(ctx, weight)
	if err != nil {
		p.landed = true
		return err
	}
	p.token = token
	u.mu.Lock()
	defer u.mu.Unlock()
	now = time.Now()
	u.mu.controller.Resent(&p.ticket, now)
	u.steerLocked(now)
	return nil
}

// resent counts a request that has its permit and was let go once more.
func (u *Upstream) resent() {
	u.mu.Lock()
	u.mu.sent++
	u.mu.Unlock()
}

// token waits for the tokens of one attempt, and returns when they were given out and, if anybody
// is to know, what held them up.
func (u *Upstream) token(ctx context.Context, weight int) (_ time.Time, waited Waited, err error) {
	observed := u.observed || u.Observe != nil
	var before Waited
	if observed {
		_, before = u.waits.snapshot()
	}
	at, err := u.line.waitN(ctx, max(weight, 1))
	if observed {
		_, waited = u.waits.snapshot()
		waited = waited.since(before)
	}
	return u.line.mu.at(at), waited, err
}

// Pause stops sending until the given instant, as if the server had asked for it. Of several pauses
// the one that ends last holds. The source is for people to read.
func (u *Upstream) Pause(until time.Time, source string) { u.line.pause(until, source, false) }

// Resume ends a pause now.
func (u *Upstream) Resume() {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	u.mu.controller.Resume(now)
	u.steerLocked(now)
	u.line.resume()
}

// Expect tells the upstream how many requests a second the server allows, as another process has
// found or an earlier run: it sends at that rate, and looks for more later on, as after it has
// found a rate itself. It does nothing during a cool-down, while the server is down, where
// [Limits.Rate] is set or Limits are Fixed, and for a rate that is not above zero.
func (u *Upstream) Expect(r rate.Limit) {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	u.mu.controller.Expect(float64(r), now)
	u.steerLocked(now)
}

// Stop fails callers that wait, and all that come later, with a [*StopError] that wraps err.
// Requests in flight are left to finish. Only the first call counts.
func (u *Upstream) Stop(err error) {
	u.line.stop(&StopError{Err: err})
}

// latency returns the usual latency, 0 if it is not known.
func (u *Upstream) latency() time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.mu.controller.State(time.Now()).Latency
}

// idle reports whether the upstream is not in use and a new one in its place would do the same.
func (u *Upstream) idle() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.mu.limits == u.mu.made && !u.mu.kept && u.mu.controller.Places() == 0 &&
		!u.mu.controller.Refused() && u.line.full()
}

// findingLocked requires that mu is held, and that the orders were passed on.
func (u *Upstream) findingLocked(now time.Time) finding {
	s := u.mu.controller.State(now)
	return finding{
		Phase(s.Phase), u.mu.orders.Room, validRate(rate.Limit(s.Rate)), s.Reason,
	}
}

// feed records how a request went.
func (u *Upstream) feed(t adaptive.Ticket, f Feedback) (n news) {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now() // not before the lock: the controller's time does not go back
	if int(f.Signal) < len(u.mu.ended) {
		u.mu.ended[f.Signal]++
	}
	p := u.mu.controller.Done(t, f.sample(), now)
	// First of all, so that no request leaves at a rate that is not known yet.
	if !p.Until.IsZero() && u.line.pause(p.Until, p.Source, p.Own) {
		n.until, n.source = p.Until, p.Source
	}
	u.steerLocked(now)
	n.finding = u.findingLocked(now)
	if n.changed = n.differs(u.mu.told); n.changed {
		if n.grown(u.mu.told) {
			n.reason = growing
		}
		u.mu.told = n.finding
	}
	return n
}

// landed counts a request out.
func (u *Upstream) landed() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.mu.controller.Landed()
	u.steerLocked(time.Now()) // before its place is free: a quota may have none left
	u.line.land()
}
