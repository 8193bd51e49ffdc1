package send

import (
	"context"
	"net/http"
	"path/filepath"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/template"
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
			return wire.Upload{Name: filepath.Base(it.Path), Size: j.body.Length(),
				Origin: j.server.Key}
		})
	}
	if j.body == nil {
		j.body = r.maker.Body(&j.item)
	}
	return r.maker.Request(ctx, j.upload())
}

// url returns the URL of a job's requests, as far as it is known.
func (r *run) url(j *job) string {
	if !template.Incomplete(j.item.URL) {
		return j.item.URL
	}
	if j.body == nil {
		j.body = r.maker.Body(&j.item)
	}
	url, err := j.upload().URL()
	if err != nil {
		return j.item.URL
	}
	return url
}

// located returns a job's item with the URL of its requests.
func (r *run) located(j *job) item.Item {
	it := j.item
	it.URL = r.url(j)
	return it
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
	if j.item.Size >= large {
		r.uploads.End(j, nil) // which reads the item's size
	}
	out, err := r.maker.Open(req, j.upload())
	if err == nil && (r.Journal != nil || r.Idempotency.Header != "") {
		err = r.announce(out.Context(), j)
	}
	return out, err
}
