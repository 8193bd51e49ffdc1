package lab

import (
	"context"
	"net/http"
	"time"
)

var threadsPreset = preset{Preset{
	Name:    "threads",
	Summary: "k workers with a queue before them; 503 when the queue is full",
	Params: []Param{
		{"k", "5", "requests worked on at once"},
		{"service", "100ms", "the work on a request, once its body is read"},
		{"sigma", "0", "spread of the work: it is log-normal, with service as its mean"},
		{"seed", "1", "of the random work"},
		{"backlog", "20", "requests that may wait"},
		{"refusal", "503", "status when the queue is full: 503 or 429"},
	},
}, func(v *values) rule {
	return modelled{NewThreads(Threads{
		Workers: v.count("k", 1),
		Backlog: v.count("backlog", 0),
		Service: v.duration("service", 0),
		Sigma:   v.number("sigma"),
		Seed:    uint64(v.count("seed", 0)),
		Refusal: v.status("refusal", 503, 429),
	})}
}}

var connsPreset = preset{Preset{
	Name:    "conns",
	Summary: "n requests at once, else 503",
	Params: []Param{
		{"n", "4", "requests at once"},
		{"service", "100ms", "the work on a request, once its body is read"},
	},
}, func(v *values) rule {
	return modelled{NewThreads(Threads{Workers: v.count("n", 1), Service: v.duration("service", 0)})}
}}

// Threads describes workers with a queue, first come first served.
type Threads struct {
	Workers int
	Backlog int           // requests that may wait; more are refused
	Service time.Duration // work on a request, or the mean of it
	Sigma   float64       // of the work, which is log-normal; if zero, it is always the same
	Seed    uint64        // of the work
	Refusal int           // status; if zero, 503
}

// threads are workers. One goes on when its client has given up, as real ones do
// that block.
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
