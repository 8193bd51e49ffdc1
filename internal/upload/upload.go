// Package upload makes the request for an item: its body, its headers and its idempotency key. They
// are made once before the request waits for its turn, and by [Maker.Open] again for the content
// that the item has when the turn has come.
package upload

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/penstock/penstock/internal/body"
	"github.com/penstock/penstock/internal/header"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/outcome"
	"github.com/penstock/penstock/internal/resume"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/internal/template"
)

// A Maker makes requests. Its fields are set before its first use, and its methods may be called
// concurrently.
type Maker struct {
	Headers     header.Maker
	Idempotency resume.Idempotency
	ContentType string   // if empty, by the file's extension, or what the body is
	Digest      bool     // the content is sent with its digest
	Vars        []string // variables of all templates

	// Own is called with each item whose request has headers of its own.
	Own func(*item.Item)
}

// An Upload is an item that is sent. What happens to it is recorded in its Standing.
type Upload struct {
	Item     *item.Item
	ID       resume.Identity
	Body     *body.Body // by [Maker.Body]
	Standing *outcome.Standing
}

// Body returns the body for the requests of an item.
func (m *Maker) Body(it *item.Item) *body.Body {
	o := body.Options{ContentDigest: m.Digest, Vars: m.Vars}
	if slices.Contains(m.Vars, "uuid") {
		o.UUID = resume.IdentityOf(*it).UUID()
	}
	return body.New(it, o)
}

// Request makes a request. Its file is opened when an attempt's turn has come.
func (m *Maker) Request(ctx context.Context, u Upload) (*http.Request, error) {
	look, err := u.Body.Look(ctx)
	u.Standing.Looked(look, u.Body.SHA256())
	if err != nil {
		return nil, err
	}
	url, err := u.URL()
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, u.Item.Method, url, nil)
	if err != nil {
		return nil, err
	}
	content := header.Content{Type: u.Body.Attach(req), Digest: look.Digest}
	if content.Form = u.Body.IsForm(); !content.Form {
		content.Type = cmp.Or(m.ContentType, content.Type)
	}
	// The transports below change only copies of the headers, which items share.
	h, own, err := m.Headers.Of(*u.Item, content, u.Body.Value, m.Idempotency.Header != "")
	if err != nil {
		return nil, err
	}
	if own {
		m.Own(u.Item)
	}
	req.Header = h
	return req, m.setKey(u, h) // without a key it changes nothing
}

// Open opens the content of a request whose turn has come, and returns the request as it is to be
// sent: its length, digest and key are those of what was opened.
func (m *Maker) Open(req *http.Request, u Upload) (*http.Request, error) {
	u.Standing.Begun()
	out, look, err := u.Body.Open(req)
	u.Standing.Looked(look, u.Body.SHA256())
	if err != nil {
		return nil, err
	}
	// A redirect to another server leaves out a header whose name means nothing to package retry.
	keyless := m.Idempotency.Header != "" && req.Header.Get(m.Idempotency.Header) == ""
	err = m.refill(out, u)
	if err == nil && (look.Digest != "" || keyless || look.Changed && m.Idempotency.Header != "") {
		out.Header = out.Header.Clone() // others may share it
		if look.Digest != "" {
			out.Header.Set("Content-Digest", look.Digest)
		}
		err = m.setKey(u, out.Header)
	}
	if err != nil {
		out.Body.Close()
		return nil, err
	}
	return out, nil
}

// refill fills in what depends on the content in the URL and the headers of a request. If that
// follows a redirect, the URL is the server's, and some headers were left out.
func (m *Maker) refill(req *http.Request, u Upload) (err error) {
	redirected := req.Response != nil
	req.Header, err = m.Headers.Refill(req.Header, redirected, *u.Item, u.Body.Value)
	if err != nil || redirected || !template.Incomplete(u.Item.URL) {
		return err
	}
	now, err := u.URL()
	if err == nil {
		req.URL, err = url.Parse(now)
	}
	return err
}

// URL returns the URL of the item's requests, as far as it is known.
func (u Upload) URL() (string, error) { return template.Complete(u.Item.URL, u.Body.Value) }

// setKey gives the headers the item's idempotency key, if it is to have one.
func (m *Maker) setKey(u Upload, h http.Header) error {
	key := m.Idempotency.Key(*u.Item, u.ID, u.Standing.Past(), u.Body.SHA256())
	u.Standing.Keyed(key)
	err := m.Idempotency.Set(h, key)
	if bad, ok := errors.AsType[*resume.KeyError](err); ok {
		return errors.New(status.BadKey(bad))
	}
	return err
}
