package plan

import (
	"fmt"
	"io"
	"time"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/status"
)

// Show writes what a run would do for people. LeftOut are the first of n files that are left out.
func (w *Work) Show(out io.Writer, left Left, leftOut []string, n int64) {
	o := *w // with what is left of what was found
	o.Found.Items, o.Found.Bytes = left.Items, left.Bytes
	fmt.Fprintf(out, "would send %s\n", status.Describe(o.Source.Method(), o.To, o.Found,
		o.Limits, o.SharedQuota))
	if !o.Shard.IsWhole() {
		own, all := o.Source.Divided(o.Found)
		fmt.Fprintln(out, status.InShard(o.Shard, own, all, o.Found))
		if all > 0 {
			fmt.Fprintln(out, status.Division(o.Found.Shards))
		}
	}
	if warning := o.Exposed(); warning != "" {
		fmt.Fprintf(out, "warning: %s\n", warning)
	}
	if left.Asked > 0 {
		fmt.Fprintf(out, "of these, asked about first: %s "+
			"that may have arrived in an earlier run\n", human.Count(left.Asked))
	}
	for _, line := range status.NotSent(left.Skipped, left.Unknown, left.Held) {
		fmt.Fprintln(out, line)
	}
	if left.Failed > 0 {
		fmt.Fprintf(out, "would fail: %s\n", human.Count(left.Failed))
		human.List(out, left.Failures, left.Failed)
	}
	if text := status.LeftOut(o.Found.LeftOut); text != "" {
		fmt.Fprintln(out, text)
		human.List(out, leftOut, n)
	}
	human.List(out, left.First, left.Items)
	if left.Type != "" {
		fmt.Fprintf(out, "body of the first, %s:\n", human.Printable(left.Type))
		human.List(out, left.Body, 0)
	}
	now := time.Now()
	for _, wait := range left.Waits {
		fmt.Fprintf(out, "paused: %s\n", o.DescribeWait(wait, now))
	}
	if d, by := o.Earliest(left.Waits, now); by != "" {
		fmt.Fprintf(out, "earliest finish: %s from the start, by %s\n", human.Span(d), by)
	}
}
