package model

import (
	"container/heap"
	"context"
	"math"
	"net/http"
	"sync"
	"time"
)

// CPU describes a server whose requests share its cores: of n requests each gets a core, or its
// share of the cores where n is more. Before it stands a gateway that reads a body whole.
type CPU struct {
	Cores float64
	Work  time.Duration // of one core for a request, or the mean of it
	Sigma float64       // of the work, which is log-normal; if zero, it is always the same
	Seed  uint64        // of the work
	// of the gateway, which answers 504 then, and the work runs on; if zero, none
	Timeout time.Duration
	// requests worked on at once, those answered 504 too, else 503; if zero, no limit
	Limit  int
	Factor Schedule // of the cores
}

type cpu struct {
	CPU
	work   *work
	shared *Shared
}

// NewCPU returns such a server as a model.
func NewCPU(c CPU) Model {
	return &cpu{c, newWork(c.Work, c.Sigma, c.Seed), NewShared(c.Cores, c.Factor)}
}

func (c *cpu) Serve(ctx context.Context, r Request) Answer {
	if !r.read() {
		return Answer{}
	}
	began := time.Now()
	work := c.work.draw()
	finished, ok := c.shared.start(work, c.Limit)
	if !ok {
		return refusal(http.StatusServiceUnavailable)
	}
	var timeout <-chan time.Time
	if c.Timeout > 0 {
		timer := time.NewTimer(c.Timeout)
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-finished:
		return done(began, work)
	case <-timeout:
		return refusal(http.StatusGatewayTimeout)
	case <-ctx.Done():
		return Answer{}
	}
}

// Shared is a capacity that jobs share evenly (processor sharing), such as the cores of a machine
// or the bandwidth of a link: of n jobs each goes at the speed min(1, capacity/n).
type Shared struct {
	capacity float64
	factor   Schedule
	epoch    time.Time

	mu sync.Mutex // protects all below
	at time.Duration
	// seconds of work that a job would have by now that was there from the beginning
	attained float64
	jobs     jobs
	timer    *time.Timer // for the next event; nil before the first
}

// NewShared returns a capacity that is not in use yet.
func NewShared(capacity float64, factor Schedule) *Shared {
	return &Shared{capacity: capacity, factor: factor, epoch: time.Now()}
}

// Do returns when that much work is done.
func (s *Shared) Do(work time.Duration) {
	finished, _ := s.start(work, 0)
	<-finished
}

// start adds a job, and returns a channel that is closed at its end. With limit jobs or more there
// already it adds none; if zero, no limit.
func (s *Shared) start(work time.Duration, limit int) (finished <-chan struct{}, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advanceLocked(time.Since(s.epoch))
	if limit > 0 && len(s.jobs) >= limit {
		return nil, false
	}
	j := job{end: s.attained + work.Seconds(), finished: make(chan struct{})}
	heap.Push(&s.jobs, j)
	s.armLocked()
	return j.finished, true
}

func (s *Shared) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advanceLocked(time.Since(s.epoch))
	s.armLocked()
}

// advanceLocked goes from event to event up to now, which may be late. It requires that mu is held.
func (s *Shared) advanceLocked(now time.Duration) {
	for {
		// seconds: less than the clock tells
		for len(s.jobs) > 0 && s.jobs[0].end <= s.attained+1e-10 {
			close(heap.Pop(&s.jobs).(job).finished)
		}
		if len(s.jobs) == 0 {
			s.attained = 0 // which keeps it exact
		}
		if s.at >= now {
			return
		}
		speed, event := s.nextLocked()
		event = min(event, now)
		s.attained += speed * (event - s.at).Seconds()
		s.at = event
	}
}

// nextLocked returns the speed of each job and when it next changes, because one ends or the
// capacity does. It requires that mu is held.
func (s *Shared) nextLocked() (speed float64, event time.Duration) {
	factor, event := s.factor.at(s.at)
	if len(s.jobs) == 0 {
		return 0, event
	}
	speed = min(1, s.capacity*factor/float64(len(s.jobs)))
	left := (s.jobs[0].end - s.attained) / speed * float64(time.Second)
	if left < float64(event-s.at) {
		event = s.at + time.Duration(math.Ceil(left))
	}
	return speed, event
}

// armLocked sets the timer. It requires that mu is held.
func (s *Shared) armLocked() {
	if len(s.jobs) == 0 {
		return
	}
	_, event := s.nextLocked()
	if s.timer == nil {
		s.timer = time.AfterFunc(event-s.at, s.tick)
	} else {
		s.timer.Reset(event - s.at)
	}
}

// A job ends when the work attained has come to end.
type job struct {
	end      float64
	finished chan struct{}
}

// jobs is a heap by end.
type jobs []job

func (j jobs) Len() int           { return len(j) }
func (j jobs) Less(a, b int) bool { return j[a].end < j[b].end }
func (j jobs) Swap(a, b int)      { j[a], j[b] = j[b], j[a] }
func (j *jobs) Push(x any)        { *j = append(*j, x.(job)) }
func (j *jobs) Pop() any {
	last := len(*j) - 1
	x := (*j)[last]
	(*j)[last] = job{}
	*j = (*j)[:last]
	return x
}
