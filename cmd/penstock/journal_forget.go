package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/journal"
)

const shownPaths = 10

func journalForget() *cobra.Command {
	var all, dryRun bool
	cmd := &cobra.Command{
		Use:   "forget NAME|FILE {PATTERN… | --all}",
		Short: "Forget items, so that they are sent again",
		Long: `Forget items, so that the next run sends them again. A PATTERN is a path as "penstock
journal export" shows it, or a glob; one that ends in a slash stands for all below it,
and one with :// is for URLs.`,
		Example: `  penstock journal forget nightly data/2026-11-20/
  penstock journal forget nightly --dry-run "data/**/*.json" "https://api.example.com/v1/files/a*"
  penstock journal forget nightly --all`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return oneJournal(cmd, args)
			case len(args) == 1 && !all:
				return errors.New("what to forget? Name paths, URLs or globs, or give --all")
			case len(args) > 1 && all:
				return errors.New("--all and patterns: leave out one of them")
			}
			return nil
		},
		ValidArgsFunction: completeJournals,
		RunE: func(cmd *cobra.Command, args []string) error {
			return forget(cmd.OutOrStdout(), args[0], item.ReadPatterns(args[1:]), dryRun)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "forget all items")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "forget nothing: show what would be forgotten")
	return cmd
}

// forget forgets what the patterns match; without any, everything.
func forget(w io.Writer, name string, patterns item.Patterns, dryRun bool) error {
	r, err := openJournal(name)
	if err != nil {
		return err
	}
	defer r.Close()
	info, err := r.Info()
	if err != nil {
		return local(err)
	}
	total, n := info.Counts.Total(), int64(0)
	match := func(it journal.Item) bool { return patterns.Match(it.Path, it.URL) }
	if dryRun {
		var paths []string
		for it, err := range r.Items(0) {
			if err != nil {
				return local(err)
			}
			if match(it) {
				if n++; n <= shownPaths {
					paths = append(paths, fmt.Sprintf("%s -> %s %s", it.Path, it.Method, it.URL))
				}
			}
		}
		fmt.Fprintf(w, "would forget %s of %s\n", human.Count(n), human.Plural(total, "item"))
		human.List(w, paths, n)
		return unmatched(name, patterns)
	}
	r.Close() // it would hold up the removal
	n, err = journal.Forget(info.Path, match)
	if err != nil {
		return local(err)
	}
	fmt.Fprintf(w, "forgot %s of %s", human.Count(n), human.Plural(total, "item"))
	if n > 0 {
		fmt.Fprint(w, "; the next run sends what it still finds of them")
	}
	fmt.Fprintln(w)
	return unmatched(name, patterns)
}

// unmatched is the error of patterns that stand for nothing.
func unmatched(name string, patterns item.Patterns) error {
	var texts []string
	for _, text := range patterns.Unmatched() {
		texts = append(texts, fmt.Sprintf("%q", text))
	}
	if texts == nil {
		return nil
	}
	return fmt.Errorf("no item has a path or URL such as %s; "+
		"see penstock journal export %s", strings.Join(texts, " or "), name)
}
