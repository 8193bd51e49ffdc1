package reply

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/http"
	"strings"
	"sync/atomic"
)

// A Sham is what an acceptance may be if it is not genuine. What a server means by 2xx is not for
// penstock to change.
type Sham uint8

const (
	NoSham  Sham = iota
	Page         // a web page, such as one to sign in
	Failure      // JSON that says that something failed
)

// shamOf is First for each acceptance.
func shamOf(resp *http.Response, head []byte, isHTML bool) Sham {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch text := bytes.TrimSpace(head); {
	case kind == "text/html" && resp.StatusCode == http.StatusOK && isPage(text) && !isHTML:
		return Page
	case (kind == "application/json" || strings.HasSuffix(kind, "+json")) && saysFailure(text):
		return Failure
	}
	return NoSham
}

// Shams are those that were found in a run. The zero value is ready to use, and its method may be
// called concurrently.
type Shams struct{ found [Failure + 1]atomic.Bool }

// First reports what an acceptance looks like, by the beginning of its text, if it is the first
// that looks so. An item that is HTML itself may be answered by a page.
func (s *Shams) First(resp *http.Response, head []byte, isHTML bool) Sham {
	if s.found[Page].Load() && s.found[Failure].Load() {
		return NoSham
	}
	sham := shamOf(resp, head, isHTML)
	if s.found[sham].Swap(true) {
		return NoSham
	}
	return sham
}

func isPage(text []byte) bool {
	text = bytes.ToLower(text[:min(len(text), 100)])
	return bytes.HasPrefix(text, []byte("<!doctype html")) || bytes.HasPrefix(text, []byte("<html"))
}

// saysFailure reports whether a JSON object says that something failed. One that is longer than
// what is looked at says nothing.
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
