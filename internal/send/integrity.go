package send

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"net/http"
	"time"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/internal/verify"
)

// setKey gives the headers the job's idempotency key, if it is to have one.
func (r *run) setKey(j *job, h http.Header) error {
	if r.Idempotency.Header == "" {
		if j.key = j.item.Key; j.key != "" {
			h.Set("Idempotency-Key", j.key)
		}
		return nil
	}
	switch {
	case j.item.Key != "":
		j.key = j.item.Key
	case j.key == "": // else it is the one that an earlier run began with
		id := j.id
		if header := headerOf(j.item); header != nil {
			id = sha256.Sum256(append(id[:], header...))
		}
		if !j.salt.IsZero() {
			id = sha256.Sum256(binary.AppendVarint(id[:], j.salt.UnixMilli()))
		}
		j.key = idempotencyKey(id, j.item.Size, j.item.ModTime, j.body.SHA256())
	}
	text, err := formatKey(j.key, r.Idempotency.Bare)
	if err == nil {
		h.Set(r.Idempotency.Header, text)
	}
	return err
}

// ask has the server tell whether it has an item in doubt. If that settles the
// matter it returns what became of the item; else the item is sent.
func (r *run) ask(ctx context.Context, j *job, req *http.Request) (out results.Result, settled bool) {
	out = j.out
	if out.Error == "" {
		out.Status, out.Error = item.Unknown, inDoubt
	}
	began := j.first
	if j.older {
		began = time.Time{} // a length and a date may be those of the other content
	}
	v, note, err := r.verifier.Check(ctx, j.item, req.Header, verify.Known{SHA256: j.body.SHA256(), Began: began, Ended: j.ended})
	if err != nil {
		note = r.hide(j.item, status.Plain(err))
	}
	switch v {
	case verify.There:
		out.Status, out.Error, out.Note = item.Delivered, "", "the server has it, by "+note
		j.found = true
		return out, true
	case verify.Absent:
		r.Log.Debug(fmt.Sprintf("%s: the server does not have it, so it is sent again", j.item.Path))
		if !j.absent {
			j.absent, j.before = true, j.tries
		}
		j.doubt, j.keyTaken, j.ask, j.first = false, false, false, time.Time{}
		return out, false
	}
	if j.resend && ctx.Err() == nil {
		j.ask, j.first = false, time.Time{}
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
