package send

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"time"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/resume"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/internal/verify"
)

// setKey gives the headers the job's idempotency key, if it is to have one.
func (r *run) setKey(j *job, h http.Header) error {
	j.Key = r.Idempotency.Key(j.item, j.id, j.Past, j.body.SHA256())
	err := r.Idempotency.Set(h, j.Key)
	if bad := (*resume.KeyError)(nil); errors.As(err, &bad) {
		return errors.New(status.BadKey(bad))
	}
	return err
}

// ask has the server tell whether it has an item in doubt. If that settles the
// matter it returns what became of the item; else the item is sent.
func (r *run) ask(
	ctx context.Context, j *job, req *http.Request,
) (out results.Result, settled bool) {
	if out = j.out; out.Error == "" {
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
		r.Log.Debug(j.item.Path + ": the server does not have it, so it is sent again")
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

// askHeader returns the header that the server is asked with for an item that is not sent.
func (r *run) askHeader(it item.Item) http.Header {
	h := http.Header{"User-Agent": {r.UserAgent}}
	if !r.foreign(it) {
		maps.Copy(h, r.Header)
	}
	maps.Copy(h, it.Header)
	return h
}
