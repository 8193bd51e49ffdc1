package send

import (
	"bytes"
	"context"
	"net/http"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/status"
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
	if known := j.Past().Delivered; known != nil && bytes.Equal(known, j.body.SHA256()) {
		req.Body.Close()
		r.Journal.Put(r.row(j, item.Delivered), nil) // with the new date
		r.done(j, results.Result{Status: item.Skipped, Note: status.Unchanged})
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
	r.backingOff(j, false)
	r.refusals.Forget(j)
	if j.tried() {
		r.workers.End()
	}
	out, end := r.outcome(j, resp, err)
	if out.Status != item.Delivered { // else its bytes count until it does itself
		r.uploads.End(j, nil)
	}
	if out.Status == item.Delivered && r.CanAsk(j.item) {
		r.verifier.Delivered(j.item, func() http.Header { return req.Header })
	}
	switch {
	// before its turn
	case out.Status == item.Deferred && j.began.IsZero() &&
		(r.ending.Cause() != nil || ctx.Err() != nil):
		r.abandon(j)
	case !r.postpone(j, out, end):
		r.done(j, out)
	}
	return nil
}
