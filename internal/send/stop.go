package send

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/internal/upstream"
	"github.com/penstock/penstock/retry"
)

// Reasons to stop have a scope: an item ends by its outcome, a server by close or shut, the run by
// end.

// end notes a reason to end the run and begins to stop it.
func (r *run) end(status int, reason error) { r.ending.Add(status, r.clean(reason)) }

// interrupt begins the orderly stop that the user asked for.
func (r *run) interrupt(cause error) {
	code := exit.Interrupted
	if by := (*exit.Signal)(nil); errors.As(cause, &by) {
		code = by.Status()
	}
	// First of all: what is in flight then is what is left to finish.
	r.end(code, cause)
	n, _ := r.servers.InFlight()
	r.Log.Info(status.Stopping(cause, n, r.StopTimeout))
	if r.StopTimeout == 0 {
		return
	}
	r.breaking = time.AfterFunc(r.StopTimeout, func() {
		r.Log.Info(status.StopTimeoutOver(r.StopTimeout))
		r.breakOff(status.StopTimeout(cause, r.StopTimeout))
	})
}

// close notes that a server, which may be nil, gets no more of this run. That ends the run if it is
// the only one, or none is left.
func (r *run) close(s *upstream.Server, code int, reason error) {
	if s != nil && s.Close(code, reason) && r.Source.OwnURLs() {
		r.Log.Warn(status.Closed(s, reason))
		r.endIfAlone()
	}
	if !r.Source.OwnURLs() {
		r.end(code, once(reason))
	}
}

// shut is close, and ends also the requests that wait for their turn.
func (r *run) shut(s *upstream.Server, code int, reason error) {
	r.close(s, code, reason)
	s.Stop(reason)
}

// once returns the reason to end a run because of one server. Its items say already what is wrong
// with it.
func once(reason error) error {
	if errors.Is(reason, retry.ErrUnreachable) {
		return retry.ErrUnreachable
	}
	return reason
}

// endIfAlone ends the run when all is read and each of its servers is gone.
func (r *run) endIfAlone() {
	r.mu.Lock()
	whole := r.whole
	r.mu.Unlock()
	if !whole {
		return
	}
	reasons := r.servers.AllGone()
	for _, code := range slices.Sorted(maps.Keys(reasons)) {
		r.end(code, once(reasons[code]))
	}
}

// refusedServers adds to the reasons the servers that refused everything while the run went on with
// others.
func (r *run) refusedServers() {
	for _, s := range r.servers.All() {
		if by, reason := s.Gone(); by == exit.Refused {
			r.end(exit.Refused, fmt.Errorf("%s: %w", s.Host(), reason))
		}
	}
}

// giveUp ends a run in which nothing was accepted for too long, by any server.
func (r *run) giveUp(now time.Time) {
	r.failRefused(now)
	if why, ends := r.servers.GiveUp(now); ends {
		r.end(exit.Unavailable, status.GaveUp(why))
	}
}

// failRefused ends a run when the only files left are themselves the cause of their refusal.
func (r *run) failRefused(now time.Time) {
	stats := r.pool.Stats()
	r.mu.Lock()
	last := r.whole && stats.Queued+stats.Waiting == 0
	r.mu.Unlock()
	if last && r.refusals.End(stats.Busy, now) {
		r.end(exit.Items, status.LastRefused(stats.Busy, upstream.LonePatience))
	}
}
