package send

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/penstock/penstock/internal/source"
)

// shams are what an acceptance may be that is none: a page, such as one to sign in, or an error in
// JSON. Each is worth one warning a run. What a server means by 2xx is not for penstock to change.
type shams struct{ page, failure atomic.Bool }

// An overheard is the beginning of an answer's body.
type overheard struct {
	io.ReadCloser
	head bytes.Buffer
}

func (o *overheard) Read(p []byte) (int, error) {
	n, err := o.ReadCloser.Read(p)
	o.head.Write(p[:min(n, maxHead-o.head.Len())])
	return n, err
}

// overhear lets the body of an answer be looked at once it is read; nil: there is nothing to see.
func (s *shams) overhear(resp *http.Response) *overheard {
	if resp == nil || resp.StatusCode > 299 || resp.ContentLength == 0 || s.page.Load() && s.failure.Load() {
		return nil
	}
	o := &overheard{ReadCloser: resp.Body}
	resp.Body = o
	return o
}

// warnOfSham warns of an acceptance that looks like none.
func (r *run) warnOfSham(j *job, resp *http.Response, o *overheard) {
	if o == nil {
		return
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch text := bytes.TrimSpace(o.head.Bytes()); {
	case kind == "text/html" && resp.StatusCode == http.StatusOK && isPage(text) && !strings.Contains(source.ContentType(j.item.Path), "html"):
		if !r.shams.page.Swap(true) {
			r.Log.Warn(fmt.Sprintf("%s: the server answered 200 with a web page, which may ask to sign in or show an error: check that the file arrived", j.item.Path))
		}
	case (kind == "application/json" || strings.HasSuffix(kind, "+json")) && saysFailure(text):
		if !r.shams.failure.Swap(true) {
			r.Log.Warn(fmt.Sprintf("%s: the server answered %d, but its text says that it failed: %s", j.item.Path, resp.StatusCode, excerpt(r.hide(j.item, string(text)))))
		}
	}
}

func isPage(text []byte) bool {
	text = bytes.ToLower(text[:min(len(text), 100)])
	return bytes.HasPrefix(text, []byte("<!doctype html")) || bytes.HasPrefix(text, []byte("<html"))
}

// saysFailure reports whether a JSON object says that something failed. One that is longer than what is
// looked at says nothing.
func saysFailure(text []byte) bool {
	var told struct {
		Success, OK *bool
		Error       any
	}
	if json.Unmarshal(text, &told) != nil {
		return false
	}
	switch e := told.Error.(type) {
	case string:
		if e != "" {
			return true
		}
	case bool:
		if e {
			return true
		}
	case map[string]any:
		if len(e) > 0 {
			return true
		}
	}
	return told.Success != nil && !*told.Success || told.OK != nil && !*told.OK
}

// excerpt is the beginning of a text that is fit to be shown, in one line.
func excerpt(text string) string {
	line := strings.Join(strings.Fields(text), " ")
	return strings.ToValidUTF8(line[:min(len(line), maxExcerpt)], "?")
}
