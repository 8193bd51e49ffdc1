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
	Failure      // JSON with "success" or "ok" as false
	Error        // JSON with an "error"
	Errors       // JSON with "errors"
)

// shamOf reports what an acceptance looks like, by the beginning of its text.
func shamOf(resp *http.Response, head []byte, isHTML bool) Sham {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch text := bytes.TrimSpace(bytes.TrimPrefix(head, []byte("\ufeff"))); {
	case kind == "text/html" && resp.StatusCode == http.StatusOK && isPage(text) && !isHTML:
		return Page
	case kind == "application/json" || strings.HasSuffix(kind, "+json"):
		return failureOf(text)
	}
	return NoSham
}

// Shams counts those that were found in a run, pages and failures. The zero value is ready to use,
// and its methods may be called concurrently.
type Shams struct{ pages, failures atomic.Int64 }

// Find reports what an acceptance looks like, by the beginning of its text, and whether it is the
// first that looks so. An item that is HTML itself may be answered by a page.
func (s *Shams) Find(resp *http.Response, head []byte, isHTML bool) (sham Sham, first bool) {
	switch sham = shamOf(resp, head, isHTML); sham {
	case NoSham:
		return sham, false
	case Page:
		return sham, s.pages.Add(1) == 1
	}
	return sham, s.failures.Add(1) == 1
}

// Counts returns how many were web pages, and how many said that something failed.
func (s *Shams) Counts() (pages, failures int64) { return s.pages.Load(), s.failures.Load() }

func isPage(text []byte) bool {
	text = bytes.ToLower(text[:min(len(text), 100)])
	return bytes.HasPrefix(text, []byte("<!doctype html")) || bytes.HasPrefix(text, []byte("<html"))
}

// failureOf returns how a JSON object says that something failed. One that is longer than what is
// looked at says nothing.
func failureOf(text []byte) Sham {
	var told struct {
		Success, OK   *bool
		Error, Errors any
	}
	switch {
	case json.Unmarshal(text, &told) != nil:
	case told.Success != nil && !*told.Success, told.OK != nil && !*told.OK:
		return Failure
	case saysSomething(told.Error):
		return Error
	case saysSomething(told.Errors):
		return Errors
	}
	return NoSham
}

// saysSomething reports whether a field for errors has one.
func saysSomething(field any) bool {
	switch e := field.(type) {
	case string:
		return e != ""
	case bool:
		return e
	case map[string]any:
		return len(e) > 0
	case []any:
		return len(e) > 0
	}
	return false
}
