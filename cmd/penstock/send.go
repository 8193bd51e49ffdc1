package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/time/rate"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/lab"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/outfile"
	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/send"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/throttle"
)

// sendFlags are the flags of send, as read.
type sendFlags struct {
	command command // as it was given
	rememberFlags
	to, method          string
	rps, bandwidth      rate.Limit
	burst               int
	concurrency         int
	fixed               bool
	workers, attempts   int
	connect, stall      time.Duration
	timeout             time.Duration
	maxDuration         time.Duration
	giveUpAfter         time.Duration
	maxWait             time.Duration
	stopTimeout         time.Duration
	headers             []string
	headerFile          string
	bearerFile          string
	contentType, form   string
	manifest            string
	exclude             []string
	hidden, follow      bool
	null                bool
	minAge              time.Duration
	results, report     string
	progress, logFormat string
	dryRun              bool
	quiet, verbose      bool
	http2               bool
	proxy               string
	cacert, cert, key   string
}

// sendCommand is penstock send, for a program with these arguments.
func sendCommand(args []string) *cobra.Command {
	f := &sendFlags{
		connect:     10 * time.Second,
		stall:       60 * time.Second,
		giveUpAfter: time.Hour,
		maxWait:     48 * time.Hour,
		attempts:    8,
		stopTimeout: 25 * time.Second,
	}
	f.ifRunning, f.keyLifetime = "fail", 24*time.Hour
	cmd := &cobra.Command{
		Use:   "send --to URL [flags] PATH…",
		Short: "Send files, each in a request of its own",
		Long: `Send files, each in a request of its own: as fast as the server takes them or as
you say, evenly spaced, waiting when the server asks for it, and again when that
is safe.

A PATH is a file, a directory (walked), a glob ("data/**/*.json"), or - to read
paths from standard input.

In the URL, {name} is the file's name, {stem} and {ext} its parts, and {path} its
path below the directory, the glob's fixed part or the manifest's folder; for a
file that is named itself, {path} is its name.`,
		Example: `  penstock send --to "https://api.example.com/v1/files/{name}" data/
  penstock send --rps 4 --to "https://api.example.com/v1/files/{name}" data/
  penstock send --rps 3000/min --to "https://api.example.com/files/{path}" --bearer-file token "data/**/*.json"
  penstock send --concurrency 4 --bandwidth 10MiB/s --form file --to https://api.example.com/upload data/
  penstock send --manifest items.ndjson --to "https://api.example.com/v1/{customer}/{name}"
  penstock send --rps 20 --to lab:strict data/     (a practice server; see penstock lab list)`,
		RunE: func(cmd *cobra.Command, paths []string) error { return runSend(cmd, f, args, paths) },
	}
	f.register(cmd)
	return cmd
}

// runSend checks everything that can be checked before anything is sent.
func runSend(cmd *cobra.Command, f *sendFlags, args, paths []string) error {
	_, own, err := cmd.Root().Find(args)
	if err == nil {
		f.command, err = readCommand(cmd.Flags(), own)
	}
	if err == nil {
		err = emptyValue(cmd)
	}
	if err != nil {
		return usageError(err)
	}
	if f.to == "" && f.manifest == "" {
		return usageError(errors.New("where to? Give --to URL, such as --to \"https://api.example.com/files/{name}\""))
	}
	if len(paths) == 0 && f.manifest == "" {
		return usageError(errors.New("what to send? Name files, directories or globs, or - to read paths from standard input"))
	}
	if f.null && !slices.Contains(paths, "-") {
		return usageError(errors.New("--null is about the list on standard input: give - as a PATH"))
	}
	options, err := f.options()
	if err == nil {
		err = f.command.strayValue()
	}
	if err != nil {
		return usageError(err)
	}

	to := f.to
	var practice *lab.Server
	if isLab(to) {
		if practice, to, err = startLab(to); err != nil {
			return usageError(err)
		}
		defer practice.Close()
	}
	var template *source.Template
	if to != "" {
		if template, err = source.ParseTemplate(to); err != nil {
			return usageError(fmt.Errorf("--to: %w", err))
		}
		options.To = template.String()
	} else {
		options.To = f.manifest
	}
	var left leftOut
	shown := 0
	if f.dryRun && f.verbose {
		shown = math.MaxInt
	}
	options.Source, err = source.New(source.Options{
		Paths: paths, Stdin: cmd.InOrStdin(), Null: f.null, Manifest: f.manifest, Exclude: f.exclude,
		Hidden: f.hidden, Follow: f.follow, MinAge: f.minAge, Template: template, Method: f.method,
		Written: []string{f.results, f.report}, Read: []string{f.headerFile, f.bearerFile, f.cacert, f.cert, f.key},
		Only: f.fates, From: f.from, KeyHeader: f.idempotent, OnLeftOut: left.add, ShownURLs: shown,
	})
	if err != nil {
		return usageError(err)
	}

	// A reader that is gone is an error of the write, which ends the run in good order or does not matter.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := context.WithCancelCause(cmd.Context())
	defer stop(nil)
	soft, restore := interrupts(ctx, stop)
	defer restore()
	if err := f.remember(soft, cmd, &options); err != nil {
		var failed *exit.Error
		if f.quiet && errors.As(err, &failed) && failed.Status == exit.Delivered {
			return nil
		}
		return err
	}
	options.Source.Own(journal.Files(f.path)...)
	if dir, err := journal.Dir(); err == nil {
		others, _ := filepath.Glob(filepath.Join(dir, "*.db*")) // have URLs and keys in them, too
		options.Source.Own(others...)
	}
	if options.Found, err = options.Source.Scan(soft); err != nil {
		discard(options.Journal)
		var signal *exit.Signal
		if errors.As(err, &signal) {
			return &exit.Error{Status: signal.Status(), Err: err}
		}
		return usageError(err)
	}
	if err := options.CheckVerify(); err != nil {
		discard(options.Journal)
		return usageError(err)
	}
	if f.manifest != "" && options.Identified() {
		if options.HeaderOrigin, err = send.HeaderOrigin(to, options.Source); err != nil {
			discard(options.Journal)
			return usageError(err)
		}
	}
	options.Remarks = append(options.Remarks, f.remarks(paths, options, f.dryRun || progress.CanDraw(cmd.ErrOrStderr()))...)
	if f.dryRun {
		for _, remark := range options.Remarks {
			fmt.Fprintln(cmd.ErrOrStderr(), "penstock:", human.Printable(remark))
		}
		return f.plan(cmd.OutOrStdout(), options, left)
	}
	options.Details = left.lines()
	collectLess(options.Found)
	return f.send(ctx, soft, cmd, options, practice)
}

// collectLess has garbage collected a quarter as often as by default, which saves a sixth of the CPU time of a run of small
// files and costs some 15 MiB. With very many items, of each of which something is remembered, it would cost several times the
// memory that they take. GOGC, if it is set, decides.
func collectLess(found source.Summary) {
	const few = 100_000
	if os.Getenv("GOGC") == "" && found.Items <= few && !found.Partial { // else standard input may name any number
		debug.SetGCPercent(400)
	}
}

// send does the run and reports how it went.
func (f *sendFlags) send(ctx, soft context.Context, cmd *cobra.Command, options send.Options, practice *lab.Server) (err error) {
	stdout, stderr := cmd.OutOrStdout(), cmd.ErrOrStderr()
	kind := f.progress
	if f.quiet {
		kind = "none"
	}
	shown, err := progress.New(kind, stderr)
	if err != nil {
		discard(options.Journal)
		return usageError(fmt.Errorf("--progress: %w", err))
	}
	sink := progress.Detach(shown)
	options.Progress = sink
	options.Log = newLogger(sink, f.logFormat, f.quiet, f.verbose)
	if kind == "bar" && !progress.CanDraw(stderr) {
		options.Log.Info("standard error is no terminal that a bar can be drawn on: there is a line now and then instead")
	}
	options.Practice = practice != nil
	// net/http tells there of servers that send what nobody asked for.
	log.SetFlags(0)
	log.SetOutput(send.NetLog(options.Log))

	people := stdout // who reads the summary, unless stdout is for machines
	switch f.results {
	case "":
	case "-":
		options.Results, people = results.NewWriter(stdout), stderr
	default:
		if options.Results, err = results.Create(f.results); err != nil {
			discard(options.Journal)
			return usageError(fmt.Errorf("--results: %w", err))
		}
	}
	if f.report == "-" || f.quiet {
		people = stderr
	}

	summary := send.Run(ctx, soft, options)
	summary.Verbose = f.verbose
	summary.Next = f.command.afterRun(options, summary)
	sink.Close()
	if practice != nil {
		summary.Lab = practice.Stats()
		summary.Notes = append(summary.Notes, practice.Stats().Verdict()...)
	}
	if n := sink.Lost(); n > 0 {
		summary.Notes = append(summary.Notes, fmt.Sprintf("%d lines of the log were dropped: nobody read them", n))
	}
	if err := f.writeReport(soft, stdout, summary); err != nil {
		summary.ExitStatus = exit.Local
		summary.Notes = append(summary.Notes, "--report: "+status.Plain(err))
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

func (f *sendFlags) writeReport(soft context.Context, stdout io.Writer, s report.Summary) error {
	var failed error
	if !within(soft, func() {
		switch f.report {
		case "":
		case "-":
			failed = s.EncodeJSON(stdout)
		default:
			failed = report.WriteJSON(f.report, s)
		}
	}) {
		return errors.New("the summary was not written: nobody reads it")
	}
	return failed
}

// options reads the flags that need more than reading.
func (f *sendFlags) options() (o send.Options, err error) {
	if err := f.check(); err != nil {
		return o, err
	}
	f.rememberFlags.options(&o)
	if f.fixed && f.concurrency == 0 {
		if f.rps == 0 {
			return o, errors.New("--fixed needs a pace to keep to: give --rps or --concurrency")
		}
		f.concurrency = 256
	}
	o.Limits = throttle.Limits{Rate: f.rps, Burst: f.burst, InFlight: f.concurrency, Bandwidth: f.bandwidth, Fixed: f.fixed}
	o.Workers, o.Attempts, o.Timeout = f.workers, f.attempts, f.timeout
	o.MaxDuration, o.GiveUpAfter, o.MaxWait, o.StopTimeout = f.maxDuration, f.giveUpAfter, f.maxWait, f.stopTimeout
	o.ContentType, o.Form = f.contentType, f.form
	o.UserAgent = "penstock/" + strings.Trim(version(), "()")
	if o.Header, err = f.header(); err != nil {
		return o, err
	}
	if key := o.Idempotency.Header; key != "" {
		if err := source.CheckHeader(key, ""); err != nil {
			return o, fmt.Errorf("--idempotent: %w", err)
		}
		if len(o.Header.Values(key)) > 0 {
			return o, fmt.Errorf("--idempotent and a header %s: all files would have one key, and the server would keep one of them; leave out one of the two", key)
		}
	}
	if o.Network, err = f.network(); err != nil {
		return o, err
	}
	if err := nethttp.CheckMethod(strings.ToUpper(f.method)); err != nil {
		return o, fmt.Errorf("--method: %w", err)
	}
	if f.form != "" && (f.contentType != "" || o.Header.Get("Content-Type") != "") {
		return o, errors.New("--form and a content type: a form's type is multipart/form-data; leave out one of them")
	}
	if err := cmp.Or(source.CheckHeader("Content-Type", f.contentType), source.CheckNoVariable(f.contentType)); err != nil {
		return o, fmt.Errorf("--content-type: %w", err)
	}
	if f.results == "-" && f.report == "-" {
		return o, errors.New("--results and --report: only one of them can go to standard output")
	}
	if f.results != "" && f.report != "" && outfile.Same(f.results, f.report) {
		return o, errors.New("--results and --report name one file: one would overwrite the other")
	}
	if f.report != "" && f.report != "-" {
		if err := report.CheckJSON(f.report); err != nil {
			return o, fmt.Errorf("--report: %w", err)
		}
	}
	if f.logFormat != "text" && f.logFormat != "json" {
		return o, fmt.Errorf("--log-format %q: use text or json", f.logFormat)
	}
	if f.quiet && f.verbose {
		return o, errors.New("--quiet and --verbose: leave out one of them")
	}
	return o, nil
}

// header gathers the headers from flags, files and the environment.
func (f *sendFlags) header() (http.Header, error) {
	h := http.Header{}
	// A line may be a secret: it is counted, not quoted.
	add := func(from string, i int, line string) error {
		name, value, ok := strings.Cut(line, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok {
			return fmt.Errorf("%s %d has no colon: want 'Name: value'", from, i)
		}
		err := source.CheckHeader(name, value)
		if err == nil {
			err = source.CheckNoVariable(value)
		}
		if err != nil {
			return fmt.Errorf("%s %d: %w", from, i, err)
		}
		h.Add(name, value)
		return nil
	}
	for i, line := range f.headers {
		if err := add("--header", i+1, line); err != nil {
			return nil, err
		}
	}
	if f.headerFile != "" {
		text, err := readText(f.headerFile)
		if err != nil {
			return nil, fmt.Errorf("--header-file: %w", err)
		}
		for i, line := range strings.Split(text, "\n") {
			if strings.TrimSpace(line) == "" {
				continue
			}
			if err := add("--header-file "+f.headerFile+": line", i+1, strings.TrimSuffix(line, "\r")); err != nil {
				return nil, err
			}
		}
	}
	token, from := os.Getenv("PENSTOCK_BEARER"), "PENSTOCK_BEARER"
	if f.bearerFile != "" {
		text, err := readText(f.bearerFile)
		if err != nil {
			return nil, fmt.Errorf("--bearer-file: %w", err)
		}
		token, from = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(text), "Bearer ")), "--bearer-file"
		if token == "" {
			return nil, fmt.Errorf("--bearer-file %s is empty", f.bearerFile)
		}
	}
	if token == "" || (from == "PENSTOCK_BEARER" && h.Get("Authorization") != "") {
		return h, nil
	}
	if h.Get("Authorization") != "" {
		return nil, errors.New("--bearer-file and an Authorization header: leave out one of them")
	}
	if err := source.CheckHeader("Authorization", "Bearer "+token); err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	h.Set("Authorization", "Bearer "+token)
	return h, nil
}

// readText reads a file that a person wrote. Some editors begin it with a byte order mark, which is no part of the text.
func readText(name string) (string, error) {
	text, err := os.ReadFile(name)
	if err != nil && name == "-" {
		return "", errors.New("standard input is not read for this: name a file")
	}
	if err != nil {
		return "", err
	}
	if bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) {
		return "", fmt.Errorf("%s is in UTF-16: save it as UTF-8", name)
	}
	return strings.TrimPrefix(string(text), "\ufeff"), nil
}
