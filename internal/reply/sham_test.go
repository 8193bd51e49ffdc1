package reply

import (
	"net/http"
	"strings"
	"testing"
)

func TestShamOf(t *testing.T) {
	for _, c := range []struct {
		status     int
		kind, text string
		want       Sham
	}{
		{200, "text/html; charset=utf-8", "\n<!DOCTYPE html><title>Sign in</title>", Page},
		{200, "text/html", "<HTML><body>Please sign in</body>", Page},
		{200, "text/html", "OK", NoSham},
		// as Apache does
		{201, "text/html", "<!DOCTYPE HTML PUBLIC><title>201 Created</title>", NoSham},
		{200, "text/plain", "<html>", NoSham},
		{200, "application/json", `{"success":false,"message":"no"}`, Failure},
		{200, "application/json", ` {"ok": false}`, Failure},
		{200, "application/json", "\ufeff" + `{"success":false}`, Failure},
		{200, "text/html", "\ufeff<!DOCTYPE html><title>Sign in</title>", Page},
		{201, "application/problem+json", `{"error":{"code":1}}`, Error},
		{200, "application/json", `{"error":"quota"}`, Error},
		{200, "application/json", `{"error":["quota"]}`, Error},
		{200, "application/json", `{"data":null,"errors":[{"message":"no"}]}`, Errors},
		{200, "application/json", `{"errors":true}`, Errors}, // as Elasticsearch says
		{200, "application/json", `{"errors":false,"error":0}`, NoSham},
		{200, "application/json", `{"error":"","success":false}`, Failure},
		{200, "application/json", `{"error":null,"success":true}`, NoSham},
		{200, "application/json", `{"error":"","errors":[]}`, NoSham},
		{200, "application/json", `{"success":"false"}`, NoSham},
		{200, "application/json", `[{"success":false}]`, NoSham},
		{200, "application/json", `{"success":false,"x":"` + strings.Repeat("x", MaxHead) + `"}`,
			NoSham},
		{200, "text/plain", `{"success":false}`, NoSham},
		{204, "application/json", "", NoSham},
	} {
		resp := &http.Response{StatusCode: c.status, Header: http.Header{"Content-Type": {c.kind}}}
		head := c.text[:min(len(c.text), MaxHead)]
		if got := shamOf(resp, []byte(head), false); got != c.want {
			t.Errorf("%d %s %.50s: %v, want %v", c.status, c.kind, c.text, got, c.want)
		}
	}
	resp := &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/html"}}}
	if got := shamOf(resp, []byte("<html>"), true); got != NoSham {
		t.Errorf("an HTML file that is answered by a page: %v", got)
	}
}

// Each kind is counted, and has a first.
func TestShamsFind(t *testing.T) {
	var s Shams
	page := &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/html"}}}
	failure := &http.Response{StatusCode: 200,
		Header: http.Header{"Content-Type": {"application/json"}}}
	for i, test := range []struct {
		resp  *http.Response
		head  string
		want  Sham
		first bool
	}{
		{page, "ok", NoSham, false},
		{page, "<html>", Page, true},
		{page, "<html>", Page, false},
		{failure, `{"ok":true}`, NoSham, false},
		{failure, `{"ok":false}`, Failure, true},
		{failure, `{"error":"x"}`, Error, false},
	} {
		got, first := s.Find(test.resp, []byte(test.head), false)
		if got != test.want || first != test.first {
			t.Errorf("answer %d: %v, %v, want %v, %v", i, got, first, test.want, test.first)
		}
	}
	if pages, failures := s.Counts(); pages != 2 || failures != 2 {
		t.Errorf("%d pages, %d failures", pages, failures)
	}
}
