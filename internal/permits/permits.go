// Package permits limits how many callers hold a permit at once. It knows nothing of rates or
// servers: for those see the package throttle.
package permits

import (
	"container/list"
	"context"
	"sync"
)

// A Limit is how many may hold a [Permit] at once. Callers that wait are served in the order in
// which they came.
//
// The limit may change while permits are out: raising it serves callers that wait at once, lowering
// it takes effect as permits come back.
//
// It is safe for concurrent use. Use [New]; it must not be copied.
type Limit struct {
	mu          sync.Mutex
	limit, held int
	waiting     list.List // of chan struct{}, each closed when its caller is served
}

// New returns a limit of so many permits. With 0 or less, all callers wait until it is raised;
// [math.MaxInt] is no limit.
func New(limit int) *Limit { return &Limit{limit: limit} }

// Acquire blocks until a permit is free and takes it. The caller must release it. When ctx ends
// first, Acquire returns its cause (see [context.Cause]).
func (l *Limit) Acquire(ctx context.Context) (*Permit, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	l.mu.Lock()
	if l.waiting.Len() == 0 && l.held < l.limit {
		l.held++
		l.mu.Unlock()
		return &Permit{of: l}, nil
	}
	served := make(chan struct{})
	at := l.waiting.PushBack(served)
	l.mu.Unlock()
	select {
	case <-served:
		return &Permit{of: l}, nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-served: // at that very instant
		return &Permit{of: l}, nil
	default:
		l.waiting.Remove(at)
		return nil, context.Cause(ctx)
	}
}

// SetLimit sets the limit; for its values see [New].
func (l *Limit) SetLimit(limit int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limit = limit
	l.serveLocked()
}

// serveLocked hands out free permits. It requires that mu is held.
func (l *Limit) serveLocked() {
	for l.held < l.limit && l.waiting.Len() > 0 {
		l.held++
		close(l.waiting.Remove(l.waiting.Front()).(chan struct{}))
	}
}

// A Permit is one of a [Limit]. It is safe for concurrent use.
type Permit struct {
	of   *Limit
	once sync.Once
}

// Release gives the permit back. Only the first call counts.
func (p *Permit) Release() {
	p.once.Do(func() {
		p.of.mu.Lock()
		defer p.of.mu.Unlock()
		p.of.held--
		p.of.serveLocked()
	})
}
