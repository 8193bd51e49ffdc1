package send

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/penstock/penstock/internal/body"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/internal/upstream"
	"github.com/penstock/penstock/internal/wire"
	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
)

// observe records what the transport does.
func (r *run) observe(e throttle.Event) {
	now := time.Now()
	switch e.Kind {
	case throttle.Sent:
		r.tally.Sent(e.Token)
		server := r.servers.Sent(e.Key, now)
		if j := jobOf(e.Request); j != nil {
			r.backingOff(j, false)
			j.sentTo(server, now)
		}
	case throttle.Resent:
		r.tally.Resent(e.Token)
		if j := jobOf(e.Request); j != nil {
			j.tries++
		}
		if e.Outcome != throttle.Ignored { // net/http sends again, and again, what is refused
			r.servers.Resent(e.Key, now)
		}
	case throttle.Paused:
		r.paused(e, now)
	case throttle.Changed:
		more := r.servers.Of(e.Key).PaceChanged(e)
		r.Log.Debug(status.PaceChanged(e, more))
	case throttle.Ended:
		r.answered(e, now)
	}
}

func (r *run) paused(e throttle.Event, now time.Time) {
	if e.Source == "" { // it was not asked for
		r.Log.Debug(status.Paused(e, now))
		return
	}
	r.keepWait(e.Key, now, e.Until)
	wait, s := e.Until.Sub(now), r.servers.Of(e.Key)
	if r.MaxWait > 0 && wait > r.MaxWait {
		r.leftAlone(s, e.Until)
		return
	}
	s.Asked(now, e.Until)
	// A server that asks for a pause each second does not get a line each second.
	level := slog.LevelDebug
	r.mu.Lock()
	if now.Sub(r.pauseTold) >= upstream.NoticeEvery &&
		(e.Source != "quota" || wait > upstream.DownAfter) {
		level, r.pauseTold = slog.LevelInfo, now
	}
	r.mu.Unlock()
	r.Log.Log(context.Background(), level, status.Paused(e, now))
}

// answered records how a request ended. An answer of 2xx to a job's is recorded when retry has
// judged it: it may have come before the request was sent whole.
func (r *run) answered(e throttle.Event, now time.Time) {
	r.servers.Ended(now)
	j := jobOf(e.Request)
	switch {
	// it did not leave: the journal failed, or a pause began before it had a connection
	case e.Err != nil && errors.As(e.Err, new(interface{ RetryAt() time.Time })):
		r.tally.Unsent()
		if j != nil {
			j.tries--
		}
	case j != nil && e.Status >= 200 && e.Status <= 299:
		j.answer = &e
	default:
		r.judged(e, now)
		if j != nil && isFinalAtOnce(e) {
			j.countedBy = e.Status
			r.countRefusal(j, e.Status)
		}
	}
}

// judged records what the answer to a request means, or that there was none.
func (r *run) judged(e throttle.Event, now time.Time) {
	outcome, fault := report.Errored, body.Fault(e.Err)
	switch {
	case e.Status >= 200 && e.Status <= 299:
		if e.Err == nil || fault != nil { // the server works
			outcome = report.Accepted
		}
	case e.Outcome == throttle.Throttled:
		outcome = report.Throttled
	case e.Outcome == throttle.Overloaded:
		outcome = report.Overloaded
	case e.Outcome == throttle.TimedOut:
		outcome = report.TimedOut
	case e.Outcome == throttle.Failed:
		outcome = report.Broken
	}
	counted := outcome
	if e.Status >= 500 && counted == report.Errored {
		counted = report.Broken // such as 507: what was sent is wasted as with the others
	}
	trouble := troubleOf(e)
	if fault != nil {
		counted = report.Spoiled
	}
	r.tally.Request(report.Request{Outcome: counted, Status: e.Status, Failure: trouble,
		Latency: e.Latency})
	j := jobOf(e.Request)
	if j == nil || fault != nil && e.Status == 0 {
		return // a question about an item, not an item, or nothing about the server
	}
	a := upstream.Answer{
		Status: e.Status, Sent: j.sent, Method: j.plainMethod(),
		Accepted: outcome == report.Accepted, Declined: r.declined(e.Status),
		Full:   outcome == report.Throttled || outcome == report.Overloaded,
		Broken: outcome == report.Broken, Unopened: wire.DialError(e.Err) != nil,
		Item:    outcome == report.Errored && e.Err == nil,
		Trouble: trouble, Culprit: wire.Culprit(e.Err),
	}
	r.servers.Of(e.Key).Judged(a, now)
}

// troubleOf says in a few words how a server refused, or failed, or what was wrong with the file;
// "" where nothing was.
func troubleOf(e throttle.Event) string {
	switch fault := body.Fault(e.Err); {
	case errors.Is(e.Err, context.Canceled):
	case errors.Is(e.Err, errEarly):
		return errEarly.Error()
	case fault != nil:
		return body.FaultKind(fault)
	}
	return status.Trouble(e)
}

var errEarly = errors.New("answered before the request was sent whole")

// retrying records what the client does.
func (r *run) retrying(e retry.Event) {
	j := jobOf(e.Request)
	if j == nil {
		return
	}
	if j.answer != nil {
		switch {
		case j.fault != nil:
			j.answer.Err = j.fault
		case e.Uncertain:
			j.answer.Err = errEarly
		}
		r.judged(*j.answer, time.Now())
		j.answer = nil
	}
	if e.Uncertain {
		j.uncertain()
	}
	if e.Kind == retry.Waiting {
		why, code := e.Reason, e.Status
		switch {
		case j.fault != nil:
			code = 0 // it says nothing of the file
		case e.Status != 0:
			why = strconv.Itoa(e.Status)
		}
		r.again(j, why)
		r.backingOff(j, true)
		now := time.Now()
		r.refusals.Add(j, j.server, j.plainMethod(), code, now)
		r.withdraw(j)
		if e.Wait > ownWait && j.server != nil { // the server asked for it
			j.server.AskedOne(now, e.Until)
		}
		reason := e.Reason
		if e.Status != 0 {
			reason += fmt.Sprintf(" (%d)", e.Status)
		}
		r.Log.Debug(fmt.Sprintf("%s: attempt %d: %s; again in %s", j.item.Path, e.Attempt, reason,
			human.Span(e.Wait)))
	}
}

// backingOff counts a job in or out of those that wait for their next attempt.
func (r *run) backingOff(j *job, waiting bool) {
	if j.waiting == waiting {
		return // j belongs to one goroutine
	}
	j.waiting = waiting
	if waiting {
		r.uploads.End(j, nil)
	}
	changed := j.fault != nil && j.item.Size < large // larger ones are named
	if !waiting {
		r.workers.goOn(changed)
		return
	}
	r.workers.wait(!j.retried, changed)
	j.retried = true
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
	var file *body.ReadError
	switch {
	case fault == body.ErrMoved: // of a body that has a length nothing was sent
		return retry.Verdict{Kind: retry.Unprocessed, Reason: body.FaultKind(fault)}
	case errors.As(fault, &file) && !file.Begun:
		return retry.Verdict{Kind: retry.Rejected}
	case fault != nil:
		j.fault = fault
		if !r.repeatable(j.item.Method) {
			return retry.Verdict{Kind: retry.Uncertain, Reason: body.FaultKind(fault)}
		}
		// Not Uncertain, which says that the server is in trouble: the attempt counts whatever the
		// server does with others.
		j.uncertain()
		return retry.Verdict{Kind: retry.Unprocessed, Reason: body.FaultKind(fault)}
	case resp == nil:
		return retry.Verdict{}
	}
	if resp.StatusCode == http.StatusConflict && r.Idempotency.Header != "" {
		wait := resp.Header.Get("Retry-After") != ""
		if j.conflict(nethttp.Idempotent(j.item.Method), wait) {
			return retry.Verdict{Kind: retry.Unprocessed, Reason: "key in use"}
		}
	}
	return retry.Verdict{}
}
