package send

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/form"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/outcome"
	"github.com/penstock/penstock/internal/reply"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/rules"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/internal/stop"
	"github.com/penstock/penstock/internal/verify"
	"github.com/penstock/penstock/internal/wire"
	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
)

// item sends one item. It is the pool's task: what becomes of the item is reported and not
// returned.
func (r *run) item(ctx context.Context, j *job) error {
	if r.ending.Cause() != nil {
		r.abandon(j)
		return nil
	}
	if j.pass == 0 && r.queue.Take(j) {
		return nil
	}
	if err := nethttp.CheckMethod(j.item.Method); err != nil {
		r.done(j, results.Result{Status: item.Failed, Error: err.Error()})
		return nil
	}
	req, err := r.request(context.WithValue(ctx, jobKey{}, j), j)
	if err != nil {
		r.done(j, results.Result{Status: item.Failed, Error: r.hide(j.item, status.Plain(err))})
		return nil
	}
	if j.Past().Arrived {
		req.Body.Close()
		r.Journal.Put(r.unchanged(j), nil) // with the new date
		out := results.Result{Status: item.Skipped, Note: status.Unchanged}
		j.Past().Receipt.Show(&out)
		r.done(j, out)
		return nil
	}
	if j.Asks() {
		if out, settled := r.ask(ctx, j, req); settled {
			req.Body.Close()
			r.done(j, out)
			return nil
		}
	}
	j.newPass()
	resp, err := r.client.Do(req)
	r.workers.End(&j.backoff)
	r.refusals.Forget(j)
	out, outage := r.outcome(j, resp, err)
	if out.Status != item.Delivered { // else its bytes count until it does itself
		r.uploads.End(j, nil)
	}
	if out.Status == item.Delivered && r.CanAsk(j.item) {
		r.verifier.Delivered(r.located(j), func() http.Header { return req.Header })
	}
	switch {
	// before its turn
	case out.Status == item.Deferred && j.began.IsZero() &&
		(r.ending.Cause() != nil || ctx.Err() != nil):
		r.abandon(j)
	case !r.postpone(j, out, outage):
		r.done(j, out)
	}
	return nil
}

// outcome reads the answer and says what became of the job, and whether the server failed it as in
// an outage.
func (r *run) outcome(j *job, resp *http.Response, err error) (out results.Result, outage bool) {
	end := retry.OutcomeOf(resp, err)
	out = results.Result{HTTPStatus: end.Status, Attempts: j.tries}
	if !j.began.IsZero() {
		out.Seconds = time.Since(j.began).Seconds()
	}
	var head []byte
	var cut bool
	var missing []rules.Missing
	defer func() { j.ruled = j.ruled.WithoutBody() }() // it may wait for the end of the run
	if resp != nil {
		if end.Outcome == retry.Delivered && !r.Captures.IsEmpty() {
			out.Captured, missing = r.capture(j, resp)
		}
		head, cut = reply.Read(resp)
	}
	was := j.Ended(outcome.Call{Result: end, Sent: !j.began.IsZero(), Tries: j.tries,
		Ending: r.ending.Cause() != nil, Hopeless: r.refusals.AreOver()})
	out.Status = was.Fate
	if was.Fate == item.Delivered {
		r.lacks(j, &out, missing)
		if !r.Answers.Covers(end.Status) {
			r.noteSham(j, &out, resp, head)
		}
		return out, was.Outage
	}
	if resp == nil && end.Status != 0 { // such as one of 2xx that does not count
		head, cut = j.ruled.Body, len(j.ruled.Body) == reply.MaxHead
	}
	why := status.Failure{
		End: was, Call: end, Method: j.item.Method, URL: r.url(j), Answer: resp, Ruled: j.ruled,
		PerhapsTLS: r.mayBeTLS(j, end.Err), Excerpt: reply.Excerpt(head, cut),
		Away: r.leadsAstray(resp),
		Hide: func(text string) string { return r.hide(j.item, text) },
	}
	wrong := r.Network.Misdirected(resp, head)
	switch {
	case was.Fault != nil:
	case errors.Is(end.Err, retry.ErrUnreachable):
		why.Unreachable = r.unreachable(j, end.Err)
	case wrong != nil:
		why.Unreachable, why.Excerpt = r.unreachable(j, wrong), ""
	}
	out.Error, out.Note = why.String(), status.AttemptInDoubt(was)
	if was.Fate == item.Deferred && !end.RetryAt.IsZero() && r.ending.Cause() == nil {
		source := ""
		if paused, ok := errors.AsType[*throttle.PausedError](end.Err); ok {
			source = paused.Source
		}
		r.servers.LeaveAlone(j.server, end.RetryAt, r.MaxWait, source)
	}
	return out, was.Outage
}

// noteSham notes that an acceptance looks like none. The first time of each kind it warns.
func (r *run) noteSham(j *job, out *results.Result, resp *http.Response, head []byte) {
	if len(head) == 0 {
		return
	}
	isHTML := strings.Contains(form.ContentType(j.item.Path), "html")
	sham, first := r.shams.Find(resp, head, isHTML)
	if sham != reply.NoSham && out.Note == "" {
		out.Note = status.ShamNote(sham)
	}
	if !first {
		return
	}
	text := reply.Shorten(r.hide(j.item, reply.Excerpt(bytes.TrimSpace(head), false)))
	r.Log.Warn(status.Sham(sham, j.item.Path, resp.StatusCode, text))
}

// mayBeTLS reports whether err may come from a server that speaks TLS and got plain HTTP.
func (r *run) mayBeTLS(j *job, err error) bool {
	var c *wire.Cause
	return j.server != nil && errors.As(err, &c) && c.Kind == wire.Closed && j.server.MayBeTLS()
}

// unreachable ends sending to a job's server, unless that has accepted something: then it is this
// item's URL. It returns why, in words; "" if that is not known.
func (r *run) unreachable(j *job, cause error) (words string) {
	var why stop.Unreachable
	// It is known, or another request found it out.
	if errors.As(cause, &why.Cause) || errors.As(cause, &why) {
		words = status.Plain(why)
	}
	if j.server != nil && j.server.Accepted() == 0 && r.ending.Cause() == nil {
		r.servers.Shut(j.server, why)
	}
	return words
}

// ask asks the server whether it has an item in doubt. If that settles the matter it returns what
// became of the item; else the item is sent.
func (r *run) ask(ctx context.Context, j *job, req *http.Request) (out results.Result,
	settled bool) {
	out = j.out
	if out.Error == "" {
		out.Status, out.Error = item.Unknown, status.LeftInDoubt
	}
	past := j.Past()
	v, note, err := r.verifier.Check(ctx, r.located(j), req.Header,
		verify.Known{SHA256: j.body.SHA256(), Began: past.First, Ended: past.Ended,
			Older: past.Older})
	if err != nil {
		note = r.hide(j.item, status.Plain(err))
	}
	switch v {
	case verify.There:
		out.Status, out.Error, out.Note = item.Delivered, "", status.Found(note)
		r.captureNothing(&out)
		j.Confirmed()
		return out, true
	case verify.Absent:
		r.Log.Debug(status.Absent(j.item.Path))
		j.Denied(j.tries)
		return out, false
	}
	if past.Resend && ctx.Err() == nil {
		j.Insisted()
		return out, false
	}
	out.Error += status.AskedInVain(note)
	return out, true
}
