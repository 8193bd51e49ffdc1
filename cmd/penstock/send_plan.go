package main

import (
	"fmt"
	"io"
	"math"
	"time"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/plan"
	"github.com/penstock/penstock/internal/resume"
	"github.com/penstock/penstock/internal/send"
	"github.com/penstock/penstock/internal/status"
)

// fewLines is how many items, and how many failures, a dry run lists without -v.
const fewLines = 10

// plan says what a run would do.
func (f *sendFlags) plan(w io.Writer, path string, out leftOut) error {
	o, most := f.run, fewLines
	if f.verbose {
		most = math.MaxInt
	}
	left, err := planned(o, path, most)
	if err != nil {
		return local(err)
	}
	o.Found.Items, o.Found.Bytes = left.Items, left.Bytes
	fmt.Fprintf(w, "would send %s\n", status.Describe(o.Source.Method(), o.To, o.Found, o.Limits))
	if warning := o.Exposed(); warning != "" {
		fmt.Fprintf(w, "warning: %s\n", warning)
	}
	if left.Asked > 0 {
		fmt.Fprintf(w, "of these, asked about first: %s that may have arrived in an earlier run\n",
			human.Count(left.Asked))
	}
	for _, skipped := range []struct {
		n   int64
		why string
	}{
		{left.Skipped[resume.Arrived], "delivered by an earlier run"},
		{left.Skipped[resume.Excluded], "not asked for by --only"},
		{left.Skipped[resume.Repeated], "the same file for the same URL as another"},
	} {
		if skipped.n > 0 {
			fmt.Fprintf(w, "skipped: %s, %s\n", human.Count(skipped.n), skipped.why)
		}
	}
	if left.Unknown > 0 {
		fmt.Fprintf(w, "not sent: %s that may have arrived in an earlier run; "+
			"--resend-unknown sends them again\n", human.Count(left.Unknown))
	}
	if left.Held > 0 {
		fmt.Fprintf(w, "not sent: %s to servers that asked for a longer wait than --max-wait\n",
			human.Count(left.Held))
	}
	if left.Failed > 0 {
		fmt.Fprintf(w, "would fail: %s\n", human.Count(left.Failed))
		list(w, left.Failures, left.Failed)
	}
	if text := o.Found.LeftOut.String(); text != "" {
		fmt.Fprintf(w, "left out: %s (%s)\n", text, o.Found.LeftOut.Advice())
		if f.verbose {
			list(w, out.names, int64(out.n))
		}
	}
	list(w, left.First, left.Items)
	now := time.Now()
	for _, wait := range left.Waits {
		fmt.Fprintf(w, "paused: %s\n", o.DescribeWait(wait, now))
	}
	if d, by := o.Earliest(left.Waits, now); by != "" {
		fmt.Fprintf(w, "earliest finish: %s from the start, by %s\n", human.Span(d), by)
	}
	return nil
}

// list writes the first of a number of things, and how many more there are.
func list(w io.Writer, lines []string, n int64) {
	for _, line := range lines {
		fmt.Fprintf(w, "  %s\n", human.Printable(line))
	}
	if more := n - int64(len(lines)); more > 0 {
		fmt.Fprintf(w, "  … and %s more\n", human.Count(more))
	}
}

// planned is what is to be sent, by the journal at path if there is one.
func planned(o send.Options, path string, most int) (left plan.Left, err error) {
	if path == "" {
		return o.Plan(nil, most)
	}
	v, err := journal.OpenView(path)
	if err != nil {
		return left, err
	}
	defer v.Close()
	return o.Plan(v, most)
}
