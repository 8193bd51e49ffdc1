package send

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/penstock/penstock/internal/source"
)

// shams are what an acceptance may be that is none: a page, such as one to sign in, or an error in
// JSON. Each is worth one warning a run. What a server means by 2xx is not for penstock to change.
type shams struct{ page, failure atomic.Bool }

// warnOfSham warns of an acceptance that looks like none, by the beginning of its text.
func (r *run) warnOfSham(j *job, resp *http.Response, head []byte) {
	if len(head) == 0 || r.shams.page.Load() && r.shams.failure.Load() {
		return
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch text := bytes.TrimSpace(head); {
	case kind == "text/html" && resp.StatusCode == http.StatusOK && isPage(text) && !strings.Contains(source.ContentType(j.item.Path), "html"):
		if !r.shams.page.Swap(true) {
			r.Log.Warn(fmt.Sprintf("%s: the server answered 200 with a web page, which may ask to sign in or show an error: check that the file arrived", j.item.Path))
		}
	case (kind == "application/json" || strings.HasSuffix(kind, "+json")) && saysFailure(text):
		if !r.shams.failure.Swap(true) {
			r.Log.Warn(fmt.Sprintf("%s: the server answered %d, but its text says that it failed: %s", j.item.Path, resp.StatusCode, shorten(r.hide(j.item, excerpt(text, false)))))
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
