package board

import (
	"fmt"
	"io"
	"time"

	"github.com/penstock/penstock/internal/human"
)

// A Report is a run that is over, for people. Empty parts are left out.
type Report struct {
	Title    string
	Sentence string // what became of it
	Started  time.Time
	Facts    []Fact
	Files    []Fact
	Requests []Fact
	Chart    Chart
	Latency  []Fact
	Held     []Held // what held it back, longest first
	Failures []Group
	Notes    []string
	Next     []Fact // commands to give next, by what they are for
}

// A Fact is a value with a name. More, which may be empty, is said beside it.
type Fact struct{ Name, Value, More string }

// RefusedFact is how many requests were refused, and in which way, as the page of a run has it.
func RefusedFact(throttled, overloaded, timedOut int64) Fact {
	return Fact{Name: "Refused", Value: human.Count(throttled + overloaded + timedOut),
		More: refusals(throttled, overloaded, timedOut)}
}

// Instant writes when something was, for a page that may be looked at later, and elsewhere.
func Instant(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 MST") }

// A Held is for how long a limit held a run back.
type Held struct {
	By    string
	Time  time.Duration
	Share float64 // of the run
}

// A Group is a number of failures of one kind.
type Group struct {
	Count   int64
	How     string // such as "failed, HTTP 404"
	Why     string
	Example string // a path
}

// ReportPrefix is what each report begins with.
const ReportPrefix = "<!DOCTYPE html>\n<html lang=\"en\" class=\"penstock-report\">"

// Write writes the report as a page that needs nothing else, no script either.
func (r Report) Write(w io.Writer) error {
	_, err := w.Write(render("report", r))
	return err
}

// Files says how many there are.
func (g Group) Files() string { return human.Plural(g.Count, "file") }

// Drawing is the report's chart.
func (r Report) Drawing() drawing { return r.Chart.Fewer(columns).draw() }

// Span is how long it was.
func (h Held) Span() string { return human.Span(h.Time) }

// Percent is its share in words.
func (h Held) Percent() string { return fmt.Sprintf("%.0f %%", 100*h.Share) }

// Width is its share in a box that is 100 wide.
func (h Held) Width() float64 { return min(100*h.Share, 100) }
