package send

import (
	"net/http"
	"time"

	"github.com/penstock/penstock/internal/body"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/outcome"
	"github.com/penstock/penstock/internal/permits"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/resume"
	"github.com/penstock/penstock/internal/rules"
	"github.com/penstock/penstock/internal/upload"
	"github.com/penstock/penstock/internal/upstream"
	"github.com/penstock/penstock/internal/workers"
	"github.com/penstock/penstock/throttle"
)

// A job is an item on its way. It belongs to one goroutine at a time.
type job struct {
	item item.Item
	id   resume.Identity
	body *body.Body // of its requests
	kept bool       // the journal has its end already
	outcome.Standing

	// Of its attempts.
	server  *upstream.Server // that the last one went to
	tries   int              // requests sent
	began   time.Time        // the first one left
	sent    time.Time        // the last one left
	backoff workers.Backoff  // for the next one
	watched bool             // its bytes are counted as they move
	// that seems to accept it, or redirects it, until retry has judged it
	answer    *throttle.Event
	ruled     rules.Verdict   // of the last answer; zero if no rule is about it
	asked     time.Duration   // the wait that came with it, where a rule is about it
	countedBy int             // the status that it was refused by, where that is counted already
	slot      *permits.Permit // while it is on its way to the server or to the disk

	// For those that the end of the run comes back to.
	pass     int
	out      results.Result // how it ended last
	counted  bool           // baseline is of this pass
	baseline int64          // what its server had accepted before its first attempt
}

// claimed records what is done with the job by what earlier runs left of it.
func (j *job) claimed(d resume.Decision) {
	j.kept = d.Kept
	j.Claimed(d.Past, d.Do == resume.Ask)
}

// sentTo records that a request for the job leaves.
func (j *job) sentTo(s *upstream.Server, now time.Time) {
	j.server, j.sent = s, now
	j.ruled, j.asked = rules.Verdict{}, 0
	j.tries++
	if !j.counted {
		j.baseline, j.counted = s.Accepted(), true
	}
	if j.began.IsZero() {
		j.began = now
	}
}

// postponed records that the end of the run comes back to the job, as [outcome.Standing.Postponed]
// says.
func (j *job) postponed(ended time.Time) {
	j.pass++
	j.Postponed(ended)
}

// resent records that net/http has sent a request once more, and unsent that one did not leave.
func (j *job) resent() { j.tries++ }
func (j *job) unsent() { j.tries-- }

// followed records that the bytes of the job are counted as they move.
func (j *job) followed() { j.watched = true }

// answered records an answer that seems to accept the job, or a redirect, which retry is to judge.
func (j *job) answered(e *throttle.Event) { j.answer = e }

// judged returns an answer that retry has judged, if there is one: one that seems to accept the job
// with the fault of its content or, if uncertain, as one that came too early or could not be read.
func (j *job) judged(uncertain bool) (e throttle.Event, ok bool) {
	if j.answer == nil {
		return e, false
	}
	e, j.answer = *j.answer, nil
	if mayLead(e) {
		return e, true
	}
	if j.Fault() != nil {
		e.Err = j.Fault()
	} else if uncertain {
		e.Err = outcome.ErrEarly
		if j.ruled.Effect == rules.Unread {
			e.Err = outcome.ErrUnread
		}
	}
	return e, true
}

// refusedBy records that the job was refused by a status, and that this is counted.
func (j *job) refusedBy(status int) { j.countedBy = status }

// endedAs records how the job ended, unless the end of the run changes that.
func (j *job) endedAs(out results.Result) { j.out = out }

// newPass begins another pass over the job.
func (j *job) newPass() { j.counted, j.countedBy = false, 0 }

// isStarved reports whether the job's server has accepted nothing since the pass began.
func (j *job) isStarved() bool { return j.server != nil && j.server.Accepted() <= j.baseline }

// settled ends that a job counts among those that a kill of the program leaves in doubt, or to be
// sent again.
func (j *job) settled() {
	if j.slot != nil {
		j.slot.Release()
		j.slot = nil
	}
}

// plainMethod returns the job's method, or "" if it has headers of its own.
func (j *job) plainMethod() string {
	if j.item.Header != nil {
		return ""
	}
	return j.item.Method
}

// upload returns the job as what requests are made of.
func (j *job) upload() upload.Upload {
	return upload.Upload{Item: &j.item, ID: j.id, Body: j.body, Standing: &j.Standing}
}

type jobKey struct{}

// Item returns what the job sends.
func (j *job) Item() *item.Item { return &j.item }

// FailedBefore reports whether an earlier run failed the item, which has not changed since.
func (j *job) FailedBefore() bool { return j.Past().FailedBy != 0 }

// jobOf returns the job that a request was made for.
func jobOf(req *http.Request) *job {
	j, _ := req.Context().Value(jobKey{}).(*job)
	return j
}
