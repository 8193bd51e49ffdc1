package send

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"path/filepath"

	"github.com/penstock/penstock/internal/body"
	"github.com/penstock/penstock/internal/header"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/resume"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/internal/wire"
)

// large is the size from which on the bytes of a file are followed.
const large = wire.Large

// request builds the item's request. Its file is opened when an attempt's turn has come.
func (r *run) request(ctx context.Context, j *job) (*http.Request, error) {
	if j.item.Size >= large {
		j.followed()
		ctx = r.uploads.Watch(ctx, j, func() wire.Upload {
			it := &j.item
			return wire.Upload{Name: filepath.Base(it.Path), Size: it.Size,
				Origin: nethttp.OriginOf(it.URL)}
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
	j.Looked(look, j.body.SHA256())
	if err != nil {
		return nil, err
	}
	kind := j.body.Attach(req)
	if r.Form == "" {
		kind = cmp.Or(r.ContentType, kind)
	}
	req.Header, err = r.header(j,
		header.Content{Type: kind, Digest: look.Digest, Form: r.Form != ""})
	return req, err
}

// open opens the content of a request whose turn has come, and returns the request as it is to be
// sent: its length, digest and key are those of what was opened.
func (r *run) open(req *http.Request, j *job) (*http.Request, error) {
	if j.item.Size >= large {
		r.uploads.End(j, nil) // which reads the item's size
	}
	j.Begun()
	out, look, err := j.body.Open(req)
	j.Looked(look, j.body.SHA256())
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

// header returns the headers of an item. The transports below change only copies of them.
func (r *run) header(j *job, content header.Content) (http.Header, error) {
	h, own := r.headers.Of(j.item, content, r.Idempotency.Header != "")
	if own {
		r.exposed(status.Exposed(j.item.URL, j.item.Header, false))
	}
	return h, r.setKey(j, h) // without a key it changes nothing
}

// setKey gives the headers the job's idempotency key, if it is to have one.
func (r *run) setKey(j *job, h http.Header) error {
	key := r.Idempotency.Key(j.item, j.id, j.Past(), j.body.SHA256())
	j.Keyed(key)
	err := r.Idempotency.Set(h, key)
	if bad, ok := errors.AsType[*resume.KeyError](err); ok {
		return errors.New(status.BadKey(bad))
	}
	return err
}

// exposed writes a warning, the first time.
func (r *run) exposed(warning string) {
	if warning != "" {
		r.toldExposed.Do(func() { r.Log.Warn(warning) })
	}
}

// beforeSending is called when a request is about to leave. It opens the file and, where it matters
// whether a request may have been processed, has the journal note it on disk before.
func (r *run) beforeSending(req *http.Request) (*http.Request, error) {
	j := jobOf(req)
	if j == nil {
		return req, nil
	}
	out, err := r.open(req, j)
	if err == nil && (r.Journal != nil || r.Idempotency.Header != "") {
		err = r.announce(out.Context(), j)
	}
	return out, err
}
