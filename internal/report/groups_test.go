package report

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/outcome"
	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/internal/results"
)

// A line about several files names the URL of one only if it is the URL of all.
func TestURLOfGroup(t *testing.T) {
	for _, c := range []struct {
		n               int
		to, error, want string
	}{
		{3, "http://h/x#", "PUT #: 500 Internal Server Error",
			"3 failed, HTTP 500: 500 Internal Server Error (such as 0)"},
		{1, "http://h/x#", "PUT #: 500 Internal Server Error",
			"1 failed, HTTP 500: PUT http://h/x0: 500 Internal Server Error (0)"},
		{3, "http://h/x0", "POST #: 500 Internal Server Error",
			"3 failed, HTTP 500: POST http://h/x0: 500 Internal Server Error (such as 0)"},
		{2, "https://h/x#?key=***", "PATCH #: connection lost: https://other/: 1",
			"2 failed, HTTP 500: connection lost: https://other/: 1 (such as 0)"},
		{2, "http://h/x#", "it may be http://h/, PUT or not",
			"2 failed, HTTP 500: it may be http://h/, PUT or not (such as 0)"},
	} {
		tally := NewTally(start)
		for i := range c.n {
			url := strings.Replace(c.to, "#", fmt.Sprint(i), 1)
			text := strings.Replace(c.error, "#", url, 1)
			tally.Item(results.Result{Path: fmt.Sprint(i), URL: url, Status: item.Failed,
				HTTPStatus: 500, Error: text})
		}
		var b strings.Builder
		tally.Summary(start.Add(time.Second), int64(c.n)).WriteErrors(&b)
		if got := strings.TrimSpace(b.String()); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

// Requests that were in vain because of their files are waste, and neither refused nor unanswered.
func TestSpoiledRequests(t *testing.T) {
	for n, want := range map[int]string{1: "1 request was", 3: "3 requests were"} {
		tally := NewTally(start)
		tally.Sent(start)
		tally.Request(Request{Outcome: outcome.Accepted, Status: 201})
		for i := range n {
			tally.Sent(start)
			tally.Request(Request{Outcome: outcome.Spoiled, Status: 201 * (i % 2),
				Failure: "the file changed while it was sent"})
		}
		tally.Item(results.Result{Status: item.Delivered})
		s := tally.Summary(start.Add(time.Second/2), 1)
		var b strings.Builder
		s.WriteText(&b, &b)
		want = "1 delivered in 500 ms (0 B). " + want +
			" wasted on files that changed or could not be read.\n"
		if got := b.String(); got != want {
			t.Errorf("it says %s", got)
		}
		if q := s.Requests; q.Waste != progress.Round(float64(n)/float64(n+1), 4) ||
			q.Spoiled != int64(n) || q.Errors != int64(n) {
			t.Errorf("%+v", q)
		}
	}
}
