package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/internal/status"
)

// textGroups is how many groups of errors, or servers, a person is shown; maxExample is how much of
// each error.
const (
	textGroups = 8
	maxExample = 200
)

// WriteText writes what a person reads at the end of a run: what became of it, what the server
// takes where that was learned, and, if Verbose is set, how the requests went. If the run has not
// delivered everything, what went wrong, what to do about it and the exit status go to trouble. On
// a terminal the lines fit. Write errors are left to the caller's own check of the writers.
func (s Summary) WriteText(w, trouble io.Writer) {
	var b, rest strings.Builder
	s.writeItems(&b)
	if learned := s.Learned.String(); learned != "" {
		fmt.Fprintln(&b, learned)
	}
	for _, l := range s.LearnedByServer[:min(len(s.LearnedByServer), textGroups)] {
		fmt.Fprintf(&b, "%s: %s\n", human.Printable(l.Server), l)
	}
	if n := len(s.LearnedByServer) - textGroups; n > 0 {
		fmt.Fprintln(&b, status.LearnedOfMore(n))
	}
	if s.Verbose {
		s.writeRequests(&b)
		s.writeHeld(&b)
	}
	s.writeErrors(&rest)
	for _, note := range s.Notes {
		fmt.Fprintln(&rest, human.Printable(note))
	}
	if s.ExitStatus == 0 {
		width := human.Width(w)
		_, _ = io.WriteString(w, wrapLines(b.String()+rest.String(), width)+commands(s.Next, width))
		return
	}
	_, _ = io.WriteString(w, wrapLines(b.String(), human.Width(w)))
	width := human.Width(trouble)
	end := fmt.Sprintf("exit status %d: %s\n", s.ExitStatus, exit.Meaning(s.ExitStatus))
	_, _ = io.WriteString(trouble,
		wrapLines(rest.String(), width)+commands(s.Next, width)+wrapLines(end, width))
}

// wrapLines breaks lines so that they fit a terminal of that width, 0 being any.
func wrapLines(text string, width int) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(human.Wrap(line, width))
	}
	return b.String()
}

// commands writes lines that say what a command is for, and the command, which is not broken: it
// would not be one if it were copied. If both do not fit, it has a line of its own.
func commands(lines []string, width int) string {
	var b strings.Builder
	for _, line := range lines {
		line = human.Printable(line)
		what, command, ok := strings.Cut(line, ": ")
		if ok && width > 0 && utf8.RuneCountInString(line) > width {
			line = wrapLines(what+":", width) + "\n" + command
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

// writeItems writes the line that people want to read: what failed, if anything did, and how much
// was delivered how fast.
func (s *Summary) writeItems(b *strings.Builder) {
	n := s.Items
	if n.Total == 0 {
		text := "There was nothing to send.\n"
		if s.ExitStatus != 0 { // as far as it got
			text = "Nothing was sent.\n"
		}
		b.WriteString(text)
		return
	}
	bad := human.Join(", ", human.Some(n.Failed, "failed"), human.Some(n.Unknown, "unknown"),
		human.Some(n.Deferred, "deferred"), human.Some(n.Remaining, "not sent"))
	if bad != "" {
		fmt.Fprintf(b, "Of %s %s; ", human.Plural(n.Total, "file"), bad)
	}
	span := human.Span(human.Seconds(s.Seconds))
	fmt.Fprintf(b, "%s delivered in %s", human.Count(n.Delivered), span)
	if n.Delivered > 0 {
		fmt.Fprintf(b, " (%s", human.Size(s.Bytes.Delivered))
		// Over less than a second, "a second" would be an extrapolation.
		switch {
		case s.Seconds < 1:
		case progress.ByBytes(n.Delivered, s.Bytes.Delivered):
			fmt.Fprintf(b, ", %s", human.Speed(float64(s.Bytes.Delivered)/s.Seconds))
		default:
			fmt.Fprintf(b, ", %s", human.PerSecond(float64(n.Delivered)/s.Seconds, "files"))
		}
		b.WriteByte(')')
	}
	if n.Skipped > 0 {
		fmt.Fprintf(b, ", %s skipped", human.Count(n.Skipped))
	}
	b.WriteByte('.')
	r := s.Requests
	if r.refused > 0 {
		fmt.Fprintf(b, " %s refused", were(r.refused, "request"))
		if bad == "" {
			b.WriteString(" and repeated")
		}
		b.WriteByte('.')
	}
	silent := -r.NoAnswer[notFinished] - r.NoAnswer[cancelled] - r.NoAnswer[resent] - r.brokenOff
	for _, n := range r.NoAnswer {
		silent += n
	}
	if silent > 0 {
		fmt.Fprintf(b, " %s not answered.", were(silent, "request"))
	}
	if r.Spoiled > 0 {
		fmt.Fprintf(b, " %s wasted on files that changed or could not be read.",
			were(r.Spoiled, "request"))
	}
	b.WriteByte('\n')
}

func were(n int64, noun string) string {
	if n == 1 {
		return human.Plural(n, noun) + " was"
	}
	return human.Plural(n, noun) + " were"
}

func (s *Summary) writeRequests(b *strings.Builder) {
	r := s.Requests
	if r.Sent == 0 {
		b.WriteString("no request was sent\n")
		return
	}
	fmt.Fprintf(b, "%s", human.Plural(r.Sent, "request"))
	if s.Rate.Achieved > 0 && float64(r.Sent-1)/float64(s.Rate.Achieved) >= 1 {
		fmt.Fprintf(b, " at %s", human.PerSecond(float64(s.Rate.Achieved), ""))
	}
	if s.Rate.Ceiling > 0 {
		fmt.Fprintf(b, " (ceiling %s)", human.PerSecond(float64(s.Rate.Ceiling), ""))
	}
	fmt.Fprintf(b, ", at most %s in any second", human.Count(int64(s.Rate.MaxIn1s)))
	if s.InFlight.Max > 0 {
		fmt.Fprintf(b, ", at most %s in flight", human.Count(int64(s.InFlight.Max)))
	}
	b.WriteByte('\n')

	var answers []string
	for _, status := range slices.Sorted(maps.Keys(r.ByStatus)) {
		answers = append(answers, fmt.Sprintf("%s × %s", human.Count(r.ByStatus[status]), status))
	}
	for _, why := range slices.Sorted(maps.Keys(r.NoAnswer)) {
		answers = append(answers, fmt.Sprintf("%s × none (%s)", human.Count(r.NoAnswer[why]), why))
	}
	fmt.Fprintf(b, "answers: %s; waste %.1f %%\n", strings.Join(answers, ", "), 100*r.Waste)
	if l := s.Latency; l != nil {
		fmt.Fprintf(b, "latency: median %s, 95th percentile %s, longest %s\n",
			human.Span(human.Seconds(l.P50)), human.Span(human.Seconds(l.P95)),
			human.Span(human.Seconds(l.Max)))
	}
}

// limitNames are what a limit is called in a summary.
var limitNames = map[progress.Limit]string{
	progress.LimitRate:        "the rate limit",
	progress.LimitConcurrency: "the concurrency limit",
	progress.LimitBandwidth:   "the bandwidth limit",
	progress.LimitCoolDown:    "cool-downs",
	progress.LimitBackoff:     "backoff",
	progress.LimitDown:        "a server that was down or failed",
	progress.LimitQuota:       "the shared quota",
}

// writeHeld names what held the run back longest, if it did for a time that is worth a line.
func (s *Summary) writeHeld(b *strings.Builder) {
	longest := progress.NoLimit
	for _, limit := range slices.Sorted(maps.Keys(s.Waited)) {
		if s.Waited[limit] > s.Waited[longest] {
			longest = limit
		}
	}
	if held := s.Waited[longest]; held >= 0.1 && held >= 0.05*s.Seconds {
		span := human.Span(human.Seconds(held))
		fmt.Fprintf(b, "held back longest by %s: %s\n", limitNames[longest], span)
	}
}

// WriteErrors writes a line for each kind of error, as WriteText does.
func (s Summary) WriteErrors(w io.Writer) {
	var b strings.Builder
	s.writeErrors(&b)
	_, _ = io.WriteString(w, wrapLines(b.String(), human.Width(w)))
}

func (s *Summary) writeErrors(b *strings.Builder) {
	others := s.OtherErrors
	for i, g := range s.Errors {
		if i >= textGroups {
			others += g.Count
			continue
		}
		fmt.Fprintf(b, "  %s %s", human.Count(g.Count), g.Status)
		if g.HTTPStatus != 0 {
			fmt.Fprintf(b, ", HTTP %d", g.HTTPStatus)
		}
		if text := g.text(); text != "" {
			fmt.Fprintf(b, ": %s", shorten(human.Printable(text), maxExample))
		}
		switch {
		case g.Path == "":
		case g.Count == 1:
			fmt.Fprintf(b, " (%s)", human.Printable(g.Path))
		default:
			fmt.Fprintf(b, " (such as %s)", human.Printable(g.Path))
		}
		b.WriteByte('\n')
	}
	if others > 0 {
		fmt.Fprintf(b, "  %s others\n", human.Count(others))
	}
}

func shorten(s string, n int) string {
	if short := human.Cut(s, n); short != s {
		return short + "..."
	}
	return s
}
