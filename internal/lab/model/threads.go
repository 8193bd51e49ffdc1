package model

import (
	"context"
	"net/http"
	"time"
)

// Threads describes workers with a queue, first come first served.
type Threads struct {
	Workers int
	Backlog int           // requests that may wait; more are refused
	Service time.Duration // work on a request, or the mean of it
	Sigma   float64       // of the work, which is log-normal; if zero, it is always the same
	Seed    uint64        // of the work
	Refusal int           // status; if zero, 503
}

// threads are workers. One goes on when its client has given up, as real ones do that block.
type threads struct {
	work    *work
	refusal int
	places  chan struct{} // holds one for each request that is worked on or waits
	workers chan struct{} // holds one for each that is worked on
}

// NewThreads returns such workers as a model.
func NewThreads(t Threads) Model {
	if t.Refusal == 0 {
		t.Refusal = http.StatusServiceUnavailable
	}
	return &threads{
		work:    newWork(t.Service, t.Sigma, t.Seed),
		refusal: t.Refusal,
		places:  make(chan struct{}, t.Workers+t.Backlog),
		workers: make(chan struct{}, t.Workers),
	}
}

func (t *threads) Serve(ctx context.Context, r Request) Answer {
	select {
	case t.places <- struct{}{}:
		defer func() { <-t.places }()
	default:
		return refusal(t.refusal)
	}
	work := t.work.draw()
	select {
	case t.workers <- struct{}{}: // waiting requests get in first come, first served
		defer func() { <-t.workers }()
	case <-ctx.Done():
		return Answer{}
	}
	if !r.read() {
		return Answer{}
	}
	began := time.Now()
	if !sleep(ctx, work) {
		return Answer{}
	}
	return done(began, work)
}
