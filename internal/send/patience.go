package send

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/item"
)

// patience measures how long a server has accepted nothing although requests were
// sent.
//
// A wait that a server asks for does not count at first. If the requests that
// follow it are not accepted either, it counts after all: otherwise the run would
// never give up a server that asks for a second each second.
type patience struct {
	failing    time.Time // since when; if zero, the last request was accepted
	begin, end time.Time // of the last wait asked for, unless it counts
}

// asked records that a server asked us to wait. Of requests on their way
// several may hear that: it is one wait.
func (p *patience) asked(now, until time.Time) {
	if !now.Before(p.end) {
		p.begin, p.end = now, until
	} else if until.After(p.end) {
		p.end = until
	}
}

// failed records that a request was not accepted.
func (p *patience) failed(sent, now time.Time) {
	if p.failing.IsZero() {
		p.failing = now
	}
	if !sent.Before(p.end) {
		p.begin, p.end = time.Time{}, time.Time{}
	}
}

// spent is what counts.
func (p *patience) spent(now time.Time) time.Duration {
	if p.failing.IsZero() {
		return 0
	}
	begin, end := later(p.begin, p.failing), p.end
	if now.Before(end) {
		end = now
	}
	return now.Sub(p.failing) - max(end.Sub(begin), 0)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// acceptedLocked notes that something was accepted, by whichever server. It
// requires that mu is held.
func (r *run) acceptedLocked() {
	r.accepted = true
	r.probes.accepted()
	r.worksLocked()
}

// worksLocked records that a server has answered as it should. It resets the patience with all servers. It requires that mu is
// held.
func (r *run) worksLocked() {
	if r.failing {
		for _, s := range r.servers {
			s.patience = patience{}
		}
		r.failing, r.refusing = false, false
	}
}

// unprovenPatience is the patience with answers like 500 while nothing was ever accepted: the server may
// never accept what is sent. It is long enough for a restart.
const unprovenPatience = 10 * time.Minute

const (
	// lonePatience is how long the last files are tried if the server refuses them and has accepted others. It is long
	// enough for most restarts.
	lonePatience = 2 * time.Minute
	// loneRefusals is how often they are tried at least.
	loneRefusals = 3
)

// refusals are the jobs that a server has refused and that wait for their next attempt, or have it.
type refusals struct {
	jobs map[*job]refusal
	over bool // they have been tried for long enough
}

// A refusal is a row of equal statuses. It has copies of fields of its job, which belongs to another goroutine.
type refusal struct {
	server *server
	method string
	own    bool // it has headers of its own, and may be of an account whose quota is used up
	status int
	first  time.Time
	row    int
}

// note records that a job was refused. Status 0, no answer, is not about the job.
func (f *refusals) note(j *job, status int, now time.Time) {
	if status == 0 {
		delete(f.jobs, j)
		return
	}
	if f.jobs == nil {
		f.jobs = make(map[*job]refusal)
	}
	row := f.jobs[j]
	if row.status != status {
		row = refusal{server: j.server, method: j.item.Method, own: j.item.Header != nil, status: status, first: now}
	}
	row.row++
	f.jobs[j] = row
}

// isBad reports whether the job itself is the cause: others like it that were sent later were accepted.
func (f *refusal) isBad() bool {
	return f.row >= loneRefusals && !f.own && f.server.newest[f.method].After(f.first)
}

// failRefused ends a run when the only files left are themselves the cause of their refusal.
func (r *run) failRefused(now time.Time) {
	stats := r.pool.Stats()
	r.mu.Lock()
	f := &r.refusals
	over := r.whole && len(f.jobs) > 0 && stats.Busy == len(f.jobs) && stats.Queued+stats.Waiting == 0
	for _, row := range f.jobs {
		over = over && row.isBad() && row.server.spent(now) >= lonePatience
	}
	f.over = f.over || over
	n := len(f.jobs)
	r.mu.Unlock()
	if over {
		r.end(exit.Items, fmt.Errorf("the last %s were refused for %s while nothing else was left; others that were sent after them were accepted", human.Plural(n, "file"), human.Span(lonePatience)))
	}
}

// patienceWith returns for how long a server that accepts nothing is tried, 0 for without end. It reports whether that is a
// limit of ours, which is shorter than the user's.
func (r *run) patienceWith(s *server) (after time.Duration, ours bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.broken && !r.provenLocked() && unprovenPatience < r.GiveUpAfter {
		return unprovenPatience, true
	}
	return r.GiveUpAfter, false
}

// provenLocked reports whether something was ever accepted. It requires that mu is held.
func (r *run) provenLocked() bool {
	return r.accepted || r.Journal != nil && r.Journal.Earlier().Counts[item.Delivered] > 0
}

// giveUp ends a run in which nothing was accepted for too long, by any server.
func (r *run) giveUp(now time.Time) {
	r.failRefused(now)
	if r.GiveUpAfter <= 0 {
		return
	}
	r.mu.Lock()
	if !r.failing {
		r.mu.Unlock()
		return
	}
	proven := r.provenLocked()
	var trouble string
	spent := time.Duration(math.MaxInt64)
	var until time.Time // when the first of them may be asked again
	for _, s := range r.servers {
		if s.failing.IsZero() {
			continue
		}
		proven = proven || !s.broken
		if each := s.spent(now); each < spent {
			spent, trouble = each, s.trouble
		}
		if now.Before(s.end) && (until.IsZero() || s.end.Before(until)) {
			until = s.end
		}
	}
	r.mu.Unlock()
	after, by := r.GiveUpAfter, " (--give-up-after)"
	if !proven && unprovenPatience < after {
		after, by = unprovenPatience, ", nor ever before"
	}
	if spent <= after {
		return
	}
	text := fmt.Sprintf("nothing was accepted for %s%s", human.Exact(after), by)
	if trouble != "" {
		text += ": " + trouble
	}
	if until.IsZero() {
		text += "; try again later"
	} else {
		text += "; the server asked us to wait until " + until.Format(time.RFC3339)
	}
	r.end(exit.Unavailable, errors.New(text))
}
