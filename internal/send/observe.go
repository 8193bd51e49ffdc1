package send

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/penstock/penstock/internal/body"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/outcome"
	"github.com/penstock/penstock/internal/reply"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/rules"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/internal/upstream"
	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
)

// observe records what the transport does.
func (r *run) observe(e throttle.Event) {
	now := time.Now()
	r.servers.Observe(e, now)
	if r.Quota != nil {
		r.Quota.Observe(e)
	}
	switch e.Kind {
	case throttle.EventSent:
		r.tally.Sent(e.Token)
		if j := jobOf(e.Request); j != nil {
			r.workers.GoOn(&j.backoff)
			s := r.servers.Of(e.Key)
			r.followed(j, s)
			j.sentTo(s, now)
		}
	case throttle.EventResent:
		r.tally.Resent(e.Token)
		if j := jobOf(e.Request); j != nil {
			j.resent()
		}
	case throttle.EventPaused:
		r.paused(e, now)
	case throttle.EventChanged:
		more := r.servers.Of(e.Key).PaceChanged(e)
		r.Log.Debug(status.PaceChanged(e, more))
	case throttle.EventEnded:
		r.answered(e, now)
	}
}

func (r *run) paused(e throttle.Event, now time.Time) {
	if e.Source == "" { // it was not asked for
		r.Log.Debug(status.Paused(e, now))
		return
	}
	if r.Journal != nil {
		r.Journal.KeepWait(journal.Wait{Origin: e.Key, Asked: now, Until: e.Until})
	}
	if r.MaxWait > 0 && e.Until.Sub(now) > r.MaxWait {
		r.servers.LeaveAlone(r.servers.Of(e.Key), e.Until, r.MaxWait, e.Source)
		return
	}
	level := slog.LevelDebug
	if r.servers.Paused(e, now) {
		level = slog.LevelInfo
	}
	r.Log.Log(context.Background(), level, status.Paused(e, now))
}

// feedback returns what an answer says about the pace. The rules of the user are asked here, where
// each answer comes by once, and what they say is kept with the job.
func (r *run) feedback(resp *http.Response, _ error, f throttle.Feedback) throttle.Feedback {
	if resp == nil || !r.Answers.Covers(resp.StatusCode) {
		return f
	}
	j := jobOf(resp.Request)
	if j == nil {
		return f // a question about an item
	}
	j.ruled = r.Answers.Judge(resp)
	if j.ruled.Effect == rules.Unread || !outcome.Seems(resp.StatusCode, j.ruled.Effect) {
		j.ruled = j.ruled.WithHead(reply.MaxHead) // it may wait for its next attempt for long
	}
	f = outcome.Feedback(j.ruled.Effect, resp.Header, f)
	if !f.RetryAt.IsZero() { // of a 2xx, retry does not look for it
		j.asked = time.Until(f.RetryAt)
	}
	return f
}

// answered records how a request ended. An answer that seems to accept a job is recorded when retry
// has judged it: it may have come before the request was sent whole. So is a redirect.
func (r *run) answered(e throttle.Event, now time.Time) {
	j := jobOf(e.Request)
	var ruled rules.Effect
	if j != nil {
		ruled = j.ruled.Effect
	}
	switch {
	// it did not leave: the journal failed, or a pause began before it had a connection
	case e.Err != nil && errors.As(e.Err, new(interface{ RetryAt() time.Time })):
		r.tally.Unsent()
		if j != nil {
			j.unsent()
		}
	case j != nil && (outcome.Seems(e.Status, ruled) || mayLead(e)):
		j.answered(&e)
	default:
		r.judged(e, now)
		if j != nil && outcome.IsFinalAtOnce(e, ruled) {
			j.refusedBy(e.Status)
			r.countRefusal(j, e.Status)
		}
	}
}

// count counts a request that has ended, and returns what that says of its server.
func (r *run) count(e throttle.Event, ruled rules.Effect) (says upstream.Answer, known bool) {
	was, says, known := outcome.OfRuled(e, ruled)
	says.Trouble = status.TroubleByRule(e, ruled)
	r.tally.Request(report.Request{Outcome: was, Status: e.Status, Failure: says.Trouble,
		Latency: e.Latency})
	return says, known
}

// judged records what the answer to a request means, or that there was none.
func (r *run) judged(e throttle.Event, now time.Time) {
	j := jobOf(e.Request)
	var ruled rules.Effect
	if j != nil {
		ruled = j.ruled.Effect
	}
	says, known := r.count(e, ruled)
	if j == nil || !known {
		return // a question about an item, not an item, or nothing about the server
	}
	says.Sent, says.Method = j.sent, j.plainMethod()
	says.Declined = ruled == rules.None && r.Declined(e.Status)
	r.servers.Of(e.Key).Judged(says, now)
}

// retrying records what the client does.
func (r *run) retrying(e retry.Event) {
	j := jobOf(e.Request)
	if j == nil {
		return
	}
	if answer, ok := j.judged(e.Uncertain); ok {
		r.judged(answer, time.Now())
	}
	if e.Uncertain {
		j.Doubted()
	}
	if e.Kind == retry.EventWaiting {
		why, code := e.Reason, e.Status
		switch {
		case j.Fault() != nil:
			code = 0 // it says nothing of the file
		case e.Status != 0:
			why = strconv.Itoa(e.Status)
		}
		r.uploads.Again(j, why)
		r.uploads.End(j, nil)
		r.workers.Wait(&j.backoff, j.Fault() != nil && j.item.Size < large) // larger ones are named
		now := time.Now()
		r.refusals.Add(j, j.server, j.plainMethod(), code, now)
		r.withdraw(j)
		if e.Wait > ownWait && j.server != nil { // the server asked for it
			j.server.AskedOne(now, e.Until)
		}
		r.Log.Debug(status.Waiting(j.item.Path, e))
	}
}

// classify judges what the package retry cannot know.
func (r *run) classify(req *http.Request, resp *http.Response, err error) retry.Verdict {
	j := jobOf(req)
	if j == nil {
		return retry.Verdict{}
	}
	fault := body.Fault(err)
	if resp != nil && outcome.Seems(resp.StatusCode, j.ruled.Effect) && j.body.ChangedInPlace() {
		fault = body.ErrChanged
	}
	method := j.item.Method
	v := j.Answered(outcome.Request{Method: method, Repeatable: r.Repeatable(method),
		Keyed: r.Idempotency.Header != "", Ruled: j.ruled.Effect}, resp, fault)
	return retry.Verdict{Action: v.Action, Reason: status.Reason(v), Wait: j.asked}
}
