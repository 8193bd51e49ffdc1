package send

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/throttle"
)

const (
	// fewAlike answers in a row that refuse the account are enough: they do not depend on the file.
	fewAlike = 10
	// manyAlike are needed of other answers, which may be about these files.
	manyAlike = 20
)

// alike counts how one server refuses file after file, since it last accepted one.
type alike struct {
	status int       // of the last answer
	row    int       // files that got it, one after the other
	since  time.Time // when the first of them did
	dir    string    // where that is
	dirs   bool      // another of them is elsewhere

	doubts   int       // files that came into doubt, but those in flight at the first
	doubtful time.Time // when the first of them did
}

// aboutAccount reports whether a status refuses the account, the same for every file.
func aboutAccount(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusProxyAuthRequired, http.StatusInsufficientStorage:
		return true
	}
	return false
}

// isFinal reports whether a status refuses a file for good. Of 5xx these are the ones that the package retry takes for a
// rejection: after the others the file may have been accepted, or is sent again.
func isFinal(status int) bool {
	return 300 <= status && status <= 499 || status == http.StatusNotImplemented ||
		http.StatusHTTPVersionNotSupported <= status && status <= 511
}

// refuse records the last answer to a job that was refused for good.
func (a *alike) refuse(j *job, status int) {
	dir := filepath.Dir(j.item.Path)
	if status != a.status || a.row == 0 {
		a.status, a.row, a.since, a.dir, a.dirs = status, 0, time.Now(), dir, false
	}
	a.row++
	a.dirs = a.dirs || dir != a.dir
}

// accept records a request that was accepted. It ends the row unless it was sent before the first refusal.
func (a *alike) accept(sent time.Time) {
	a.doubts = 0
	if !sent.Before(a.since) {
		a.row = 0
	}
}

// many reports whether so many files were refused that the server may refuse all. It is given up if it also refuses the newest
// of those that are left.
func (a *alike) many() bool { return a.row >= manyAlike && !aboutAccount(a.status) }

// covers reports whether the files of a directory are among those that the server may refuse: while all that it has refused are
// in one directory, only these.
func (a *alike) covers(dir string) bool { return a.many() && (a.dirs || dir == a.dir) }

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
func (r *run) ended(j *job, out report.Item) {
	s, status := j.server, out.HTTPStatus
	switch {
	case j.tries == 0 || s == nil:
	case out.Status == item.Unknown:
		if !r.declined(status) {
			r.countDoubt(j)
		}
	case out.Status != item.Failed || status == 0:
	case isFinal(status):
		r.mu.Lock()
		r.refusedBy[status]++
		r.mu.Unlock()
		if j.refused != status {
			r.countRefusal(j, status)
		}
	default:
		r.mu.Lock()
		s.alike.row = 0
		r.mu.Unlock()
	}
}

// countDoubt counts a job that may have been accepted.
func (r *run) countDoubt(j *job) {
	r.mu.Lock()
	a := &j.server.alike
	// Files that were in flight together count as one.
	if a.doubts == 0 || j.sent.After(a.doubtful) {
		if a.doubts++; a.doubts == 1 {
			a.doubtful = time.Now()
		}
	}
	enough := a.doubts >= manyAlike
	r.mu.Unlock()
	if enough {
		r.shut(j.server, exit.Unavailable, errors.New("twenty files in a row may have been accepted, and none is known to be: check at the server which of them arrived"))
	}
}

// countRefusal counts a job that was refused for good. Where possible it is called before another request can take the job's
// place in flight.
func (r *run) countRefusal(j *job, status int) {
	switch {
	case r.declined(status),
		status == j.failedBy && !aboutAccount(status): // nothing new
		return
	}
	s := j.server
	r.mu.Lock()
	s.alike.refuse(j, status)
	var enough bool
	switch {
	case aboutAccount(status):
		enough = s.alike.row >= fewAlike
	case !s.alike.many():
	case r.order.letAll, len(r.servers) > 1 && s.alike.dirs: // of several servers none waits for another one
		enough = r.refusesAllLocked(s, !r.order.several)
	default:
		r.doubting.Store(true)
	}
	r.mu.Unlock()
	if enough {
		r.refuseAll(s)
	}
}

// refuseAll closes a server that refuses everything alike.
func (r *run) refuseAll(s *server) {
	r.mu.Lock()
	row, status := s.alike.row, s.alike.status
	since := ""
	if s.accepted > 0 {
		since = " since the first of them"
	}
	r.mu.Unlock()
	r.shut(s, exit.Refused, fmt.Errorf("the last %d answers were %s and nothing was accepted%s: %s", row, statusText(status), since, advice(status)))
}

// statusText writes a status as a status line has it.
func statusText(status int) string {
	if text := http.StatusText(status); text != "" {
		return fmt.Sprintf("%d %s", status, text)
	}
	return fmt.Sprint(status)
}

// advice says what a user can do about a refusal.
func advice(status int) string {
	const again = ", then run the same command again"
	switch {
	case status == http.StatusUnauthorized:
		return "check the credentials; give a new token if the old one has expired" + again
	case status == http.StatusPaymentRequired:
		return "the account has no credit left, or its plan is used up: renew it" + again
	case status == http.StatusForbidden:
		return "check what the account is allowed to do, and the URL" + again
	case status == http.StatusProxyAuthRequired:
		return proxyCredentials + again
	case status == http.StatusInsufficientStorage:
		return "the server's storage is full: ask for space to be freed" + again
	case status == http.StatusNotFound, status == http.StatusGone:
		return "check the URL"
	case status == http.StatusMethodNotAllowed, status == http.StatusNotImplemented:
		return "check the method and the URL"
	case status == http.StatusRequestEntityTooLarge:
		return "the files are larger than the server accepts"
	case status == http.StatusUnsupportedMediaType:
		return "check the content type"
	case status <= 399:
		return "check the URL, and send to where the redirect leads"
	}
	return "check the URL, the method and what is sent"
}

// refusedNotes returns what to do about refusals that are not about a file, however few there were. A proxy's refusal is
// left out: each item names it.
func (r *run) refusedNotes() (notes []string) {
	for _, status := range []int{
		http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden, http.StatusInsufficientStorage,
	} {
		r.mu.Lock()
		n := r.refusedBy[status]
		told := false
		for _, s := range r.servers {
			told = told || s.goneBy == exit.Refused && s.alike.status == status
		}
		r.mu.Unlock()
		if n > 0 && !told {
			notes = append(notes, fmt.Sprintf("%s: %s: %s", human.Plural(n, "file"), statusText(status), advice(status)))
		}
	}
	return notes
}

// doubted reports whether the item's server may refuse all, and whether the item is among those that it would refuse.
func (r *run) doubted(it source.Item) (server, item bool) {
	if !r.doubting.Load() {
		return false, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.servers[nethttp.OriginOf(it.URL)]
	if s == nil || s.gone != nil || r.order.letAll || !s.alike.many() {
		return false, false
	}
	return true, s.alike.covers(filepath.Dir(it.Path))
}

// refusesAllLocked reports whether a server has refused so many files that it gets no more: also of other directories, or if
// it has accepted nothing, or if there are no other directories. It requires that mu is held.
func (r *run) refusesAllLocked(s *server, alone bool) bool {
	return s.gone == nil && s.alike.many() && (s.alike.dirs || alone || s.accepted == 0)
}

// tryNewest waits for what is in flight, tries the newest file that is left of a server that may refuse all, and closes the
// server if it refuses that, too: what is new is not held up by many files that are refused each time and sort before it. If
// alone, there are no other directories. From then on nothing is put aside. In runs with several servers nothing is waited for:
// that would hold up the others.
func (r *run) tryNewest(ctx context.Context, alone bool) {
	servers := r.all()
	several := len(servers) > 1
	if !several && r.pool.Wait(ctx) != nil {
		return
	}
	r.sortAside()
	r.letAll(true)
	refusals := func(s *server) (n int, all bool) {
		r.mu.Lock()
		defer r.mu.Unlock()
		return s.alike.row, r.refusesAllLocked(s, alone)
	}
	for _, s := range servers {
		before, all := refusals(s)
		for !several && all { // until one of them is accepted or refused
			j := r.newestAside()
			if j == nil {
				break
			}
			if r.pool.Submit(ctx, j) != nil || r.pool.Wait(ctx) != nil {
				return
			}
			var row int
			if row, all = refusals(s); row != before {
				break
			}
		}
		if all {
			r.refuseAll(s)
		}
	}
}
