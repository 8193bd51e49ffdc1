package lab

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"
)

var quotaPreset = preset{Preset{
	Name:    "quota",
	Summary: "a token bucket, else a refusal",
	Params: []Param{
		{"rate", "10", "tokens a second"},
		{"burst", "10", "tokens that the bucket holds"},
		{"service", "100ms", "from the arrival of an accepted request to its answer"},
		{"refusal", "429", "status of a request beyond that: 429, 503, 502 or 509"},
		{"retry-after", "true", "a refusal says when there is a token again"},
		{"headers", "false", "tell the quota with every answer: RateLimit, RateLimit-Policy, X-RateLimit-*, all in seconds from now"},
	},
}, func(v *values) rule {
	return modelled{NewQuota(Quotas{
		Rate:       v.positive("rate"),
		N:          v.count("burst", 1),
		Service:    v.duration("service", 0),
		Refusal:    v.status("refusal", 429, 503, 502, 509),
		RetryAfter: v.flag("retry-after"),
		Headers:    v.flag("headers"),
	})}
}}

// Quotas describes a server that accepts so many requests in a time and refuses
// the rest.
type Quotas struct {
	// A token bucket of that many tokens a second, which holds N; or where Window
	// is given, N requests in each window of the wall clock, or in any window.
	Rate         float64
	N            int
	Window       time.Duration
	Sliding      bool     // in any
	CountRefused bool     // refused requests use up a sliding window too
	Factor       Schedule // of Rate

	Service    time.Duration // from the arrival of an accepted request to its answer
	Refusal    int           // status; if zero, 429
	RetryAfter bool          // a refusal says when there is quota again
	Headers    bool          // every answer tells the quota
}

// NewQuota returns such a server as a model.
func NewQuota(q Quotas) Model {
	l := &limited{n: q.N, window: q.Window, service: q.Service, refusal: q.Refusal, retryAfter: q.RetryAfter, headers: q.Headers}
	if l.refusal == 0 {
		l.refusal = http.StatusTooManyRequests
	}
	switch {
	case q.Window == 0:
		l.window = time.Duration(float64(q.N) / q.Rate * float64(time.Second))
		l.quota = newTokenBucket(q.Rate, q.N, q.Factor)
	case q.Sliding:
		l.quota = &slidingWindow{n: q.N, span: q.Window, countRefused: q.CountRefused}
	default:
		l.quota = &fixedWindow{n: q.N, span: q.Window}
	}
	return l
}

// A quota counts requests. It returns whether the one at the instant t is
// accepted, how many more would be, and after how long there will be more.
type quota interface {
	take(t time.Time) (ok bool, left int, reset time.Duration)
}

// limited accepts what a quota allows.
type limited struct {
	quota      quota
	n          int
	window     time.Duration
	service    time.Duration
	refusal    int
	headers    bool
	retryAfter bool
}

func (l *limited) Serve(ctx context.Context, r Request) Answer {
	at := r.arrived()
	ok, left, reset := l.quota.take(at)
	a := refusal(l.refusal)
	if ok {
		if !r.read() || !sleep(ctx, time.Until(at.Add(l.service))) {
			return Answer{}
		}
		a = done(at, 0)
		a.Ended = at
	} else if l.retryAfter {
		a.RetryAfter = seconds(reset)
	}
	if l.headers {
		a.Quota = &Quota{Limit: l.n, Remaining: left, Window: l.window, Reset: reset}
	}
	return a
}

func (q *Quota) tell(h http.Header) {
	h.Set("RateLimit-Policy", fmt.Sprintf(`"default";q=%d;w=%d`, q.Limit, seconds(q.Window)))
	h.Set("RateLimit", fmt.Sprintf(`"default";r=%d;t=%d`, q.Remaining, seconds(q.Reset)))
	h.Set("X-RateLimit-Limit", strconv.Itoa(q.Limit))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(q.Remaining))
	// Not a Unix time as some servers send it: in tests on fake time, which
	// begins in the year 2000, that is not told from a delay.
	h.Set("X-RateLimit-Reset", strconv.Itoa(seconds(q.Reset)))
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
