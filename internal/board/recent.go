package board

import (
	"slices"
	"sync"
)

// maxRecent is how many failures are kept.
const maxRecent = 20

// Recent keeps the last failures. The zero value is ready. Its methods may be called concurrently.
type Recent struct {
	mu   sync.Mutex
	last []Failure // the newest first
}

// Add adds a failure.
func (r *Recent) Add(f Failure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.last) == maxRecent {
		r.last = r.last[:maxRecent-1]
	}
	r.last = slices.Insert(r.last, 0, f)
}

// List returns them, the newest first.
func (r *Recent) List() []Failure {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Failure{}, r.last...)
}
