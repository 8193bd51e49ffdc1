package send

import (
	"path/filepath"
	"slices"
	"time"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/outcome"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/internal/stop"
	"github.com/penstock/penstock/internal/upstream"
)

// end notes a reason to end the run and begins to stop it.
func (r *run) end(reason stop.Reason) { r.ending.Add(reason) }

// interrupt begins the orderly stop that the user asked for.
func (r *run) interrupt(cause error) {
	// First of all: what is in flight then is what is left to finish.
	reason := stop.Interrupted{Err: cause}
	r.end(reason)
	n, _ := r.servers.InFlight()
	r.Log.Info(status.Stopping(cause, n, r.StopTimeout))
	if r.StopTimeout == 0 {
		return
	}
	r.breaking = time.AfterFunc(r.StopTimeout, func() {
		r.Log.Info(status.StopTimeoutOver(r.StopTimeout))
		r.breakOff(stop.StopTimeout{Interrupted: reason, Limit: r.StopTimeout})
	})
}

// close records that a server, which may be nil, gets no more of this run. That ends the run if it
// is the only one, or none is left.
func (r *run) close(s *upstream.Server, reason stop.ServerReason) {
	if r.closes(s, reason) {
		r.Log.Warn(status.Closed(s, reason))
	}
}

// shut is close, and ends also the requests that wait for their turn: at once, for each of them
// would be refused too.
func (r *run) shut(s *upstream.Server, reason stop.ServerReason) {
	first := r.closes(s, reason)
	s.Stop(reason)
	if first {
		r.Log.Warn(status.Closed(s, reason))
	}
}

// closes is close without a word. It reports whether there is something to say: the run may go on
// with other servers.
func (r *run) closes(s *upstream.Server, reason stop.ServerReason) (news bool) {
	news = s != nil && s.Close(reason) && r.Source.OwnURLs()
	switch {
	case !r.Source.OwnURLs():
		r.end(once(reason))
	case news:
		r.endIfAlone()
	}
	return news
}

// once returns the reason to end a run because of one server. Its items say already what is wrong
// with it.
func once(reason stop.ServerReason) stop.Reason {
	if why, ok := reason.(stop.Unreachable); ok {
		return stop.Unreached{Unreachable: why}
	}
	return reason
}

// endIfAlone ends the run when all is read and each of its servers is gone.
func (r *run) endIfAlone() {
	if !r.whole.Load() {
		return
	}
	for _, reason := range r.servers.AllGone() {
		r.end(once(reason))
	}
}

// refusedServers adds to the reasons the servers that refused everything while the run went on with
// others.
func (r *run) refusedServers() {
	for _, s := range r.servers.All() {
		if why, ok := s.Gone().(stop.RefusesAll); ok {
			r.end(stop.At{Host: s.Host(), ServerReason: why})
		}
	}
}

// giveUp ends a run in which nothing was accepted for too long, by any server.
func (r *run) giveUp(now time.Time) {
	r.failRefused(now)
	if why, ends := r.servers.GiveUp(now); ends {
		r.end(why)
	}
}

// failRefused ends a run when the only files left are themselves the cause of their refusal.
func (r *run) failRefused(now time.Time) {
	stats := r.pool.Stats()
	last := r.whole.Load() && stats.Queued+stats.Waiting == 0
	if last && r.refusals.End(stats.Busy, now) {
		r.end(stop.LastRefused{Items: stats.Busy, After: upstream.LonePatience})
	}
}

// noResults ends the run, since the results cannot be written.
func (r *run) noResults(err error) {
	r.end(stop.ResultsFailed{Err: err, Journaled: r.Journal != nil})
}

// leftAlone notes that a server asked for a wait longer than --max-wait. A job may learn of it
// before the event of the pause comes.
func (r *run) leftAlone(s *upstream.Server, until time.Time) {
	why := stop.LeftAlone{Until: until, MaxWait: r.MaxWait, At: time.Now()}
	if s != nil {
		why.Quota, why.Earlier = s.Stats().PauseSource == "quota", s.Earlier().Equal(until)
	}
	r.close(s, why)
}

// CloseRefusing closes a server that refuses everything alike.
func (r *run) CloseRefusing(s *upstream.Server) {
	row := s.Row()
	r.shut(s, stop.RefusesAll{Code: row.Status, Items: row.Items, Before: row.Before})
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
	case outcome.IsFinal(code):
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
		r.shut(j.server, stop.InDoubt{})
	}
}

// countRefusal counts a job that was refused for good. Where possible it is called before another
// request can take the job's place in flight.
func (r *run) countRefusal(j *job, code int) {
	known := code == j.Past().FailedBy && !upstream.AboutAccount(code)
	if known || r.declined(code) { // nothing new
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
		why, ok := s.Gone().(stop.RefusesAll)
		return ok && why.Code == code
	})
}
