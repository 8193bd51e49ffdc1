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
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/internal/upstream"
	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
)

// observe records what the transport does.
func (r *run) observe(e throttle.Event) {
	now := time.Now()
	r.servers.Observe(e, now)
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
		r.servers.LeaveAlone(r.servers.Of(e.Key), e.Until, r.MaxWait)
		return
	}
	level := slog.LevelDebug
	if r.servers.Paused(e, now) {
		level = slog.LevelInfo
	}
	r.Log.Log(context.Background(), level, status.Paused(e, now))
}

// answered records how a request ended. An answer of 2xx to a job's is recorded when retry has
// judged it: it may have come before the request was sent whole. So is a redirect.
func (r *run) answered(e throttle.Event, now time.Time) {
	j := jobOf(e.Request)
	switch {
	// it did not leave: the journal failed, or a pause began before it had a connection
	case e.Err != nil && errors.As(e.Err, new(interface{ RetryAt() time.Time })):
		r.tally.Unsent()
		if j != nil {
			j.unsent()
		}
	case j != nil && (e.Status >= 200 && e.Status <= 299 || mayLead(e)):
		j.answered(&e)
	default:
		r.judged(e, now)
		if j != nil && outcome.IsFinalAtOnce(e) {
			j.refusedBy(e.Status)
			r.countRefusal(j, e.Status)
		}
	}
}

// count counts a request that has ended, and returns what that says of its server.
func (r *run) count(e throttle.Event) (says upstream.Answer, known bool) {
	was, says, known := outcome.Of(e)
	says.Trouble = status.Trouble(e)
	r.tally.Request(report.Request{Outcome: was, Status: e.Status, Failure: says.Trouble,
		Latency: e.Latency})
	return says, known
}

// judged records what the answer to a request means, or that there was none.
func (r *run) judged(e throttle.Event, now time.Time) {
	says, known := r.count(e)
	j := jobOf(e.Request)
	if j == nil || !known {
		return // a question about an item, not an item, or nothing about the server
	}
	says.Sent, says.Method = j.sent, j.plainMethod()
	says.Declined = r.Declined(e.Status)
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
	if resp != nil && resp.StatusCode <= 299 && j.body.ChangedInPlace() {
		fault = body.ErrChanged
	}
	method := j.item.Method
	v := j.Answered(outcome.Request{Method: method, Repeatable: r.Repeatable(method),
		Keyed: r.Idempotency.Header != ""}, resp, fault)
	return retry.Verdict{Action: v.Action, Reason: status.Reason(v)}
}
