package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/report"
)

const shownRuns = 5

func journalShow() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:               "show NAME|FILE",
		Short:             "Show what a journal holds, what went wrong, and the command to go on",
		Args:              oneJournal,
		ValidArgsFunction: completeJournals,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := openJournal(args[0])
			if err != nil {
				return err
			}
			defer r.Close()
			s, err := read(r)
			if err != nil {
				return local(err)
			}
			if asJSON {
				return encode(cmd.OutOrStdout(), s.json())
			}
			return s.text(cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

// shown is what show prints about a journal.
type shown struct {
	journal.Info
	runs    []journal.Run // the last ones, oldest first
	summary report.Summary
	waits   []journal.Wait

	receipts journal.Receipts
}

func read(r *journal.Reader) (s shown, err error) {
	if s.Info, err = r.Info(); err != nil {
		return s, err
	}
	if s.runs, err = r.Runs(); err != nil {
		return s, err
	}
	if s.waits, err = r.Waits(); err != nil {
		return s, err
	}
	if s.receipts, err = r.Receipts(); err != nil {
		return s, err
	}
	s.runs = s.runs[max(0, len(s.runs)-shownRuns):]
	ended := item.FatesOf(item.Failed, item.Unknown, item.Deferred)
	if !s.Running {
		ended |= item.FatesOf(item.InFlight)
	}
	tally := report.NewTally(time.Time{})
	for it, err := range r.Items(ended) {
		if err != nil {
			return s, err
		}
		tally.Item(it.Result())
	}
	s.summary = tally.Summary(time.Time{}, 0)
	return s, nil
}

func (s shown) text(w io.Writer) error {
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "journal\t%s (%s)\n", human.Printable(s.Path), human.Size(s.Size))
	fmt.Fprintf(table, "target\t%s\n", human.Printable(s.Method+" "+s.Target))
	fmt.Fprintf(table, "items\t%s\n", s.Counts)
	if s.receipts.Items > 0 {
		fmt.Fprintf(table, "captured\tof %s delivered; the last one %s\n",
			human.Count(s.receipts.Items), human.When(s.receipts.Last, time.Now()))
	}
	if s.Shards != nil {
		fmt.Fprintf(table, "of\t%s\n", s.Shards)
	}
	for _, wait := range s.waits {
		fmt.Fprintf(table, "wait\t%s asked to wait until %s\n",
			human.Printable(wait.Origin), human.Instant(wait.Until, time.Now()))
	}
	table.Flush()
	s.summary.WriteErrors(&b)
	fmt.Fprintf(&b, "%s:\n", human.Plural(int64(s.Runs), "run"))
	for i, run := range s.runs {
		running := s.Running && i == len(s.runs)-1 && run.Finished.IsZero() // else it has not begun
		lasted := ""
		if !run.Finished.IsZero() {
			lasted = human.Span(run.Finished.Sub(run.Started))
		}
		fmt.Fprintf(table, "  %s\t%s\t%s\n",
			human.When(run.Started, time.Now()), lasted, ended(run, running))
	}
	table.Flush()
	for _, next := range s.next() {
		fmt.Fprintln(&b, human.Printable(next))
	}
	_, err := io.WriteString(w, b.String())
	return local(err)
}

// next are the commands to give next, each after a few words.
func (s shown) next() (next []string) {
	if s.Command == "" || len(s.runs) == 0 {
		return nil
	}
	if s.Running {
		return []string{"its command: " + s.Command}
	}
	c, ok := storedCommand(s.Command)
	if !ok { // of another version
		return []string{"last command: " + s.Command}
	}
	last := s.runs[len(s.runs)-1]
	well := !last.Finished.IsZero() && last.ExitStatus == exit.Delivered
	next = c.afterRuns(s.ByResults, s.Counts, well)
	if c.value("shard") != last.Shard { // mergedCommand has changed it
		was := "without --shard"
		if last.Shard != "" {
			was = "for shard " + last.Shard
		}
		next = append(next, "that was "+was+": give the paths as they are here")
	}
	return next
}

func ended(run journal.Run, running bool) string {
	switch {
	case running:
		return "still running"
	case run.Finished.IsZero():
		return "cut off: killed, or the machine went down"
	case run.ExitStatus == exit.Delivered:
		return "all delivered"
	}
	return fmt.Sprintf("%s (exit status %d)", exit.Meaning(run.ExitStatus), run.ExitStatus)
}

func (s shown) json() any {
	type runJSON struct {
		Started    *time.Time `json:"started"`
		Finished   *time.Time `json:"finished"`    // null: it runs, or was cut off
		ExitStatus *int       `json:"exit_status"` // likewise
		Command    string     `json:"command"`
		Version    string     `json:"version"`
	}
	v := struct {
		journalJSON
		LastRuns    []runJSON           `json:"last_runs"`
		Errors      []report.ErrorGroup `json:"errors"`
		OtherErrors int64               `json:"other_errors"`
		Command     string              `json:"command"` // to go on

		Shards        []string   `json:"shards"`         // of which it has all; none: of the whole
		Captured      int64      `json:"captured"`       // delivered items with captured values
		LastDelivered *time.Time `json:"last_delivered"` // null: none was
	}{toJSON(s.Info), []runJSON{}, s.summary.Errors, s.summary.OtherErrors, s.Command,
		[]string{}, s.receipts.Items, instant(s.receipts.Last)}
	for _, shard := range s.Shards {
		v.Shards = append(v.Shards, shard.String())
	}
	for _, run := range s.runs {
		r := runJSON{instant(run.Started), instant(run.Finished), nil, run.Command, run.Version}
		if r.Finished != nil {
			r.ExitStatus = &run.ExitStatus
		}
		v.LastRuns = append(v.LastRuns, r)
	}
	return v
}
