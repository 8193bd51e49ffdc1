package upstream

import (
	"sync"
	"time"
)

const (
	// LonePatience is how long the last items are tried if the server refuses them and has accepted
	// others. It is long enough for most restarts.
	LonePatience = 2 * time.Minute
	// loneRefusals is how often they are tried at least.
	loneRefusals = 3
)

// Refusals are the items that servers have refused and that wait for their next attempt, or have
// it, each known by a key. Its methods may be called concurrently.
type Refusals[K comparable] struct {
	mu   sync.Mutex
	rows map[K]refusal
	over bool // they have been tried for long enough
}

// A refusal is a row of equal statuses.
type refusal struct {
	server *Server
	// empty: it has headers of its own, and may be of an account whose quota is used up
	method string
	status int
	first  time.Time
	row    int
}

// Add records that the server refused an item with that method, empty if it has headers of its own.
// Status 0, no answer, is not about the item.
func (r *Refusals[K]) Add(key K, s *Server, method string, status int, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if status == 0 {
		delete(r.rows, key)
		return
	}
	if r.rows == nil {
		r.rows = make(map[K]refusal)
	}
	row := r.rows[key]
	if row.status != status {
		row = refusal{server: s, method: method, status: status, first: now}
	}
	row.row++
	r.rows[key] = row
}

// Forget ends what Add began.
func (r *Refusals[K]) Forget(key K) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.rows, key)
}

// AreOver reports whether the items have been tried for long enough.
func (r *Refusals[K]) AreOver() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.over
}

// isBad reports whether the item itself is the cause: others like it that were sent later were
// accepted, and the server has had time to restart.
func (f *refusal) isBad(now time.Time) bool {
	return f.row >= loneRefusals && f.method != "" && f.server.AcceptedLike(f.method, f.first) &&
		f.server.Spent(now) >= LonePatience
}

// End reports whether all n items that are left are themselves the cause of their refusal: then
// they have been tried for long enough.
func (r *Refusals[K]) End(n int, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n == 0 || len(r.rows) != n {
		return false
	}
	for _, row := range r.rows {
		if !row.isBad(now) {
			return false
		}
	}
	r.over = true
	return true
}
