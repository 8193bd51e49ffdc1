package report

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/penstock/penstock/internal/board"
	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/progress"
)

// WriteHTML is as [WriteJSON] for people: a page that needs nothing else.
func WriteHTML(path string, s Summary) error { return write(path, s.encodeHTML) }

// CheckHTML is an error if [WriteHTML] cannot write there, or would write over what is no report.
func CheckHTML(path string) error { return check(path, board.ReportPrefix) }

// encodeHTML writes the report as a page.
func (s Summary) encodeHTML(w io.Writer) error { return s.page().Write(w) }

// page returns what the page says.
func (s *Summary) page() board.Report {
	var sentence strings.Builder
	s.writeItems(&sentence)
	started := s.Started.Local()
	r := board.Report{
		Title:    "penstock " + s.Command + " to " + s.To,
		Sentence: strings.TrimSuffix(sentence.String(), "\n"),
		Facts: []board.Fact{
			{Name: "penstock " + s.Command + " to", Value: s.To},
			{Name: "began", Value: board.Instant(started)},
			{Name: "took", Value: human.Span(human.Seconds(s.Seconds))},
			{Name: "exit status", Value: fmt.Sprintf("%d: %s", s.ExitStatus,
				exit.Meaning(s.ExitStatus))},
		},
		Files: []board.Fact{
			number("Found", s.Items.Total), number("Delivered", s.Items.Delivered),
			number("Failed", s.Items.Failed), number("Unknown", s.Items.Unknown),
			number("Skipped", s.Items.Skipped), number("Deferred", s.Items.Deferred),
			number("Not sent", s.Items.Remaining),
			{Name: "Bytes delivered", Value: human.Size(s.Bytes.Delivered)},
		},
		Requests: []board.Fact{
			number("Sent", s.Requests.Sent), number("Accepted", s.Requests.Accepted),
			board.RefusedFact(s.Requests.Throttled, s.Requests.Overloaded, s.Requests.TimedOut),
			number("Errors", s.Requests.Errors),
			number("Most in flight", int64(s.InFlight.Max)),
			number("Most in a second", int64(s.Rate.MaxIn1s)),
		},
		Notes: s.Notes, Held: s.held(),
	}
	if learned := s.Learned.String(); learned != "" {
		r.Requests = append(r.Requests, board.Fact{Name: "Pace", Value: learned})
	}
	if s.Timeline != nil {
		r.Chart = chartOf(s.Timeline)
		r.Chart.Started = started
	}
	if l := s.Latency; l != nil {
		for _, of := range []struct {
			name    string
			seconds float64
		}{{"Median", l.P50}, {"Mean", l.Mean}, {"95th percentile", l.P95},
			{"99th percentile", l.P99}, {"Longest", l.Max}} {
			span := human.Span(human.Seconds(of.seconds))
			r.Latency = append(r.Latency, board.Fact{Name: of.name, Value: span})
		}
	}
	for _, g := range s.Errors {
		how := g.Status.String()
		if g.HTTPStatus != 0 {
			how += fmt.Sprintf(", HTTP %d", g.HTTPStatus)
		}
		r.Failures = append(r.Failures, board.Group{Count: g.Count, How: how, Why: g.text(),
			Example: g.Path})
	}
	if s.OtherErrors > 0 {
		r.Failures = append(r.Failures, board.Group{Count: s.OtherErrors, How: "others"})
	}
	for _, line := range s.Next {
		what, command, _ := strings.Cut(line, ": ")
		r.Next = append(r.Next, board.Fact{Name: what, Value: command})
	}
	return r
}

func number(name string, n int64) board.Fact {
	return board.Fact{Name: name, Value: human.Count(n)}
}

// held says what held the run back, the longest first.
func (s *Summary) held() (held []board.Held) {
	for _, limit := range slices.Sorted(maps.Keys(limitNames)) {
		if seconds := s.Waited[limit]; seconds > 0 {
			held = append(held, board.Held{By: limitNames[limit], Time: human.Seconds(seconds),
				Share: seconds / max(s.Seconds, seconds)})
		}
	}
	slices.SortStableFunc(held, func(a, b board.Held) int { return cmp.Compare(b.Time, a.Time) })
	return held
}

func chartOf(t *progress.Timeline) board.Chart {
	every, steps := t.Steps()
	c := board.Chart{Step: every, Peaks: true}
	for _, s := range steps {
		c.Samples = append(c.Samples, board.Sample{
			Seconds: every.Seconds(), Sent: s.Sent, Accepted: s.Accepted, Refused: s.Refused,
			Rate: s.Rate, InFlight: s.Peak, Paused: s.Paused.Seconds(),
			Down: s.Down.Seconds(),
		})
	}
	return c
}
