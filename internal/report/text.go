package report

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// textGroups is how many groups of errors a person is shown; maxExample is how
// much of each error.
const (
	textGroups = 8
	maxExample = 300
)

// WriteText writes what a person reads at the end of a run: a few lines, sizes
// in KiB and MiB, no colours. If the run has not delivered everything, what went wrong,
// what to do about it and the exit status go to trouble. Write errors are left to the
// caller's own check of the writers.
func (s Summary) WriteText(w, trouble io.Writer) {
	var b, rest strings.Builder
	s.writeItems(&b)
	s.writeRequests(&b)
	if learned := s.Learned.String(); learned != "" {
		fmt.Fprintln(&b, learned)
	}
	s.writeHeld(&b)
	s.writeErrors(&rest)
	for _, note := range s.Notes {
		fmt.Fprintln(&rest, printable(note))
	}
	for _, next := range s.Next {
		fmt.Fprintln(&rest, printable(next))
	}
	if s.ExitStatus == 0 {
		b.WriteString(rest.String())
		rest.Reset()
	} else {
		fmt.Fprintf(&rest, "exit status %d: %s\n", s.ExitStatus, ExitMeaning(s.ExitStatus))
	}
	_, _ = io.WriteString(w, b.String())
	if rest.Len() > 0 {
		_, _ = io.WriteString(trouble, rest.String())
	}
}

func (s *Summary) writeItems(b *strings.Builder) {
	n := s.Items
	fmt.Fprintf(b, "%s of %s delivered", count(n.Delivered), count(n.Total))
	for _, part := range []struct {
		n    int64
		name string
	}{
		{n.Failed, "failed"}, {n.Unknown, "unknown"}, {n.Skipped, "skipped"},
		{n.Deferred, "deferred"}, {n.Remaining, "not sent"},
	} {
		if part.n > 0 {
			fmt.Fprintf(b, ", %s %s", count(part.n), part.name)
		}
	}
	fmt.Fprintf(b, "; %s in %s\n", size(s.Bytes.Delivered), span(seconds(s.Seconds)))
}

func (s *Summary) writeRequests(b *strings.Builder) {
	r := s.Requests
	if r.Sent == 0 {
		b.WriteString("no request was sent\n")
		return
	}
	fmt.Fprintf(b, "%s", plural(r.Sent, "request"))
	// Over less than a second, "a second" would be an extrapolation.
	if s.Rate.Achieved > 0 && float64(r.Sent-1)/float64(s.Rate.Achieved) >= 1 {
		fmt.Fprintf(b, " at %s", perSecond(float64(s.Rate.Achieved)))
	}
	if s.Rate.Ceiling > 0 {
		fmt.Fprintf(b, " (ceiling %s)", perSecond(float64(s.Rate.Ceiling)))
	}
	fmt.Fprintf(b, ", at most %s in any second", count(int64(s.Rate.MaxIn1s)))
	if s.InFlight.Max > 0 {
		fmt.Fprintf(b, ", at most %s in flight", count(int64(s.InFlight.Max)))
	}
	b.WriteByte('\n')

	var refused []string
	for _, part := range []struct {
		n    int64
		name string
	}{
		{r.Throttled, "throttled"}, {r.Overloaded, "overloaded"}, {r.TimedOut, "timed out"}, {r.Errors, "other"},
	} {
		if part.n > 0 {
			refused = append(refused, count(part.n)+" "+part.name)
		}
	}
	if len(refused) > 0 {
		fmt.Fprintf(b, "not accepted: %s", strings.Join(refused, ", "))
		if r.Waste > 0 {
			fmt.Fprintf(b, "; waste %.1f %%", 100*r.Waste)
		}
		b.WriteByte('\n')
	}
	if l := s.Latency; l != nil {
		fmt.Fprintf(b, "latency: median %s, 95th percentile %s, longest %s\n",
			span(seconds(l.P50)), span(seconds(l.P95)), span(seconds(l.Max)))
	}
}

// writeHeld names what held the run back longest, if it did for a time that is
// worth a line.
func (s *Summary) writeHeld(b *strings.Builder) {
	var what string
	var longest float64
	for _, l := range []struct {
		seconds float64
		name    string
	}{
		{s.Waited.Rate, "the rate limit"},
		{s.Waited.Concurrency, "the concurrency limit"},
		{s.Waited.Bandwidth, "the bandwidth limit"},
		{s.Waited.CoolDown, "cool-downs"},
		{s.Waited.Backoff, "backoff"},
		{s.Waited.Down, "a server that was down"},
	} {
		if l.seconds > longest {
			what, longest = l.name, l.seconds
		}
	}
	if longest >= 0.1 && longest >= 0.05*s.Seconds {
		fmt.Fprintf(b, "held back longest by %s: %s\n", what, span(seconds(longest)))
	}
}

// WriteErrors writes a line for each kind of error, as WriteText does.
func (s Summary) WriteErrors(w io.Writer) {
	var b strings.Builder
	s.writeErrors(&b)
	_, _ = io.WriteString(w, b.String())
}

func (s *Summary) writeErrors(b *strings.Builder) {
	others := s.OtherErrors
	for i, g := range s.Errors {
		if i >= textGroups {
			others += g.Count
			continue
		}
		fmt.Fprintf(b, "  %s %s", count(g.Count), g.Status)
		if g.HTTPStatus != 0 {
			fmt.Fprintf(b, ", HTTP %d", g.HTTPStatus)
		}
		if g.Error != "" {
			fmt.Fprintf(b, ": %s", shorten(printable(g.Error), maxExample))
		}
		switch {
		case g.Path == "":
		case g.Count == 1:
			fmt.Fprintf(b, " (%s)", printable(g.Path))
		default:
			fmt.Fprintf(b, " (such as %s)", printable(g.Path))
		}
		b.WriteByte('\n')
	}
	if others > 0 {
		fmt.Fprintf(b, "  %s others\n", count(others))
	}
}

// ExitMeaning says what an exit status of the program other than 0 means.
func ExitMeaning(status int) string {
	switch status {
	case 2:
		return "usage or configuration"
	case 3:
		return "finished, but not every item is known to be delivered"
	case 4:
		return "refused: the server accepts nothing of what it is sent"
	case 5:
		return "the server was unavailable or throttled beyond what was allowed; trying later may work"
	case 6:
		return "a local fault, such as a full disk"
	case 7:
		return "another run has the journal"
	case 10:
		return "a limit that you set ended the run"
	case 130:
		return "interrupted"
	case 143:
		return "terminated"
	default:
		return "failed"
	}
}

func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return count(n) + " " + noun + "s"
}

func shorten(s string, n int) string {
	if short := cut(s, n); short != s {
		return short + "..."
	}
	return s
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
