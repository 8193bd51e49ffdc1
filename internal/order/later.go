package order

import (
	"sync"
	"time"
)

// maxLater bounds the memory for jobs that the end of a run comes back to.
const maxLater = 50_000

// Later holds the jobs that come up again at the end of a run. The zero value is ready to use. Its
// methods may be called concurrently.
type Later[J any] struct {
	mu    sync.Mutex
	jobs  []J
	until time.Time // when the last of them may be asked about
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

// Take returns the jobs, and when the last of them may be asked about, and leaves none.
func (l *Later[J]) Take() (jobs []J, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	jobs, until = l.jobs, l.until
	l.jobs, l.until = nil, time.Time{}
	return jobs, until
}
