package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/statedir"
	"github.com/penstock/penstock/internal/status"
)

func journalList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the journals in the state directory",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := statedir.Dir()
			if err != nil {
				return local(err)
			}
			infos, err := journal.List(dir)
			if err != nil {
				return local(err)
			}
			if asJSON {
				list := struct {
					Directory string        `json:"directory"`
					Journals  []journalJSON `json:"journals"`
				}{dir, make([]journalJSON, 0, len(infos))}
				for _, info := range infos {
					list.Journals = append(list.Journals, toJSON(info))
				}
				return encode(cmd.OutOrStdout(), list)
			}
			return listText(cmd.OutOrStdout(), dir, infos)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

func listText(w io.Writer, dir string, infos []journal.Info) error {
	if len(infos) == 0 {
		_, err := fmt.Fprintf(w, "no journals in %s\n", human.Printable(dir))
		return local(err)
	}
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tITEMS\tLAST USED\tSIZE\tTARGET")
	for _, info := range infos {
		items, target := info.Counts.String(), info.Method+" "+info.Target
		if info.Err != nil {
			items, target = "cannot be read", ""
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", shownName(info.Path), items, used(info),
			human.Size(info.Size), human.Printable(target))
	}
	table.Flush()
	for _, info := range infos {
		if info.Err != nil {
			fmt.Fprintf(&b, "%s: %s\n", shownName(info.Path),
				human.Printable(status.Plain(info.Err)))
		}
	}
	_, err := io.WriteString(w, b.String())
	return local(err)
}

func used(info journal.Info) string {
	switch {
	case info.Running:
		return "now"
	case info.Last.IsZero():
		return "never"
	}
	return human.When(info.Last, time.Now())
}

// A journalJSON is a journal for programs. Fields are added, never renamed.
type journalJSON struct {
	Name     string           `json:"name"`
	Path     string           `json:"path"`
	Method   string           `json:"method"`
	Target   string           `json:"target"`
	Items    map[string]int64 `json:"items"` // by state
	Runs     int              `json:"runs"`
	LastUsed *time.Time       `json:"last_used"` // null: never
	Running  bool             `json:"running"`   // a run has it now
	Bytes    int64            `json:"bytes"`
	Error    string           `json:"error,omitempty"` // why it cannot be read
}

func toJSON(info journal.Info) journalJSON {
	j := journalJSON{
		Name: statedir.Name(info.Path), Path: info.Path, Method: info.Method, Target: info.Target,
		Items: make(map[string]int64), Runs: info.Runs, LastUsed: instant(info.Last),
		Running: info.Running, Bytes: info.Size,
	}
	for _, s := range journal.Fates {
		j.Items[s.String()] = info.Counts[s]
	}
	if info.Err != nil {
		j.Error = status.Plain(info.Err)
	}
	return j
}

func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
