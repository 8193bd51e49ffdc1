package send

import (
	"fmt"
	"sync"

	"github.com/penstock/penstock/internal/exit"
)

// ending collects why a run ends before all its items have.
type ending struct {
	begin func() // called once, by the first reason

	mu      sync.Mutex
	first   error
	reasons map[int]error // by exit status
}

// end notes a reason to end the run and begins to stop it.
func (r *run) end(status int, reason error) {
	e := &r.ending
	reason = r.secrets.clean(reason)
	e.mu.Lock()
	first := e.first == nil
	if first {
		e.first = fmt.Errorf("the run is ending: %w", reason)
		e.reasons = make(map[int]error)
	}
	if e.reasons[status] == nil {
		e.reasons[status] = reason
	}
	e.mu.Unlock()
	if first {
		e.begin()
	}
}

// cause is why the run is ending, nil while it is not.
func (e *ending) cause() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.first
}

// status returns the exit status of the reasons, and the reason.
func (e *ending) status() (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return exit.First(e.reasons)
}
