package lab

import (
	"net/http"
	"time"
)

var threadsPreset = preset{Preset{
	Name:    "threads",
	Summary: "k workers with a queue before them; 503 when the queue is full",
	Params: []Param{
		{"k", "5", "requests worked on at once"},
		{"service", "100ms", "the work on a request, once its body is read"},
		{"backlog", "20", "requests that may wait"},
	},
}, func(v *values) rule {
	return newThreads(v.count("k", 1), v.count("backlog", 0), v.duration("service", 0))
}}

var connsPreset = preset{Preset{
	Name:    "conns",
	Summary: "n requests at once, else 503",
	Params: []Param{
		{"n", "4", "requests at once"},
		{"service", "100ms", "the work on a request, once its body is read"},
	},
}, func(v *values) rule {
	return newThreads(v.count("n", 1), 0, v.duration("service", 0))
}}

// threads are workers with a queue, first come first served. A worker goes on
// when its client has given up, as real ones do that block.
type threads struct {
	service time.Duration
	places  chan struct{} // holds one for each request that is worked on or waits
	workers chan struct{} // holds one for each that is worked on
}

func newThreads(workers, backlog int, service time.Duration) *threads {
	return &threads{
		service: service,
		places:  make(chan struct{}, workers+backlog),
		workers: make(chan struct{}, workers),
	}
}

func (t *threads) serve(x *exchange) {
	select {
	case t.places <- struct{}{}:
		defer func() { <-t.places }()
	default:
		x.refuse(http.StatusServiceUnavailable, -1)
		return
	}
	select {
	case t.workers <- struct{}{}: // those who wait get in first come, first served
		defer func() { <-t.workers }()
	case <-x.closing:
		x.breakOff()
	}
	x.read(nil)
	x.sleepUntil(time.Now().Add(t.service))
	x.store()
	x.answer()
}
