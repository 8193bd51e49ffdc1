package order

import (
	"context"
	"sync"
	"time"
)

const (
	// MaxPasses is how often the end of a run tries a job once more at most.
	MaxPasses = 3
	// maxLater bounds the memory for jobs that the end of a run comes back to.
	maxLater = 50_000
)

// Later holds the jobs that come up again at the end of a run. The zero value is ready to use. Its
// methods may be called concurrently.
type Later[J any] struct {
	mu       sync.Mutex
	jobs     []J
	until    time.Time // when the last of them may be asked about
	settling time.Time // until when ComeBack waits
}

// Add leaves a job to the end of the run, unless it is optional and there are too many. If at is
// not zero, the server may be asked about it from then on.
func (l *Later[J]) Add(j J, at time.Time, optional bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if optional && len(l.jobs) >= maxLater {
		return false
	}
	l.jobs = append(l.jobs, j)
	if at.After(l.until) {
		l.until = at
	}
	return true
}

// Take returns the jobs that are left, and leaves none.
func (l *Later[J]) Take() []J {
	jobs, _ := l.take()
	return jobs
}

// take is Take, and returns also when the last of the jobs may be asked about.
func (l *Later[J]) take() (jobs []J, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	jobs, until = l.jobs, l.until
	l.jobs, l.until = nil, time.Time{}
	return jobs, until
}

// Settling returns until when ComeBack waits before servers are asked; zero if it does not.
func (l *Later[J]) Settling() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.settling
}

func (l *Later[J]) setSettling(until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settling = until
}

// A Returner sends jobs once more, or gives them back.
type Returner[J any] interface {
	Sender[J]
	// Settles is called before the wait until servers can be asked about so many jobs.
	Settles(jobs int, wait time.Duration)
	// InVain reports whether the job's server still takes nothing.
	InVain(j J) bool
	// GiveBack reports a job as it ended last.
	GiveBack(j J)
}

// ComeBack sends the jobs once more, until there are none, they had MaxPasses, or ctx ends. It
// gives back those that would be sent in vain.
func (l *Later[J]) ComeBack(ctx context.Context, r Returner[J]) {
	for range MaxPasses {
		if r.Wait(ctx) != nil {
			return
		}
		jobs, until := l.take()
		if len(jobs) == 0 {
			return
		}
		if wait := time.Until(until); wait > 0 {
			r.Settles(len(jobs), wait)
			l.setSettling(until)
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
			l.setSettling(time.Time{})
		}
		for _, j := range jobs {
			if r.InVain(j) || r.Submit(ctx, j) != nil {
				r.GiveBack(j)
			}
		}
	}
}
