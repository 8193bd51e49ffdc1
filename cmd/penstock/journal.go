package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/statedir"
)

func journalCommand() *cobra.Command {
	return parent(&cobra.Command{
		Use:   "journal",
		Short: "Look at what was sent, and have it sent again",
		Long: "Look at what was sent, and have it sent again. " +
			`"penstock send" notes in a journal what
was delivered and what was not; the same command goes on from there.

A journal is named by --job, or by the server and the method, and lies in the state
directory: PENSTOCK_STATE, else systemd's STATE_DIRECTORY, else the usual place of
the system. Other journals are named by their file. A journal is an SQLite file: the
sqlite3 tool shows its view "items".`,
		Example: `  penstock journal list
  penstock journal show nightly
  penstock journal export nightly --only failed,unknown > again.ndjson
  penstock journal forget nightly "data/2026-11-*/**"
  penstock journal merge nightly "nightly-*-of-5"
  penstock journal prune --older-than 90d`,
	}, "command", journalList(), journalShow(), journalExport(), journalForget(), journalMerge(),
		journalPrune())
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes no argument, but got %q", cmd.CommandPath(), args[0])
	}
	return nil
}

func oneJournal(_ *cobra.Command, args []string) error {
	switch len(args) {
	case 0:
		return errors.New("which journal? See penstock journal list")
	case 1:
		return nil
	}
	return fmt.Errorf("one journal at a time: %s or %s?", args[0], args[1])
}

// openJournal opens a journal that is named as such or by its file.
func openJournal(name string) (*journal.Reader, error) {
	dir, err := statedir.Dir()
	if err != nil && filepath.Base(name) == name {
		return nil, local(err)
	}
	path, err := statedir.Find(dir, name)
	if err != nil {
		return nil, noJournal(name, err)
	}
	r, err := journal.OpenReader(path)
	return r, local(asNamed(err))
}

// asNamed has an error of a file that is no journal advise what these commands can do.
func asNamed(err error) error {
	if e, ok := errors.AsType[*journal.Error](err); ok && e.Remedy == journal.MoveAway {
		e.Remedy = journal.NameOther
	}
	return err
}

// noJournal adds to an error of statedir.Find which name may have been meant.
func noJournal(name string, err error) error {
	absent, ok := errors.AsType[*statedir.NotFoundError](err)
	if !ok {
		return err
	}
	similar := suggest(statedir.Name(name), absent.Known)
	return fmt.Errorf("%w; %s", err, meant(similar, "see penstock journal list"))
}

func completeJournals(
	_ *cobra.Command, args []string, _ string,
) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	dir, err := statedir.Dir()
	if err != nil {
		return nil, cobra.ShellCompDirectiveDefault
	}
	names, _ := statedir.Names(dir)
	return names, cobra.ShellCompDirectiveDefault // or a file
}

func encode(w io.Writer, v any) error {
	e := human.NewEncoder(w)
	e.SetIndent("", "  ")
	return local(e.Encode(v))
}

func shownName(path string) string { return human.Printable(statedir.Name(path)) }
