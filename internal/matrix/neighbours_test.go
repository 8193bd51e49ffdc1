package matrix

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/penstock/penstock/internal/lab/model"
	"github.com/penstock/penstock/internal/permits"
	"github.com/penstock/penstock/throttle"
)

// A naive is a client of somebody else: a number of requests at once that grows by one with each
// that many successes and halves with each failure (AIMD), or that stays. Whatever fails it sends
// again at once.
type naive struct {
	permits *permits.Limit

	mu    sync.Mutex
	fixed bool
	limit float64
}

func newAIMD() pacer { return newNaive(1, false) }

func newFixed(n int) pacer { return newNaive(float64(n), true) }

func newNaive(limit float64, fixed bool) *naive {
	return &naive{permits: permits.New(int(limit)), limit: limit, fixed: fixed}
}

func (n *naive) acquire(ctx context.Context) (permit, error) {
	p, err := n.permits.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	return naivePermit{n, p}, nil
}

func (n *naive) state() state {
	n.mu.Lock()
	defer n.mu.Unlock()
	return state{limit: int(n.limit)}
}

type naivePermit struct {
	n *naive
	p *permits.Permit
}

func (p naivePermit) Done(f throttle.Feedback) {
	n := p.n
	n.mu.Lock()
	switch {
	case n.fixed:
	case f.Signal == throttle.SignalSuccess:
		n.limit = min(n.limit+1/n.limit, maxLimit)
	case f.Signal != throttle.SignalIgnored:
		n.limit = max(n.limit/2, 1)
	}
	n.permits.SetLimit(int(n.limit))
	n.mu.Unlock()
	p.p.Release()
}

// both is a quota before a server.
type both struct{ quota, server model.Model }

func (b both) Serve(ctx context.Context, r model.Request) model.Answer {
	if a := b.quota.Serve(ctx, r); a.Status != http.StatusCreated {
		return a
	}
	return b.server.Serve(ctx, r)
}

// A stray refuses single requests, whatever the server could do.
type stray struct {
	model.Model
	answer model.Answer

	mu    sync.Mutex // protects all below
	due   due
	start time.Time
	n     int
	last  time.Time // when the last one was refused
}

// due reports whether the nth request, at that time of the run, is refused.
type due func(n int, now time.Duration) bool

func (s *stray) Serve(ctx context.Context, r model.Request) model.Answer {
	if s.refuses(time.Now()) {
		return s.answer
	}
	return s.Model.Serve(ctx, r)
}

func (s *stray) refuses(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	if !s.due(s.n, now.Sub(s.start)) {
		return false
	}
	s.last = now
	return true
}

// tenth is a random tenth.
func tenth(seed uint64) due {
	rnd := rand.New(rand.NewPCG(seed, 3))
	return func(int, time.Duration) bool { return rnd.IntN(10) == 0 }
}

// twice are two requests, three apart, after so many.
func twice(after int) func(uint64) due {
	return func(uint64) due {
		return func(n int, _ time.Duration) bool { return n == after+1 || n == after+4 }
	}
}

// hot is a request in each minute that is sent again at these seconds of it.
func hot(at ...int) func(uint64) due {
	return func(uint64) due {
		next := 0
		return func(_ int, now time.Duration) bool {
			again := time.Duration(next/len(at))*time.Minute +
				time.Duration(at[next%len(at)])*time.Second
			if now < again {
				return false
			}
			next++
			return true
		}
	}
}

// never accepts nothing.
type never struct{ retryAfter int }

func (n never) Serve(context.Context, model.Request) model.Answer {
	return model.Answer{Status: 429, RetryAfter: n.retryAfter}
}

// A liar refuses as its model does, and says nonsense about when to come back.
type liar struct {
	model.Model
	mu  sync.Mutex
	rnd *rand.Rand
}

func (l *liar) Serve(ctx context.Context, r model.Request) model.Answer {
	a := l.Model.Serve(ctx, r)
	if a.Status != 429 {
		return a
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch x := l.rnd.Float64(); {
	case x < 0.01:
		a.RetryAfter = 365 * 24 * 3600
	case x < 0.3:
		a.RetryAfter = -l.rnd.IntN(30)
	default:
		a.RetryAfter = l.rnd.IntN(31)
	}
	return a
}
