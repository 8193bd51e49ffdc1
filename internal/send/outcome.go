package send

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/body"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/reply"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/resume"
	"github.com/penstock/penstock/internal/secret"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/internal/stop"
	"github.com/penstock/penstock/internal/verify"
	"github.com/penstock/penstock/internal/wire"
	"github.com/penstock/penstock/retry"
)

// outcome reads the answer and says what became of the job.
func (r *run) outcome(j *job, resp *http.Response, err error) (results.Result, retry.Result) {
	end := retry.OutcomeOf(resp, err)
	out := results.Result{HTTPStatus: end.Status, Attempts: j.tries}
	if !j.began.IsZero() {
		out.Seconds = time.Since(j.began).Seconds()
	}
	var head []byte
	var cut bool
	if resp != nil {
		head, cut = reply.Read(resp)
	}
	switch end.Outcome {
	case retry.Delivered:
		r.warnOfSham(j, resp, head)
		out.Status = item.Delivered
		return out, end
	case retry.Unknown:
		out.Status = item.Unknown
	case retry.Deferred:
		out.Status = item.Deferred
		if r.refusals.AreOver() && !j.began.IsZero() {
			out.Status = item.Failed
		}
	default:
		out.Status = item.Failed
	}
	if errors.Is(end.Err, resume.ErrKeyForgotten) {
		out.Status = item.Unknown
	}
	fault := cmp.Or(j.fault, body.Fault(end.Err))
	// The server may have accepted what was sent of a file that changed, so the item is not
	// deferred.
	if out.Status == item.Deferred && (j.fault != nil || errors.As(fault, new(*body.ReadError)) &&
		r.ending.Cause() == nil) {
		out.Status = item.Failed
	}
	if (out.Status == item.Failed || out.Status == item.Deferred) && j.Doubt {
		out.Note = "an attempt may have been accepted"
	}
	if fault != nil && out.Status != item.Deferred {
		out.Error = status.Content(fault, out.Status, j.Doubt)
		return out, end
	}
	if end.Err != nil {
		out.Error = r.hide(j.item, status.Attempt(end, r.mayBeTLS(j, end.Err)))
	}
	text, wrong := reply.Excerpt(head, cut), r.Network.Misdirected(resp, head)
	switch {
	case errors.Is(end.Err, retry.ErrUnreachable):
		if r.ending.Cause() == nil && out.Status != item.Unknown {
			out.Status = item.Failed // also where another request found it out
		}
		out.Error = r.unreachable(j, end.Err, out.Error)
		if out.Status == item.Unknown && !strings.Contains(out.Error, status.MayHaveArrived) {
			out.Error += ": " + status.MayHaveArrived
		}
	case wrong != nil:
		out.Error = r.unreachable(j, wrong, out.Error)
		text = ""
	case resp != nil && resp.StatusCode == http.StatusProxyAuthRequired:
		out.Error += ": " + status.ProxyCredentials
	}
	if resp != nil && reply.LeadsAway(resp) {
		out.Error += "; penstock send does not support following a redirect to another server"
	}
	// else it is but the status in words
	if text = r.hide(j.item, text); !strings.Contains(out.Error, text) {
		out.Error += ": " + reply.Shorten(text)
	}
	if out.Status == item.Deferred && !end.RetryAt.IsZero() && r.ending.Cause() == nil {
		r.leftAlone(j.server, end.RetryAt)
	}
	return out, end
}

// warnOfSham warns, once a run for each kind, of an acceptance that looks like none.
func (r *run) warnOfSham(j *job, resp *http.Response, head []byte) {
	if len(head) == 0 || r.shams[reply.Page].Load() && r.shams[reply.Failure].Load() {
		return
	}
	isHTML := strings.Contains(body.ContentType(j.item.Path), "html")
	sham := reply.ShamOf(resp, head, isHTML)
	if sham == reply.NoSham || r.shams[sham].Swap(true) {
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
// item's URL. It returns what the item ended with, in words.
func (r *run) unreachable(j *job, cause error, text string) string {
	var why stop.Unreachable
	// It is known, or another request found it out.
	if errors.As(cause, &why.Cause) || errors.As(cause, &why) {
		text = fmt.Sprintf("%s %s: %s", j.item.Method, secret.URL(j.item.URL), status.Plain(why))
	}
	if j.server != nil && j.server.Accepted() == 0 && r.ending.Cause() == nil {
		r.shut(j.server, why)
	}
	return text
}

// ask asks the server whether it has an item in doubt. If that settles the matter it returns what
// became of the item; else the item is sent.
func (r *run) ask(ctx context.Context, j *job, req *http.Request) (out results.Result,
	settled bool) {
	out = j.out
	if out.Error == "" {
		out.Status, out.Error = item.Unknown, status.LeftInDoubt
	}
	began := j.First
	if j.Older {
		began = time.Time{} // a length and a date may be those of the other content
	}
	v, note, err := r.verifier.Check(ctx, j.item, req.Header,
		verify.Known{SHA256: j.body.SHA256(), Began: began, Ended: j.Ended})
	if err != nil {
		note = r.hide(j.item, status.Plain(err))
	}
	switch v {
	case verify.There:
		out.Status, out.Error, out.Note = item.Delivered, "", "the server has it, by "+note
		j.confirm()
		return out, true
	case verify.Absent:
		r.Log.Debug(fmt.Sprintf("%s: the server does not have it, so it is sent again",
			j.item.Path))
		j.deny(j.tries)
		return out, false
	}
	if j.Resend && ctx.Err() == nil {
		j.insist()
		return out, false
	}
	out.Error += "; asked for it: " + note
	return out, true
}
