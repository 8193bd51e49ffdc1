package send

import (
	"sync"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/internal/upstream"
)

const (
	// lonePatience is how long the last files are tried if the server refuses them and has accepted
	// others. It is long enough for most restarts.
	lonePatience = 2 * time.Minute
	// loneRefusals is how often they are tried at least.
	loneRefusals = 3
)

// refusals are the jobs that a server has refused and that wait for their next attempt, or have it.
type refusals struct {
	mu   sync.Mutex
	jobs map[*job]refusal
	over bool // they have been tried for long enough
}

// A refusal is a row of equal statuses. It has copies of fields of its job, which belongs to another
// goroutine.
type refusal struct {
	server *upstream.Server
	method string
	own    bool // it has headers of its own, and may be of an account whose quota is used up
	status int
	first  time.Time
	row    int
}

// note records that a job was refused. Status 0, no answer, is not about the job.
func (f *refusals) note(j *job, status int, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if status == 0 {
		delete(f.jobs, j)
		return
	}
	if f.jobs == nil {
		f.jobs = make(map[*job]refusal)
	}
	row := f.jobs[j]
	if row.status != status {
		own := j.item.Header != nil
		row = refusal{server: j.server, method: j.item.Method, own: own, status: status, first: now}
	}
	row.row++
	f.jobs[j] = row
}

// forget ends what note began.
func (f *refusals) forget(j *job) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.jobs, j)
}

// areOver reports whether the jobs have been tried for long enough.
func (f *refusals) areOver() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.over
}

// isBad reports whether the job itself is the cause: others like it that were sent later were
// accepted, and the server has had time to restart.
func (f *refusal) isBad(now time.Time) bool {
	return f.row >= loneRefusals && !f.own && f.server.AcceptedLike(f.method, f.first) &&
		f.server.Spent(now) >= lonePatience
}

// end reports whether all n jobs that are left are themselves the cause of their refusal: then they
// have been tried for long enough.
func (f *refusals) end(n int, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n == 0 || len(f.jobs) != n {
		return false
	}
	for _, row := range f.jobs {
		if !row.isBad(now) {
			return false
		}
	}
	f.over = true
	return true
}

// failRefused ends a run when the only files left are themselves the cause of their refusal.
func (r *run) failRefused(now time.Time) {
	stats := r.pool.Stats()
	r.mu.Lock()
	last := r.whole && stats.Queued+stats.Waiting == 0
	r.mu.Unlock()
	if last && r.refusals.end(stats.Busy, now) {
		r.end(exit.Items, status.LastRefused(stats.Busy, lonePatience))
	}
}
