package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/conceal"
	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/statedir"
	"github.com/penstock/penstock/internal/status"
)

// openJournal opens the run's journal, unless it is a dry run, and returns its path, which is empty
// if there is none.
func (f *sendFlags) openJournal(ctx context.Context, stderr io.Writer) (path string, err error) {
	o := &f.run
	if path, err = f.journalPath(); err != nil {
		return "", err
	}
	if only := f.source.Only; only != 0 && !o.Source.FromResults() {
		if path == "" {
			return "", errors.New("--only goes by the journal, and there is none: " +
				"give --job, or the results of the run with --from")
		}
		if only.Has(item.Skipped) {
			return "", errors.New("--only skipped goes by results: " +
				"the journal has those as delivered; give the results with --from")
		}
		o.Only = only
		if err := f.known(path); err != nil {
			return "", err
		}
	}
	if err := f.checkDivision(path); err != nil {
		return "", err
	}
	f.command = f.command.again(o.Again)
	if path == "" || f.dryRun {
		return path, nil
	}
	options := journal.Options{
		Path: path, Target: conceal.URL(o.To), Method: o.Source.Method(),
		Command: f.command.String(), ByResults: o.Source.FromResults(),
		Version: version(), Started: time.Now(), Shard: o.Shard,
		Warn: func(text string) { o.Remarks = append(o.Remarks, text) },
	}
	o.Journal, err = journal.Open(ctx, options)
	if _, busy := errors.AsType[*journal.InUseError](err); busy {
		switch f.ifRunning {
		case "skip":
			err = fmt.Errorf("nothing is sent: %w", err)
			return "", &exit.Error{Status: exit.Delivered, Err: err}
		case "fail":
			return "", local(fmt.Errorf("%w; --if-running wait or skip says what to do then", err))
		}
		if !f.quiet {
			fmt.Fprintln(stderr, "penstock: waiting:", status.Plain(err))
		}
		options.Wait = true
		o.Journal, err = journal.Open(ctx, options)
	}
	if stopped, ok := errors.AsType[*exit.Signal](context.Cause(ctx)); ok {
		if err == nil {
			_ = o.Journal.Close(stopped.Status()) // there is another error to report
		}
		return "", &exit.Error{Status: stopped.Status(), Err: stopped}
	}
	if _, other := errors.AsType[*journal.ShardError](err); other {
		return "", err
	}
	if err != nil {
		return "", local(err)
	}
	if why := statedir.Transient(filepath.Dir(path)); why != "" {
		o.Remarks = append(o.Remarks, why)
	}
	return path, nil
}

// keepsJournal reports whether there is a journal. Without another word there is none with a
// practice server: it ends with the run, and so does what it has.
func (f *sendFlags) keepsJournal() bool {
	return !f.noJournal && (f.job != "" || f.journal != "" || !isLab(f.to))
}

// journalPath is empty if there is no journal.
func (f *sendFlags) journalPath() (string, error) {
	to := f.to
	switch {
	case !f.keepsJournal():
		return "", nil
	case f.journal != "":
		return f.journal, nil
	case to == "" && f.run.Source.Stream() != "":
		// Another stream may come by that name.
		if f.job == "" {
			return "", errors.New("the lines say where to, so the journal has no name: " +
				"give --job NAME, --to or --no-journal")
		}
	case to == "":
		to = f.source.Manifest
		if abs, err := filepath.Abs(to); err == nil {
			to = abs
		}
	}
	dir, err := statedir.Dir()
	if err != nil {
		return "", local(err)
	}
	f.whole, err = statedir.FileName(f.job, conceal.Target(to), f.run.Source.Method())
	if err != nil {
		return "", fmt.Errorf("--job: %w", err)
	}
	name := f.whole
	if s := f.run.Shard; !s.IsWhole() {
		name = statedir.ForShard(name, s.Number, s.Of)
	}
	return filepath.Join(dir, name), nil
}

// known returns an error if --only goes by a journal that is not there.
func (f *sendFlags) known(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil // whatever is wrong, opening it finds out
	}
	check := "--to, --method and PENSTOCK_STATE"
	switch {
	case f.journal != "":
		check = "--journal"
	case f.job != "":
		check = "--job and PENSTOCK_STATE"
	}
	var states []string
	for _, fate := range f.source.Only.List() {
		if fate != item.InFlight { // it comes with what is unknown
			states = append(states, fate.String())
		}
	}
	err := fmt.Errorf("--only: the journal %s is new, so nothing is known as %s: check %s",
		path, strings.Join(states, " or "), check)
	return err
}
