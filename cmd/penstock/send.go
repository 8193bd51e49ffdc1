package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/conceal"
	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/lab"
	"github.com/penstock/penstock/internal/plan"
	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/internal/quota"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/send"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/statedir"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/internal/template"
)

// sendCommand is penstock send, for a program with these arguments.
func sendCommand(args []string) *cobra.Command {
	f := &sendFlags{environment: environment{prefix: sendVariables}}
	cmd := &cobra.Command{
		Use:   "send --to URL [flags] PATH…",
		Short: "Send files, each in a request of its own",
		Long: `Send files, each in a request of its own: as fast as the server takes them or as
you say, evenly spaced, waiting when the server asks for it, and again when that
is safe.

A PATH is a file, a directory (walked), a glob ("data/**/*.json"), or - to read
paths from standard input.

In the URL, headers, form fields and bodies, {name} is the file's name, {path}
its path below the directory; the other variables are further down.`,
		Example: `  penstock send --to "https://api.example.com/v1/files/{name}" data/
  penstock send --rps 4 --to "https://api.example.com/v1/files/{name}" data/
  penstock send --form file --to https://api.example.com/upload "data/**/*.json"`,
		RunE: func(cmd *cobra.Command, paths []string) error {
			err := f.runSend(cmd, args, paths)
			return f.environment.explain(err, cmd.ErrOrStderr())
		},
	}
	f.register(cmd)
	return cmd
}

// runSend checks everything that can be checked before anything is sent.
func (f *sendFlags) runSend(cmd *cobra.Command, args, paths []string) error {
	_, own, err := cmd.Root().Find(args)
	if err == nil {
		f.command, err = readCommand(cmd.Flags(), own)
	}
	if err == nil {
		err = f.environment.read(cmd.Flags(), os.Environ())
	}
	if err == nil {
		err = f.check(paths)
	}
	f.command = f.command.after(f.environment.words)
	f.resolveShard()
	if err == nil {
		err = f.complete()
	}
	if err != nil {
		return err
	}
	options := &f.run

	to := f.to
	var practice *lab.Server
	if isLab(to) {
		if practice, to, err = startLab(to); err != nil {
			return err
		}
		defer practice.Close()
	}
	options.To = f.source.Manifest
	if to != "" {
		if f.source.Template, err = template.ParseURL(to); err != nil {
			return fmt.Errorf("--to: %w", err)
		}
		options.To = f.source.Template.String()
	}
	var left leftOut
	f.source.Paths, f.source.Stdin, f.source.OnLeftOut = paths, cmd.InOrStdin(), left.add
	f.source.Known = f.keepsJournal()
	f.source.Written = []string{f.results, f.report, f.reportHTML, f.metricsFile}
	f.source.Read = append(f.access.files(), f.body.files()...)
	if f.dryRun && f.verbose {
		f.source.ShownURLs = math.MaxInt
	}
	if options.Source, err = source.New(f.source); err != nil {
		return err
	}
	if err := f.checkShard(); err != nil {
		return err
	}
	options.Shard = f.source.Shard

	// A reader that is gone is an error of the write, which ends the run in good order or does not
	// matter.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := context.WithCancelCause(cmd.Context())
	defer stop(nil)
	soft, restore := interrupts(ctx, stop)
	defer restore()
	path, err := f.openJournal(soft, cmd.ErrOrStderr())
	if err != nil {
		skipped, ok := errors.AsType[*exit.Error](err)
		if f.quiet && ok && skipped.Status == exit.Delivered {
			return nil
		}
		return err
	}
	defer func() {
		if options.Journal != nil {
			_ = options.Journal.Close(exit.Usage) // unless the run has done so
		}
	}()
	options.Source.Own(journal.Files(path)...)
	if dir, err := statedir.Dir(); err == nil {
		others, _ := filepath.Glob(filepath.Join(dir, "*.db*")) // have URLs and keys in them, too
		options.Source.Own(others...)
	}
	if options.Found, err = options.Source.Scan(soft); err != nil {
		if stopped, ok := errors.AsType[*exit.Signal](err); ok {
			return &exit.Error{Status: stopped.Status(), Err: err}
		}
		return err
	}
	if err := options.CheckVerify(); err != nil {
		return err
	}
	if (f.source.Manifest != "" || options.FollowTo != nil) && options.Identified() {
		if options.HeaderOrigin, err = plan.HeaderOrigin(to, options.Source); err != nil {
			return err
		}
	}
	stderr := cmd.ErrOrStderr()
	options.Remarks = append(options.Remarks, f.remarks(f.dryRun || progress.CanDraw(stderr))...)
	if f.dryRun {
		found, remarks, err := f.quota.look(soft, time.Now())
		if err != nil {
			return err
		}
		if f.quota.from != "" {
			options.SharedRate = found.Settings.Rate
			options.SharedQuota = status.QuotaShared(quota.NameOf(f.quota.from), found.Settings)
		}
		options.Remarks = append(options.Remarks, remarks...)
		for _, remark := range options.Remarks {
			fmt.Fprintln(stderr, "penstock:", human.Printable(remark))
		}
		return f.plan(cmd.OutOrStdout(), path, left)
	}
	shown := new(view)
	if err := shown.listen(f.page, f.metrics); err != nil {
		return err
	}
	defer shown.close()
	options.Details = left.lines()
	collectLess(options.Found, f.source.Body != nil)
	if f.results != "" && f.results != "-" {
		if options.Results, err = results.Create(f.results); err != nil {
			return fmt.Errorf("--results: %w", err)
		}
	}
	return f.send(ctx, soft, cmd, practice, shown)
}

// collectLess has garbage collected a quarter as often as by default, which saves a sixth of the
// CPU time of a run of small files and costs some 15 MiB; half as often where there is a body to be
// made for each, of which more is garbage. With very many items, of each of which something is
// remembered, it would cost several times the memory that they take. GOGC, if it is set, decides.
func collectLess(found source.Summary, makesBodies bool) {
	const few = 100_000 // and standard input may name any number
	if os.Getenv("GOGC") != "" || found.Items > few || found.Partial {
		return
	}
	if makesBodies {
		debug.SetGCPercent(200)
	} else {
		debug.SetGCPercent(400)
	}
}

// send does the run and reports how it went.
func (f *sendFlags) send(
	ctx, soft context.Context, cmd *cobra.Command, practice *lab.Server, shown *view,
) error {
	stdout, stderr := cmd.OutOrStdout(), cmd.ErrOrStderr()
	if f.quiet {
		f.progress = "none"
	}
	sink := progress.Detach(progress.New(f.progress, stderr))
	options := f.run
	options.Progress = sink
	options.Log = newLogger(sink, f.logFormat, f.quiet, f.verbose)
	if f.progress == "bar" && !progress.CanDraw(stderr) {
		options.Log.Info("standard error is no terminal that a bar can be drawn on: " +
			"there is a line now and then instead")
	}
	options.Practice = practice != nil
	// net/http logs there that servers send what was not asked for.
	log.SetFlags(0)
	log.SetOutput(conceal.NetLog(conceal.Logger(options.Log, human.Printable)))

	people := stdout // for the summary, unless stdout is for machines
	if f.results == "-" {
		options.Results, people = results.NewWriter(stdout), stderr
	}
	if f.report == "-" || f.quiet {
		people = stderr
	}

	q, leave, err := f.quota.open(soft, options.Log)
	if err != nil {
		sink.Close()
		within(soft, sink.Wait)
		return err
	}
	options.Quota = q
	options.SharedQuota = f.quota.shown(options.Quota)
	if f.page != "" || f.metrics != "" || f.metricsFile != "" {
		shown.begin(f.metricsFile, options.Log)
		options.Publish = shown.publish
	}
	summary := send.Run(ctx, soft, options)
	leave()
	summary.Verbose = f.verbose
	summary.Next = f.command.afterRun(options, summary)
	sink.Close()
	if practice != nil {
		summary.Lab = practice.Stats()
		summary.Notes = append(summary.Notes, practice.Stats().Verdict()...)
	}
	if n := sink.Lost(); n > 0 {
		summary.Notes = append(summary.Notes,
			fmt.Sprintf("%d lines of the log were dropped: nobody read them", n))
	}
	for _, err := range f.writeReports(soft, stdout, summary) {
		summary.ExitStatus = exit.Local
		summary.Notes = append(summary.Notes, status.Plain(err))
	}
	if err := shown.file.end(summary.ExitStatus); err != nil {
		summary.ExitStatus = exit.Local
		summary.Notes = append(summary.Notes, status.Plain(err))
	}
	within(soft, sink.Wait)
	if !f.quiet || summary.ExitStatus != exit.Delivered {
		within(soft, func() { summary.WriteText(people, stderr) })
	}
	if summary.ExitStatus == exit.Delivered {
		return nil
	}
	return &exit.Error{Status: summary.ExitStatus}
}

// writeReports writes the report as JSON, and as a page. It returns what went wrong.
func (f *sendFlags) writeReports(
	soft context.Context, stdout io.Writer, s report.Summary,
) (errs []error) {
	write := func(flag string, to func() error) {
		var err error
		if !within(soft, func() { err = to() }) {
			err = errors.New("the summary was not written: nobody reads it")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", flag, err))
		}
	}
	switch f.report {
	case "":
	case "-":
		write("--report", func() error { return s.EncodeJSON(stdout) })
	default:
		write("--report", func() error { return report.WriteJSON(f.report, s) })
	}
	if f.reportHTML != "" {
		write("--report-html", func() error { return report.WriteHTML(f.reportHTML, s) })
	}
	return errs
}
