package upload

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/body"
	"github.com/penstock/penstock/internal/compose"
	"github.com/penstock/penstock/internal/filebody"
	"github.com/penstock/penstock/internal/header"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/outcome"
	"github.com/penstock/penstock/internal/resume"
	"github.com/penstock/penstock/internal/template"
	"github.com/penstock/penstock/internal/test"
)

// newUpload returns the upload of a file with that text, a day old.
func newUpload(t *testing.T, m *Maker, text string) Upload {
	t.Helper()
	name := filepath.Join(t.TempDir(), "f.txt")
	test.OK(t, os.WriteFile(name, []byte(text), 0o600))
	yesterday := time.Now().Add(-24 * time.Hour).Truncate(time.Second)
	test.OK(t, os.Chtimes(name, yesterday, yesterday))
	info, err := os.Stat(name)
	test.OK(t, err)
	it := &item.Item{Path: name, Method: "POST", URL: "http://h/",
		Fingerprint: item.FingerprintOf(info), Content: filebody.File(name)}
	return Upload{Item: it, ID: resume.IdentityOf(*it), Body: m.Body(it),
		Standing: new(outcome.Standing)}
}

func (m *Maker) request(t *testing.T, u Upload) *http.Request {
	t.Helper()
	req, err := m.Request(t.Context(), u)
	test.OK(t, err)
	return req
}

// A request has the key, the digest and the length of the content that it is opened with.
func TestOpen(t *testing.T) {
	for _, c := range []struct{ changes, digest bool }{
		{false, false}, {true, false}, {false, true}, {true, true},
	} {
		m := &Maker{Idempotency: resume.Idempotency{Header: "Idempotency-Key"}, Digest: c.digest,
			Own: func(*item.Item) {}}
		u := newUpload(t, m, "before")
		req := m.request(t, u)
		want, key := "before", u.Standing.Past().Key
		if key == "" || req.Header.Get("Idempotency-Key") != `"`+key+`"` {
			t.Errorf("key %q, sent as %s", key, req.Header.Get("Idempotency-Key"))
		}
		if c.changes {
			want = "afterwards"
			test.OK(t, os.WriteFile(u.Item.Path, []byte(want), 0o600))
		}
		out, err := m.Open(req, u)
		test.OK(t, err)
		text, err := io.ReadAll(out.Body)
		test.OK(t, err)
		test.OK(t, out.Body.Close())
		now := u.Standing.Past().Key
		if string(text) != want || out.ContentLength != int64(len(want)) ||
			(now != key) != c.changes || out.Header.Get("Idempotency-Key") != `"`+now+`"` {
			t.Errorf("%q of %d bytes, key %s after %s", text, out.ContentLength, now, key)
		}
		before, after := req.Header.Get("Content-Digest"), out.Header.Get("Content-Digest")
		if (after != "") != c.digest || (before != after) != (c.digest && c.changes) {
			t.Errorf("digest %s, and then %s", before, after)
		}
	}
}

// A counted content counts the bodies that are open.
type counted struct {
	item.Content
	open *int
}

func (c counted) Open(ctx context.Context, seen fs.FileInfo) (
	io.ReadCloser, fs.FileInfo, error,
) {
	body, info, err := c.Content.Open(ctx, seen)
	if err != nil {
		return nil, nil, err
	}
	*c.open++
	return closing{body, c.open}, info, nil
}

type closing struct {
	io.ReadCloser
	open *int
}

func (c closing) Close() error {
	*c.open--
	return c.ReadCloser.Close()
}

// A content that was opened is closed if its key then turns out to be one that cannot be sent.
func TestOpenClosesWithoutKey(t *testing.T) {
	m := &Maker{Idempotency: resume.Idempotency{Header: "Idempotency-Key"},
		Own: func(*item.Item) {}}
	open := 0
	u := newUpload(t, m, "text")
	u.Item.Content = counted{u.Item.Content, &open}
	u.Body = m.Body(u.Item)
	req := m.request(t, u)
	req.Header.Del("Idempotency-Key") // as a redirect does
	out, err := m.Open(req, u)
	test.OK(t, err)
	if open != 1 {
		t.Fatalf("%d bodies are open while one is sent", open)
	}
	test.OK(t, out.Body.Close())
	u.Standing.Keyed("kéy")
	if _, err := m.Open(req, u); err == nil || open != 0 {
		t.Errorf("%d bodies are left open: %v", open, err)
	}
}

// What earlier attempts say of an item is judged by its content as it is now, at each look.
func TestRequestLooks(t *testing.T) {
	m := &Maker{Own: func(*item.Item) {}}
	u := newUpload(t, m, "before")
	u.Standing.Claimed(resume.Past{Attempts: 1, Doubt: true}, false)
	test.OK(t, os.WriteFile(u.Item.Path, []byte("afterwards"), 0o600))
	req := m.request(t, u)
	if past := u.Standing.Past(); past.Doubt || !past.Older {
		t.Errorf("%+v", past)
	}
	u.Standing.Answered(outcome.Request{Method: "POST"}, nil, body.ErrChanged)
	if u.Standing.Fault() == nil {
		t.Fatal("the change is no fault")
	}
	out, err := m.Open(req, u)
	test.OK(t, err)
	test.OK(t, out.Body.Close())
	if err := u.Standing.Fault(); err != nil {
		t.Errorf("of the attempt before: %v", err)
	}
}

// The media type that is given holds for files, and not for forms.
func TestContentType(t *testing.T) {
	for _, c := range []struct{ given, form, want string }{
		{"", "", "text/plain"},
		{"a/b", "", "a/b"},
		{"", "field", "multipart/form-data"},
		{"a/b", "field", "multipart/form-data"},
	} {
		m := &Maker{ContentType: c.given, Own: func(*item.Item) {}}
		u := newUpload(t, m, "x")
		if c.form != "" {
			form := new(compose.Template)
			test.OK(t, form.AddField(c.form))
			content, err := form.Content(u.Item, "")
			test.OK(t, err)
			u.Item.Content = content
			u.Body = m.Body(u.Item)
		}
		got := m.request(t, u).Header.Get("Content-Type")
		if !strings.HasPrefix(got, c.want) {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

// Whether headers are the item's own is told, and a key that cannot be sent fails its request.
func TestOwnHeaders(t *testing.T) {
	var own []string
	m := &Maker{Own: func(it *item.Item) { own = append(own, it.Key) }}
	m.request(t, newUpload(t, m, "x"))
	u := newUpload(t, m, "x")
	u.Item.Key = "kéy"
	if got := m.request(t, u).Header.Get("Idempotency-Key"); got != "" || len(own) != 0 {
		t.Errorf("key %q; %q have headers of their own", got, own)
	}
	m.Idempotency.Header = "Key"
	if _, err := m.Request(t.Context(), u); err == nil || !strings.Contains(err.Error(), "ASCII") {
		t.Errorf("a key that cannot be quoted: %v", err)
	}
}

// What depends on the content is in URL and headers as the content is when it is opened, and is
// neither in the URL nor in the headers that a redirect to another server made.
func TestVariables(t *testing.T) {
	value, err := template.Parse("{size}:{md5}", template.PlaceHeader)
	test.OK(t, err)
	for _, changes := range []bool{false, true} {
		m := &Maker{Own: func(*item.Item) {}, Vars: []string{"uuid", "size", "md5", "sha256"},
			Headers: header.Maker{Filled: []header.Field{{Name: "X-Sum", Value: value}}}}
		u := newUpload(t, m, "before")
		u.Item.URL = "http://h/{uuid}/{size}?{sha256}"
		u.Body = m.Body(u.Item)
		req := m.request(t, u)
		text := "before"
		expect := func(req *http.Request) {
			t.Helper()
			sum, sum256 := md5.Sum([]byte(text)), sha256.Sum256([]byte(text))
			want := fmt.Sprintf("http://h/%s/%d?%x", resume.IdentityOf(*u.Item).UUID(), len(text),
				sum256)
			if got := req.URL.String(); got != want {
				t.Errorf("%s, want %s", got, want)
			}
			want = fmt.Sprintf("%d:%x", len(text), sum)
			if got := req.Header.Get("X-Sum"); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
		expect(req)
		if changes {
			text = "afterwards"
			test.OK(t, os.WriteFile(u.Item.Path, []byte(text), 0o600))
		}
		out, err := m.Open(req, u)
		test.OK(t, err)
		test.OK(t, out.Body.Close())
		expect(out)

		moved := req.Clone(t.Context())
		moved.Response, moved.Header = &http.Response{}, http.Header{}
		moved.URL, err = url.Parse("http://other/moved")
		test.OK(t, err)
		out, err = m.Open(moved, u)
		test.OK(t, err)
		test.OK(t, out.Body.Close())
		if out.URL.String() != "http://other/moved" || len(out.Header) > 0 {
			t.Errorf("%s with %v", out.URL, out.Header)
		}
	}
}

// A value that a header cannot have is the item's failure.
func TestUnfitForHeader(t *testing.T) {
	value, err := template.Parse("{title}", template.PlaceHeader)
	test.OK(t, err)
	m := &Maker{Own: func(*item.Item) {},
		Headers: header.Maker{Filled: []header.Field{{Name: "X-Title", Value: value}}}}
	u := newUpload(t, m, "x")
	u.Item.Fields = template.Fields{"title": {Text: "a\r\nX-Evil: b"}}
	if _, err := m.Request(t.Context(), u); err == nil ||
		!strings.HasPrefix(err.Error(), "the header X-Title: {title}: a newline") {
		t.Errorf("%v", err)
	}
}
