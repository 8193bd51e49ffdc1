// Package model has servers without HTTP: how the machinery of a server (cores, threads, quotas,
// outages) decides what becomes of a request, and how long that takes. On fake time a night takes
// seconds. The package lab serves them over HTTP; tests of the pace call them as they are.
package model

import (
	"context"
	"math"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// A Model decides, as the machinery of a server would, what becomes of a request and how long that
// takes. It needs nothing but timers and channels: the same model answers on fake time, where a
// night takes seconds, and behind a server of the package lab. It is safe for concurrent use.
type Model interface {
	// Serve blocks until the answer is there. A client that gives up changes nothing for the
	// server, so ctx is not the client's: it ends when the server dies, and Serve returns at once,
	// with no answer.
	Serve(ctx context.Context, r Request) Answer
}

// A Request is what a [Model] knows of a request.
type Request struct {
	Bytes int64     // length of the body
	At    time.Time // of the arrival; if zero, now

	// Read, if set, reads the body. It is called when the server begins to work on the request, and
	// not for what is refused before. If it returns false there is nothing to work on: Serve
	// returns at once, with no answer.
	Read func() bool
}

func (r *Request) arrived() time.Time {
	if r.At.IsZero() {
		return time.Now()
	}
	return r.At
}

func (r *Request) read() bool {
	return r.Read == nil || r.Read()
}

// An Answer is what a [Model] says. The zero value is no answer: a connection that was refused, or
// that broke.
type Answer struct {
	Status     int
	RetryAfter int    // seconds; below zero, and where Status is 0: not told
	Quota      *Quota // if nil, not told

	// What only a judge may know: when the work on what was accepted began and ended, and how much
	// work it was.
	Began, Ended time.Time
	Work         time.Duration

	// Connect is how long the connection took to make.
	Connect time.Duration
}

// A Quota is what is stated about an allowance of requests.
type Quota struct {
	Limit, Remaining int
	Window, Reset    time.Duration // Reset: until there is more
}

func refusal(status int) Answer { return Answer{Status: status, RetryAfter: -1} }

// done is the answer to a request that was accepted and worked on since began.
func done(began time.Time, work time.Duration) Answer {
	return Answer{Status: http.StatusCreated, RetryAfter: -1, Began: began, Ended: time.Now(),
		Work: work}
}

// sleep returns false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	if ctx.Done() == nil {
		time.Sleep(d)
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// A Schedule is a factor of a server's capacity that changes with time: its value so long after the
// server's start, and when it next changes. A nil Schedule is 1 forever.
type Schedule func(t time.Duration) (factor float64, until time.Duration)

func (s Schedule) at(t time.Duration) (factor float64, until time.Duration) {
	if s == nil {
		return 1, math.MaxInt64
	}
	return s(t)
}

// Steps has one factor after the other, each for a span, and keeps the last.
func Steps(span time.Duration, factors ...float64) Schedule {
	return func(t time.Duration) (float64, time.Duration) {
		i := int(t / span)
		if i >= len(factors)-1 {
			return factors[len(factors)-1], math.MaxInt64
		}
		return factors[i], time.Duration(i+1) * span
	}
}

// Alternate has the factor 1 for a span, the other one for as long, and so on.
func Alternate(span time.Duration, other float64) Schedule {
	return func(t time.Duration) (float64, time.Duration) {
		i := t / span
		factor := 1.0
		if i%2 == 1 {
			factor = other
		}
		return factor, (i + 1) * span
	}
}

// work draws how long requests take: log-normal with that mean, and without spread where sigma is
// zero.
type work struct {
	mean  time.Duration
	sigma float64

	mu  sync.Mutex
	rnd *rand.Rand // protected by mu
}

func newWork(mean time.Duration, sigma float64, seed uint64) *work {
	return &work{mean: mean, sigma: sigma, rnd: rand.New(rand.NewPCG(seed, 0))}
}

func (w *work) draw() time.Duration {
	if w.sigma == 0 {
		return w.mean
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Duration(float64(w.mean) * math.Exp(w.sigma*w.rnd.NormFloat64()-w.sigma*w.sigma/2))
}
