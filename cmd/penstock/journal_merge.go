package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/statedir"
)

func journalMerge() *cobra.Command {
	return &cobra.Command{
		Use:   "merge INTO FROM…",
		Short: "Have a journal know what others know, as those of shards",
		Long: `Have the journal INTO know what the journals FROM know: those of the shards of a job,
also from other machines, or that of the job as a whole. Of an item that several
have, what is delivered holds, else what may have arrived, else what failed; and of
equals the later one. To merge again does no harm.

INTO may be new: a name, as --job gives it, or a file whose name ends in .db. FROM may
be a pattern for names in the state directory, such as "nightly-*-of-5". All have to
be of the job that INTO is named after.`,
		Example: `  penstock journal merge nightly "nightly-*-of-5"
  penstock journal merge all/job.db host1/job-1-of-2.db host2/job-2-of-2.db
  penstock send --job nightly --only failed --to URL data/`,
		Args: func(_ *cobra.Command, args []string) error {
			switch len(args) {
			case 0:
				return errors.New("which journals? Name the one that is to know all, and the others")
			case 1:
				return fmt.Errorf("what to merge into %s? Name at least one other journal", args[0])
			}
			return nil
		},
		ValidArgsFunction: func(
			cmd *cobra.Command, _ []string, word string,
		) ([]cobra.Completion, cobra.ShellCompDirective) {
			return completeJournals(cmd, nil, word)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := context.WithCancelCause(cmd.Context())
			defer stop(nil)
			soft, restore := interrupts(ctx, stop)
			defer restore()
			return merge(soft, cmd.OutOrStdout(), args[0], args[1:])
		},
	}
}

func merge(ctx context.Context, w io.Writer, name string, others []string) error {
	dir, err := statedir.Dir()
	if err != nil {
		dir = ""
	}
	into, err := newJournal(dir, name)
	if err != nil {
		return err
	}
	from, err := sources(dir, into, others)
	if err != nil {
		return err
	}
	if err := sameJob(into, from); err != nil {
		return err
	}
	done, err := journal.Merge(ctx, into, from, func(run journal.Run) string {
		return mergedCommand(run, dir, into)
	})
	for _, m := range done {
		known := m.Items - m.New - m.Changed
		fmt.Fprintf(w, "%s: %s\n", shownName(m.Path), human.Join(", ",
			human.Plural(m.Items, "item")+": "+human.Count(m.New)+" new",
			human.Some(m.Changed, "better known now"), human.Some(known, "known already")))
	}
	if stopped, ok := errors.AsType[*exit.Signal](err); ok {
		return &exit.Error{Status: stopped.Status(), Err: unfinished(done, from, err)}
	}
	if other, ok := errors.AsType[*journal.JobError](err); ok {
		return other
	}
	if err != nil {
		return local(unfinished(done, from, asNamed(err)))
	}
	return local(mergedText(w, into))
}

// unfinished adds to an error how much was done before.
func unfinished(done []journal.Merged, from []string, err error) error {
	if len(done) == 0 {
		return err
	}
	return fmt.Errorf("%d of %d journals are merged, and the same command merges the rest: %w",
		len(done), len(from), err)
}

// newJournal returns the path of a journal that is named, or that is to be made.
func newJournal(dir, name string) (string, error) {
	file, err := statedir.Find(dir, name)
	switch _, absent := errors.AsType[*statedir.NotFoundError](err); {
	case err == nil:
		return file, nil
	case strings.HasSuffix(name, statedir.Suffix):
		return name, nil
	case !absent:
		return "", fmt.Errorf("%w; a new journal's file has a name that ends in .db", err)
	case dir == "":
		_, err := statedir.Dir()
		return "", local(err)
	}
	file, err = statedir.FileName(name, "", "")
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, file), nil
}

// sources returns the paths of the journals that are named, or match a pattern, but for that at
// into.
func sources(dir, into string, names []string) (from []string, err error) {
	add := func(file string) {
		if !slices.ContainsFunc(from, func(f string) bool { return journal.Same(f, file) }) {
			from = append(from, file)
		}
	}
	for _, name := range names {
		file, err := statedir.Find(dir, name)
		switch {
		case err == nil && journal.Same(file, into):
			return nil, fmt.Errorf("%s is the journal to merge into: leave it out of the others",
				name)
		case err == nil:
			add(file)
			continue
		case !strings.ContainsAny(name, "*?["):
			return nil, noJournal(name, err)
		}
		known, _ := statedir.Names(dir)
		matched := false
		for _, k := range known {
			ok, err := statedir.Match(strings.TrimSuffix(name, statedir.Suffix), k)
			if err != nil {
				return nil, fmt.Errorf("%q: the pattern is not valid", name)
			}
			if file := filepath.Join(dir, k+statedir.Suffix); ok && !journal.Same(file, into) {
				matched = true
				add(file)
			}
		}
		if !matched {
			return nil, fmt.Errorf("no other journal in %s has a name such as %q; "+
				"see penstock journal list", dir, name)
		}
	}
	return from, nil
}

// sameJob returns an error unless all journals are of the job that into has the name of, but for
// the shards. Another job may be for another account, by the same URL.
func sameJob(into string, from []string) error {
	job, _ := statedir.OfShard(statedir.Name(into))
	for _, file := range from {
		whole, shard := statedir.OfShard(statedir.Name(file))
		if whole == job {
			continue
		}
		noted := notedJob(file)
		if noted == job {
			continue
		}
		remedy := "merge into a journal named " + cmp.Or(noted, whole)
		if _, err := os.Stat(into); err == nil {
			as := job
			if number, of, ok := strings.Cut(shard, "/"); ok {
				as += "-" + number + "-of-" + of
			}
			remedy = fmt.Sprintf("if both are the same work, copy it as %s into another "+
				"directory, and merge that file", as+statedir.Suffix)
		}
		return fmt.Errorf("journal %s has the name of another job than %s, and what either has "+
			"delivered the other would never send; %s", statedir.Name(file), statedir.Name(into),
			remedy)
	}
	return nil
}

// notedJob returns the name of the job that the runs of a journal have in their commands, whatever
// its file is called; "" if not all have the same.
func notedJob(file string) (job string) {
	r, err := journal.OpenReader(file)
	if err != nil {
		return "" // as the merge says
	}
	defer r.Close()
	runs, err := r.Runs()
	for i, run := range runs {
		c, ok := storedCommand(run.Command)
		name := strings.TrimSuffix(c.value("job"), statedir.Suffix)
		if err != nil || !ok || i > 0 && name != job {
			return ""
		}
		job = name
	}
	return job
}

// mergedText says what a journal has, and what it lacks.
func mergedText(w io.Writer, file string) error {
	r, err := journal.OpenReader(file)
	if err != nil {
		return err
	}
	defer r.Close()
	info, err := r.Info()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s: %s: %s\n", shownName(file), human.Plural(info.Counts.Total(), "item"),
		info.Counts)
	lost, err := lyingElsewhere(r)
	if err != nil {
		return err
	}
	if lost.files > 0 {
		fmt.Fprintln(w, lost.text(info.Counts[item.Delivered]))
	}
	if missing := info.Shards.Missing(); missing != nil {
		fmt.Fprintf(w, "still to be merged: %s; a run without --shard would send again what they "+
			"delivered\n", missing)
	}
	return nil
}

// mergedCommand returns the command of a run as it goes on with the journal at into.
func mergedCommand(run journal.Run, dir, into string) string {
	c, ok := storedCommand(run.Command)
	if !ok { // of another version
		return run.Command
	}
	c = c.without("shard", "job", "journal")
	if dir == "" || filepath.Dir(into) != filepath.Clean(dir) {
		return c.with("journal", into).String()
	}
	job, shard := statedir.OfShard(statedir.Name(into))
	if shard != "" {
		c = c.with("shard", shard)
	}
	return c.with("job", job).String()
}
