package send

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/internal/upstream"
	"github.com/penstock/penstock/throttle"
)

// isFinal reports whether a status refuses a file for good. Of 5xx these are the ones that the package retry takes for a
// rejection: after the others the file may have been accepted, or is sent again.
func isFinal(status int) bool {
	return 300 <= status && status <= 499 || status == http.StatusNotImplemented ||
		http.StatusHTTPVersionNotSupported <= status && status <= 511
}

// declined reports whether a server answered that it has a file at the URL already, as --no-overwrite asked it to. Such an
// answer counts as a refusal neither of the file nor of the pace.
func (o *Options) declined(status int) bool {
	return o.NoOverwrite && status == http.StatusPreconditionFailed
}

// isFinalAtOnce reports whether an answer refuses a file for good without the package retry being asked.
func isFinalAtOnce(e throttle.Event) bool {
	switch e.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusConflict, http.StatusPreconditionFailed, http.StatusRequestEntityTooLarge:
		return false
	}
	return e.Outcome == throttle.Answered && isFinal(e.Status)
}

// ended records how a job ended. If a server refuses all files alike, or all come into doubt, it gets no more of them.
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
		if j.refused != code {
			r.countRefusal(j, code)
		}
	default:
		s.EndRow()
	}
}

// countDoubt counts a job that may have been accepted.
func (r *run) countDoubt(j *job) {
	if j.server.Doubt(j.sent) {
		r.shut(j.server, exit.Unavailable, status.InDoubt)
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
		r.Refuse(s)
	}
}

// refusedNotes returns what to do about refusals that are not about a file, however few there were. A proxy's refusal is
// left out: each item names it.
func (r *run) refusedNotes() (notes []string) {
	for _, code := range []int{
		http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden, http.StatusInsufficientStorage,
	} {
		r.mu.Lock()
		n := r.refusedBy[code]
		r.mu.Unlock()
		told := slices.ContainsFunc(r.servers.All(), func(s *upstream.Server) bool {
			by, _ := s.Gone()
			return by == exit.Refused && s.Row().Status == code
		})
		if n > 0 && !told {
			notes = append(notes, fmt.Sprintf("%s: %s: %s", human.Plural(n, "file"), status.Line(code), status.Advice(code)))
		}
	}
	return notes
}
