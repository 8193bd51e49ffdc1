package exit

import (
	"fmt"
	"sync"
)

// Reasons collects why a run ends before all its items have. Its methods may be called
// concurrently.
type Reasons struct {
	Begin func() // called once, by the first reason; set before the first use

	mu       sync.Mutex
	first    error
	byStatus map[int]error
}

// Add records a reason to end the run, and begins to stop it if it is the first. Of several with a
// status the first one counts.
func (r *Reasons) Add(status int, reason error) {
	r.mu.Lock()
	first := r.first == nil
	if first {
		r.first = fmt.Errorf("the run is ending: %w", reason)
		r.byStatus = make(map[int]error)
	}
	if r.byStatus[status] == nil {
		r.byStatus[status] = reason
	}
	r.mu.Unlock()
	if first {
		r.Begin()
	}
}

// Cause is why the run is ending; nil if it is not.
func (r *Reasons) Cause() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.first
}

// Strongest returns which of the statuses that have a reason counts, and the reason. Without any it
// returns Delivered.
func (r *Reasons) Strongest() (status int, reason error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rank := len(statuses)
	for _, s := range statuses {
		if why := r.byStatus[s.status]; why != nil && s.rank < rank {
			rank, status, reason = s.rank, s.status, why
		}
	}
	return status, reason
}
