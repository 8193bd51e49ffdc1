package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/send"
)

// plan says what a run would do.
func (f *sendFlags) plan(w io.Writer, o send.Options) error {
	left, continues, err := f.left(o)
	if err != nil {
		return local(err)
	}
	lines := make([]string, 0, 10)
	if continues {
		o.Found.Items, o.Found.Bytes = left.Items, left.Bytes
		lines = append(lines, left.First...)
	} else {
		for i, path := range firstPaths(o) {
			lines = append(lines, path+o.Found.URLs[i])
		}
	}
	fmt.Fprintf(w, "would send %s\n", o.Describe())
	if warning := o.Exposed(); warning != "" {
		fmt.Fprintf(w, "warning: %s\n", warning)
	}
	if left.Skipped > 0 {
		fmt.Fprintf(w, "skipped: %s, by what the journal has of earlier runs\n", humanize.Comma(left.Skipped))
	}
	if left.Unknown > 0 {
		fmt.Fprintf(w, "not sent: %s that may have arrived in an earlier run; --resend-unknown sends them again\n", humanize.Comma(left.Unknown))
	}
	if out := o.Found.LeftOut.String(); out != "" {
		fmt.Fprintf(w, "left out: %s\n", out)
	}
	for _, line := range lines {
		fmt.Fprintf(w, "  %s\n", report.Printable(line))
	}
	if more := o.Found.Items - int64(len(lines)); more > 0 {
		fmt.Fprintf(w, "  … and %s more\n", humanize.Comma(more))
	}
	if d, by := o.Earliest(); by != "" {
		fmt.Fprintf(w, "earliest finish: %v from the start, by %s\n", d.Round(10*time.Millisecond), by)
	}
	return nil
}

// left is what the journal leaves to be sent, if there is one.
func (f *sendFlags) left(o send.Options) (left send.Left, continues bool, err error) {
	if f.path == "" || o.Found.Partial {
		return left, false, nil
	}
	r, err := journal.OpenReader(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return left, false, nil
	}
	if err != nil {
		return left, false, err
	}
	defer r.Close()
	left, err = o.Plan(r)
	return left, true, err
}

// firstPaths are those of the files whose URLs are shown, each with an arrow.
// Those of standard input are left for who reads it.
func firstPaths(o send.Options) []string {
	paths := make([]string, len(o.Found.URLs))
	if o.Found.Partial {
		return paths
	}
	i := 0
	for it, err := range o.Source.Items() {
		if i == len(paths) {
			break
		}
		if err != nil {
			continue // it has no URL
		}
		paths[i] = it.Path + " -> "
		i++
	}
	return paths
}
