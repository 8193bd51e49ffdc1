package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/send"
	"github.com/penstock/penstock/internal/status"
)

// rememberFlags say what a run remembers, and what it makes of what earlier runs
// have left.
type rememberFlags struct {
	job, journal   string
	noJournal      bool
	ifRunning      string
	again          time.Time
	resendUnknown  bool
	only           []string
	fates          []item.Fate // that these select
	from           string
	idempotent     string
	keyFormat      string
	keyLifetime    time.Duration
	verify, digest bool
	noOverwrite    bool

	path string // of the journal, once it is known
}

func (f *rememberFlags) check() error {
	switch {
	case f.noJournal && (f.job != "" || f.journal != ""):
		return errors.New("--no-journal and --job or --journal: leave out one of them")
	case f.job != "" && f.journal != "":
		return errors.New("--job and --journal both name the journal: leave out one of them")
	case !slices.Contains([]string{"fail", "skip", "wait"}, f.ifRunning):
		return fmt.Errorf("--if-running %q: use fail, skip or wait", f.ifRunning)
	case !slices.Contains([]string{"", "quoted", "bare"}, f.keyFormat):
		return fmt.Errorf("--key-format %q: use quoted or bare", f.keyFormat)
	case f.from != "" && len(f.only) == 0:
		return errors.New("--from needs --only: say which of its items to send, such as --only failed,unknown")
	}
	var err error
	f.fates, err = selected(f.only, "failed, unknown, deferred or delivered, or skipped where results say what there is to send", item.None)
	return err
}

// options fills in what the flags say.
func (f *rememberFlags) options(o *send.Options) {
	o.Again, o.ResendUnknown = f.again, f.resendUnknown || slices.Contains(f.fates, item.Unknown)
	if slices.Contains(f.fates, item.Delivered) && o.Again.IsZero() {
		o.Again = time.Now()
	}
	o.Verify, o.Digest, o.NoOverwrite = f.verify, f.digest, f.noOverwrite
	o.Idempotency = send.Idempotency{Header: f.idempotent, Lifetime: f.keyLifetime}
	usual := strings.EqualFold(f.idempotent, usualKeyHeader)
	o.Idempotency.Bare = f.keyFormat == "bare" || f.keyFormat == "" && !usual
}

const usualKeyHeader = "Idempotency-Key"

// where is the journal's path; empty: there is none.
func (f *rememberFlags) where(to, method string) (string, error) {
	switch {
	case f.noJournal:
		return "", nil
	case f.journal != "":
		return f.journal, nil
	case isLab(to) && f.job == "":
		return "", nil // the server ends with the run, and so does what it has
	}
	dir, err := journal.Dir()
	if err != nil {
		return "", localError(err)
	}
	name, err := journal.FileName(f.job, send.JournalTarget(to), method)
	if err != nil {
		return "", usageError(fmt.Errorf("--job: %w", err))
	}
	return filepath.Join(dir, name), nil
}

// open opens the journal, and returns with it what is to be told of it. With an
// empty path there is none.
func (f *rememberFlags) open(ctx context.Context, o journal.Options, stderr io.Writer) (j *journal.Journal, words []string, err error) {
	if o.Path == "" {
		return nil, nil, nil
	}
	o.Warn = func(text string) { words = append(words, text) }
	j, err = journal.Open(ctx, o)
	var busy *journal.InUseError
	if errors.As(err, &busy) {
		switch f.ifRunning {
		case "skip":
			return nil, nil, &exit.Error{Status: exit.Delivered, Err: fmt.Errorf("nothing is sent: %w", err)}
		case "fail":
			return nil, nil, &exit.Error{Status: exit.InUse, Err: fmt.Errorf("%w; --if-running wait or skip says what to do then", err)}
		}
		fmt.Fprintln(stderr, "penstock: waiting:", status.Plain(err))
		o.Wait = true
		j, err = journal.Open(ctx, o)
	}
	var signal *exit.Signal
	switch {
	case errors.As(context.Cause(ctx), &signal):
		discard(j)
		return nil, nil, &exit.Error{Status: signal.Status(), Err: signal}
	case err != nil:
		return nil, nil, localError(err)
	}
	if why := journal.Transient(filepath.Dir(o.Path)); why != "" {
		words = append(words, why)
	}
	return j, words, nil
}

// readTime reads the value of --again: an instant, or "now".
func readTime(_ time.Time, s string) (time.Time, error) {
	if s == "now" {
		return time.Now(), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t, err = time.ParseInLocation(time.DateOnly, s, time.Local)
	}
	if err != nil {
		return t, fmt.Errorf("want an instant such as 2006-01-02 or 2006-01-02T15:04:05Z, or nothing: all that was delivered before now")
	}
	return t, nil
}

// remember opens the run's journal.
func (f *sendFlags) remember(ctx context.Context, cmd *cobra.Command, o *send.Options) error {
	to := f.to
	if to == "" {
		to = f.manifest
		if abs, err := filepath.Abs(to); err == nil {
			to = abs
		}
	}
	path, err := f.where(to, o.Source.Method())
	if err != nil {
		return err
	}
	f.path = path
	if len(f.only) > 0 && !o.Source.FromResults() {
		if path == "" {
			return usageError(errors.New("--only goes by the journal, and there is none: give --job, or the results of the run with --from"))
		}
		if slices.Contains(f.fates, item.Skipped) {
			return usageError(errors.New("--only skipped goes by results: the journal has those as delivered; give the results with --from"))
		}
		o.Only = f.fates
	}
	if err := f.known(path, *o); err != nil || f.dryRun {
		return err
	}
	f.command = f.command.again(o.Again)
	stderr := cmd.ErrOrStderr()
	if f.quiet {
		stderr = io.Discard
	}
	o.Journal, o.Remarks, err = f.open(ctx, journal.Options{
		Path: path, Target: report.Redact(o.To), Method: o.Source.Method(), Command: f.command.String(), ByResults: o.Source.FromResults(), Version: version(), Started: time.Now(),
	}, stderr)
	return err
}

// known returns an error if --only goes by a journal that is not there.
func (f *sendFlags) known(path string, o send.Options) error {
	if len(o.Only) == 0 {
		return nil
	}
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
	return usageError(fmt.Errorf("--only: the journal %s is new, so nothing is known as %s: check %s", path, strings.Join(f.only, " or "), check))
}

// discard closes the journal of a run that does not begin.
func discard(j *journal.Journal) {
	if j != nil {
		_ = j.Discard() // there is another error to report
	}
}
