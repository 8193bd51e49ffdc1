package matrix

import (
	"context"
	"math"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock/internal/lab/model"
	"github.com/penstock/penstock/throttle"
)

// workers of a client: more than any limit lets send.
const workers = 300

// A pacer says when a request may be sent.
type pacer interface {
	acquire(ctx context.Context) (permit, error)
	state() state
}

type permit interface{ Done(throttle.Feedback) }

// state is what a pacer reports about itself.
type state struct {
	limit         int     // 0: not told
	rate          float64 // 0: not told
	phase, reason string
	inFlight      int
}

// ours is what is judged.
type ours struct{ *throttle.Upstream }

func (o ours) acquire(ctx context.Context) (permit, error) {
	p, err := o.Acquire(ctx, 1)
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (o ours) state() state {
	stats := o.Stats()
	s := state{phase: stats.Phase.String(), reason: stats.Reason, inFlight: stats.InFlight}
	if stats.Limit < math.MaxInt32 {
		s.limit = stats.Limit
	}
	if stats.Rate < rate.Inf {
		s.rate = float64(stats.Rate)
	}
	return s
}

// A client sends all that its pacer allows.
type client struct {
	run    *run
	pacer  pacer
	judged bool          // is ours
	start  time.Duration // since that of the run; whole seconds
	kill   func()        // once it has begun
	tally  tally
}

func (c *client) work(ctx context.Context) {
	for c.run.take() && c.deliver(ctx) {
	}
}

// deliver sends an item until it is accepted; one of an endless backlog it sends once. It returns
// false at the end of the run.
func (c *client) deliver(ctx context.Context) bool {
	bytes, drawn := int64(0), false
	for {
		permit, err := c.pacer.acquire(ctx)
		if err != nil {
			return false
		}
		begin := time.Now()
		if begin.Sub(c.run.start) >= horizon {
			permit.Done(throttle.Feedback{})
			return false
		}
		c.run.arrive(c.judged)
		if !drawn {
			bytes, drawn = c.run.size(), true
		}
		c.tally.sent(begin)
		upload := c.run.upload(bytes, progress(permit, bytes))
		a, ok := c.run.serve(ctx, model.Request{Bytes: bytes})
		now := time.Now()
		f := feedback(a, ok, now)
		f.Latency, f.Bytes = now.Sub(begin), bytes
		f.Server = f.Latency - upload - a.Connect
		c.tally.ended(f, a, begin, now, c.run.weight(a))
		permit.Done(f)
		if c.run.cell.items == 0 {
			return true
		}
		if f.Signal == throttle.SignalSuccess {
			c.run.accepted(now)
			return true
		}
	}
}

// progress returns what is told of the progress of an upload: nothing of one that is small, as
// throttle.Transport does.
func progress(p permit, size int64) func(acked int64) {
	ours, ok := p.(*throttle.Permit)
	if !ok || size < 256<<10 {
		return func(int64) {}
	}
	return func(acked int64) { ours.Progress(acked, size) }
}

// feedback reads an answer as throttle.Transport does; ok is false where our own timeout came
// first.
func feedback(a model.Answer, ok bool, now time.Time) (f throttle.Feedback) {
	switch {
	case !ok:
		f.Signal = throttle.SignalTimedOut
		return f
	case a.Status == 0, a.Status == http.StatusBadGateway,
		a.Status == http.StatusServiceUnavailable:
		f.Signal = throttle.SignalOverloaded
	case a.Status == http.StatusGatewayTimeout:
		f.Signal = throttle.SignalTimedOut
	case a.Status == http.StatusTooManyRequests:
		f.Signal = throttle.SignalThrottled
	case a.Status >= 500:
		f.Signal = throttle.SignalFailed
	default:
		f.Signal = throttle.SignalSuccess
	}
	if a.Status != 0 && a.RetryAfter > 0 {
		f.RetryAt, f.Source = now.Add(time.Duration(a.RetryAfter)*time.Second), "Retry-After"
	}
	if q := a.Quota; q != nil {
		f.Quotas = []throttle.Quota{{
			Remaining: int64(q.Remaining),
			Reset:     wholeSeconds(q.Reset), // as headers tell it
			Limit:     int64(q.Limit),
			Window:    wholeSeconds(q.Window),
		}}
	}
	return f
}

func wholeSeconds(d time.Duration) time.Duration {
	return (d + time.Second - 1).Truncate(time.Second)
}

// A tally is what a client did and got, by the second of the run.
type tally struct {
	run *run

	mu        sync.Mutex // protects all below
	seconds   []second
	inFlight  int
	latencies []float32 // of successes, in seconds

	maxInFlight  int
	early        int         // requests sent before a Retry-After had passed
	above        int         // requests sent above a ceiling
	heard, until time.Time   // the latest Retry-After
	recent       []time.Time // sends in the last second, if the rate has a ceiling
}

// A second of a run. Answers count where their request was sent.
type second struct {
	sent, accepted, throttled, overloaded, timedOut, failed int

	goodput float64 // work of accepted requests that the server did in it, in requests
	state   state   // at its end
}

func (s second) refused() int { return s.throttled + s.overloaded + s.timedOut + s.failed }

func (t *tally) at(when time.Time) *second {
	return &t.seconds[min(int(when.Sub(t.run.start)/time.Second), len(t.seconds)-1)]
}

func (t *tally) sent(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.at(now).sent++
	t.inFlight++
	t.maxInFlight = max(t.maxInFlight, t.inFlight)
	// What was heard at this very instant may have come after the permit.
	if now.Before(t.until) && t.heard.Before(now) {
		t.early++
	}
	limits := t.run.cell.limits
	if limits.InFlight > 0 && t.inFlight > limits.InFlight || !limits.Fixed &&
		t.inFlight > maxLimit {
		t.above++
	}
	if limits.Rate > 0 {
		for len(t.recent) > 0 && now.Sub(t.recent[0]) >= time.Second {
			t.recent = t.recent[1:]
		}
		t.recent = append(t.recent, now)
		if float64(len(t.recent)) > 1.01*float64(limits.Rate)+1 {
			t.above++
		}
	}
}

func (t *tally) ended(f throttle.Feedback, a model.Answer, begin, now time.Time, weight float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.inFlight--
	s := t.at(begin)
	switch f.Signal {
	case throttle.SignalSuccess:
		s.accepted++
		t.latencies = append(t.latencies, float32(f.Latency.Seconds()))
		t.credit(a, weight)
	case throttle.SignalThrottled:
		s.throttled++
	case throttle.SignalOverloaded:
		s.overloaded++
	case throttle.SignalTimedOut:
		s.timedOut++
	default:
		s.failed++
	}
	if f.RetryAt.After(t.until) {
		t.heard, t.until = now, f.RetryAt
	}
}

// credit spreads an accepted request evenly over the time that the server worked on it, so that
// neither the ends of the run nor those of the seconds matter.
func (t *tally) credit(a model.Answer, weight float64) {
	from, to := a.Began.Sub(t.run.start).Seconds(), a.Ended.Sub(t.run.start).Seconds()
	if to <= from {
		to = from + 1e-9
	}
	for i := int(from); i < len(t.seconds) && float64(i) < to; i++ {
		part := min(to, float64(i+1)) - max(from, float64(i))
		t.seconds[i].goodput += weight * part / (to - from)
	}
}
