package send

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/internal/upstream"
	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
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

// close records that a server, which may be nil, gets no more of this run. That ends the run if it
// is the only one, or none is left.
func (r *run) close(s *upstream.Server, code int, reason error) {
	if r.closes(s, code, reason) {
		r.Log.Warn(status.Closed(s, reason))
	}
}

// shut is close, and ends also the requests that wait for their turn: at once, for each of them
// would be refused too.
func (r *run) shut(s *upstream.Server, code int, reason error) {
	first := r.closes(s, code, reason)
	s.Stop(reason)
	if first {
		r.Log.Warn(status.Closed(s, reason))
	}
}

// closes is close without a word. It reports whether there is something to say: the run may go on
// with other servers.
func (r *run) closes(s *upstream.Server, code int, reason error) (news bool) {
	news = s != nil && s.Close(code, reason) && r.Source.OwnURLs()
	switch {
	case !r.Source.OwnURLs():
		r.end(code, once(reason))
	case news:
		r.endIfAlone()
	}
	return news
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

// noResults ends the run, since the results cannot be written.
func (r *run) noResults(err error) {
	r.end(exit.Local, status.ResultsFailed(err, r.Journal != nil))
}

// isFinal reports whether a status refuses a file for good. Of 5xx these are the ones that the
// package retry takes for a rejection: after the others the file may have been accepted, or is sent
// again.
func isFinal(status int) bool {
	return 300 <= status && status <= 499 || status == http.StatusNotImplemented ||
		http.StatusHTTPVersionNotSupported <= status && status <= 511
}

// declined reports whether a server answered that it has a file at the URL already, as
// --no-overwrite asked it to. Such an answer counts as a refusal neither of the file nor of the
// pace.
func (o *Options) declined(status int) bool {
	return o.NoOverwrite && status == http.StatusPreconditionFailed
}

// isFinalAtOnce reports whether an answer refuses a file for good without the package retry being
// asked.
func isFinalAtOnce(e throttle.Event) bool {
	switch e.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusConflict,
		http.StatusPreconditionFailed, http.StatusRequestEntityTooLarge:
		return false
	}
	return e.Outcome == throttle.Answered && isFinal(e.Status)
}

// ended records how a job ended. If a server refuses all files alike, or all come into doubt, it
// gets no more of them.
func (r *run) ended(j *job, out results.Result) {
	s, code := j.server, out.HTTPStatus
	switch {
	case j.tries == 0 || s == nil:
	case out.Status == item.Unknown:
		if !r.declined(code) {
			r.countDoubt(j)
		}
	case out.Status != item.Failed || code == 0:
	case isFinal(code):
		r.mu.Lock()
		r.refusedBy[code]++
		r.mu.Unlock()
		if j.countedBy != code {
			r.countRefusal(j, code)
		}
	default:
		s.EndRow()
	}
}

// countDoubt counts a job that may have been accepted.
func (r *run) countDoubt(j *job) {
	if j.server.Doubt(j.sent) {
		r.shut(j.server, exit.Unavailable, status.ErrInDoubt)
	}
}

// countRefusal counts a job that was refused for good. Where possible it is called before another
// request can take the job's place in flight.
func (r *run) countRefusal(j *job, code int) {
	if r.declined(code) || code == j.FailedBy && !upstream.AboutAccount(code) { // nothing new
		return
	}
	s := j.server
	row := s.Refuse(filepath.Dir(j.item.Path), code)
	if r.queue.Refused(s, row) {
		r.CloseRefusing(s)
	}
}

// refusedAll reports whether a server was given up since it refused everything by that status.
func (r *run) refusedAll(code int) bool {
	return slices.ContainsFunc(r.servers.All(), func(s *upstream.Server) bool {
		by, _ := s.Gone()
		return by == exit.Refused && s.Row().Status == code
	})
}
