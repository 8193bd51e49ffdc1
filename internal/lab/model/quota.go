package model

import (
	"context"
	"math"
	"net/http"
	"sync"
	"time"
)

// Quotas describes a server that accepts so many requests in a time and refuses the rest.
type Quotas struct {
	// A token bucket of that many tokens a second, which holds N; or where Window is given, N
	// requests in each window of the wall clock, or in any window.
	Rate         float64
	N            int
	Window       time.Duration
	Sliding      bool     // in any
	CountRefused bool     // refused requests use up a sliding window too
	Factor       Schedule // of Rate

	Service    time.Duration // from the arrival of an accepted request to its answer
	Refusal    int           // status; if zero, 429
	RetryAfter bool          // a refusal says when there is quota again
	Headers    bool          // every answer states the quota
}

// NewQuota returns such a server as a model.
func NewQuota(q Quotas) Model {
	if q.Refusal == 0 {
		q.Refusal = http.StatusTooManyRequests
	}
	l := &limited{Quotas: q}
	switch {
	case q.Window == 0:
		l.Window = time.Duration(float64(q.N) / q.Rate * float64(time.Second))
		l.quota = newTokenBucket(q.Rate, q.N, q.Factor)
	case q.Sliding:
		l.quota = &slidingWindow{n: q.N, span: q.Window, countRefused: q.CountRefused}
	default:
		l.quota = &fixedWindow{n: q.N, span: q.Window}
	}
	return l
}

// A quota counts requests. It reports whether the one at the instant t is accepted, how many more
// would be, and after how long there will be more.
type quota interface {
	take(t time.Time) (ok bool, left int, reset time.Duration)
}

// seconds is the least whole number of seconds that is not shorter than d, as Retry-After has it.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// limited accepts what a quota allows.
type limited struct {
	Quotas // with the time in which a token bucket fills as its Window
	quota  quota
}

func (l *limited) Serve(ctx context.Context, r Request) Answer {
	at := r.arrived()
	ok, left, reset := l.quota.take(at)
	a := refusal(l.Refusal)
	if ok {
		if !r.read() || !sleep(ctx, time.Until(at.Add(l.Service))) {
			return Answer{}
		}
		a = done(at, 0)
		a.Ended = at
	} else if l.RetryAfter {
		a.RetryAfter = seconds(reset)
	}
	if l.Headers {
		a.Quota = &Quota{Limit: l.N, Remaining: left, Window: l.Window, Reset: reset}
	}
	return a
}

// tokenBucket begins full.
type tokenBucket struct {
	rate   float64
	n      int
	factor Schedule
	epoch  time.Time

	mu     sync.Mutex // protects the two below
	tokens float64
	at     time.Duration
}

func newTokenBucket(rate float64, n int, factor Schedule) *tokenBucket {
	return &tokenBucket{rate: rate, n: n, factor: factor, epoch: time.Now(), tokens: float64(n)}
}

func (b *tokenBucket) take(at time.Time) (ok bool, left int, reset time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := at.Sub(b.epoch)
	for b.at < t {
		factor, until := b.factor.at(b.at)
		until = min(until, t)
		b.tokens = min(float64(b.n), b.tokens+b.rate*factor*(until-b.at).Seconds())
		b.at = until
	}
	const least = 1 - 1e-9 // a token, but for rounding
	if ok = b.tokens >= least; ok {
		b.tokens = max(0, b.tokens-1)
	}
	left = int(b.tokens + 1e-9)
	factor, _ := b.factor.at(b.at)
	missing := float64(left+1) - b.tokens
	return ok, left, time.Duration(math.Ceil(missing / (b.rate * factor) * float64(time.Second)))
}
