package send

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/body"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/reply"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/resume"
	"github.com/penstock/penstock/internal/secret"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/internal/wire"
	"github.com/penstock/penstock/retry"
)

// item sends one item. It is the pool's task: what becomes of the item is
// reported and not returned.
func (r *run) item(ctx context.Context, j *job) error {
	if r.ending.Cause() != nil {
		r.leave(j)
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
	if j.Delivered != nil && bytes.Equal(j.Delivered, j.body.SHA256()) {
		req.Body.Close()
		r.Journal.Put(r.row(j, item.Delivered), nil) // with the new date
		r.done(j, results.Result{Status: item.Skipped, Note: "its date has changed, its content has not"})
		return nil
	}
	if j.ask {
		if out, settled := r.ask(ctx, j, req); settled {
			req.Body.Close()
			r.done(j, out)
			return nil
		}
	}
	j.restart()
	resp, err := r.client.Do(req)
	r.backingOff(j, false)
	r.refusals.Forget(j)
	if j.retried {
		r.mu.Lock()
		j.retried = false
		r.retried--
		r.mu.Unlock()
	}
	out, end := r.outcome(j, resp, err)
	if j.fault != nil && out.Status == item.Failed && j.tries > 0 {
		j.spoil()
	} else {
		j.judge(&out)
	}
	if out.Status != item.Delivered { // else its bytes count until it does itself
		r.uploads.End(j, nil)
	}
	if out.Status == item.Delivered && r.CanAsk(j.item) {
		r.verifier.Delivered(j.item, func() http.Header { return req.Header })
	}
	switch {
	case out.Status == item.Deferred && j.began.IsZero() && (r.ending.Cause() != nil || ctx.Err() != nil): // before its turn
		r.leave(j)
	case !r.postpone(j, out, end):
		r.done(j, out)
	}
	return nil
}

// request builds the item's request. Its file is opened when an attempt's turn has come.
func (r *run) request(ctx context.Context, j *job) (*http.Request, error) {
	if j.item.Size >= large {
		j.watched = true
		ctx = r.uploads.Watch(ctx, j, func() wire.Upload {
			it := &j.item
			return wire.Upload{Name: filepath.Base(it.Path), Size: it.Size, Origin: nethttp.OriginOf(it.URL)}
		})
	}
	req, err := http.NewRequestWithContext(ctx, j.item.Method, j.item.URL, nil)
	if err != nil {
		return nil, err
	}
	if j.body == nil {
		j.body = body.New(&j.item, r.Form, r.Digest)
	}
	look, err := j.body.Look(ctx)
	if look.Changed {
		j.change()
	}
	if err != nil {
		return nil, err
	}
	kind := j.body.Attach(req)
	if r.Form == "" {
		kind = cmp.Or(r.ContentType, kind)
	}
	req.Header, err = r.header(j, kind, look.Digest)
	return req, err
}

// open opens the content of a request whose turn has come, and returns the request as it is to be
// sent: its length, digest and key are those of what was opened.
func (r *run) open(req *http.Request, j *job) (*http.Request, error) {
	if j.item.Size >= large {
		r.uploads.End(j, nil) // which reads the item's size
	}
	j.fault = nil
	out, look, err := j.body.Open(req)
	if look.Changed {
		j.change()
	}
	if err != nil {
		return nil, err
	}
	if look.Digest != "" || look.Changed && r.Idempotency.Header != "" {
		out.Header = req.Header.Clone() // others may share it
		if look.Digest != "" {
			out.Header.Set("Content-Digest", look.Digest)
		}
		if err := r.setKey(j, out.Header); err != nil {
			out.Body.Close()
			return nil, err
		}
	}
	return out, nil
}

// header returns the headers of an item. The transports below change only copies of
// them, so items that have none of their own share one map.
func (r *run) header(j *job, kind string, digest string) (http.Header, error) {
	it := j.item
	foreign := r.foreign(it)
	own := it.Header != nil || it.Key != "" || r.Form != "" || foreign || digest != "" || r.Idempotency.Header != ""
	if h, ok := r.headers.Load(kind); ok && !own {
		return h.(http.Header), nil
	}
	h := http.Header{"User-Agent": {r.UserAgent}, "Content-Type": {kind}}
	if digest != "" {
		h.Set("Content-Digest", digest)
	}
	if r.NoOverwrite {
		h.Set("If-None-Match", "*")
	}
	if !foreign {
		maps.Copy(h, r.Header)
	}
	maps.Copy(h, it.Header)
	if err := r.setKey(j, h); err != nil {
		return nil, err
	}
	if r.Form != "" {
		h.Set("Content-Type", kind) // with the form's boundary
	}
	if own {
		r.exposed(status.Exposed(it.URL, it.Header, false))
	} else {
		r.headers.Store(kind, h)
	}
	return h, nil
}

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
	// The server may have accepted what was sent of a file that changed, so the item is not deferred.
	if out.Status == item.Deferred && (j.fault != nil || errors.As(fault, new(*body.ReadError)) && r.ending.Cause() == nil) {
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
	if cause := r.ending.Cause(); cause != nil {
		// Why the run ends is said once, not with each item.
		out.Error = strings.TrimSuffix(out.Error, ": "+cause.Error())
	}
	if text = r.hide(j.item, text); !strings.Contains(out.Error, text) { // else it is but the status in words
		out.Error += ": " + reply.Shorten(text)
	}
	if out.Status == item.Deferred && !end.RetryAt.IsZero() && r.ending.Cause() == nil {
		r.leftAlone(j.server, end.RetryAt)
	}
	return out, end
}

// done records and reports how an item ended.
func (r *run) done(j *job, out results.Result) {
	it := j.item
	out.Path, out.Rel, out.Method, out.Key, out.Bytes = it.Path, it.Rel, it.Method, j.Key, it.Size
	out.Time, out.KeyMade = time.Now(), j.Key != "" && it.Key == ""
	out.Error = r.hide(it, out.Error)
	if j.found {
		r.asked.found.Add(1)
	}
	if j.absent && j.tries > j.before { // else the run ended first
		r.asked.absent.Add(1)
	}
	if r.Results != nil || out.Status != item.Delivered && out.Status != item.Skipped { // else nobody reads it
		out.URL = secret.URL(it.URL)
	}
	r.ended(j, out)
	r.record(j, out)
}

// report reports how an item ended. It is called when nothing can change that any more.
func (r *run) report(j *job, out results.Result) {
	if j.watched {
		r.uploads.End(j, func() { r.tally.Item(out) })
	} else {
		r.tally.Item(out)
	}
	if r.Results != nil {
		if err := r.Results.Write(out); err != nil {
			r.noResults(err)
		}
	}
	if out.Status != item.Delivered && out.Status != item.Skipped && r.ending.Cause() == nil {
		r.Log.Debug(fmt.Sprintf("%s: %s: %s", out.Path, out.Status, out.Error))
	}
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
