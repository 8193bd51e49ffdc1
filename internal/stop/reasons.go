package stop

import (
	"sync"

	"github.com/penstock/penstock/internal/exit"
)

// Ending is the error of work that is dropped because the run is ending. Its text leaves out the
// reason, which is said once and not with each item.
type Ending struct{ Reason }

func (Ending) Error() string   { return "the run is ending" }
func (e Ending) Unwrap() error { return e.Reason }

// Reasons collects why a run ends. Its methods may be called concurrently.
type Reasons struct {
	Begin func() // called once, by the first reason; set before the first use

	mu               sync.Mutex
	first, strongest Reason
}

// Add records a reason to end the run, and begins to stop it if it is the first.
func (r *Reasons) Add(reason Reason) {
	r.mu.Lock()
	begins := r.first == nil
	if begins {
		r.first = reason
	}
	if begins || exit.Stronger(reason.Exit(), r.strongest.Exit()) {
		r.strongest = reason
	}
	r.mu.Unlock()
	if begins {
		r.Begin()
	}
}

// Cause returns an [Ending], by the first reason; nil if the run is not ending.
func (r *Reasons) Cause() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.first == nil {
		return nil
	}
	return Ending{r.first}
}

// Strongest returns the reason whose exit status counts, the first if several have it; nil if there
// is none.
func (r *Reasons) Strongest() Reason {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.strongest
}
