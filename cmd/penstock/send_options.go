package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/compose"
	"github.com/penstock/penstock/internal/conceal"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/outfile"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/source"
)

// check returns an error for flags that do not go together.
func (f *sendFlags) check(paths []string) error {
	from, limits := &f.source, &f.run.Limits
	why := ""
	switch {
	case f.to == "" && from.Manifest == "":
		why = `where to? Give --to URL, such as --to "https://api.example.com/files/{name}"`
	case len(paths) == 0 && from.Manifest == "":
		why = "what to send? Name files, directories or globs, " +
			"or - to read paths from standard input"
	case from.Null && !slices.Contains(paths, "-"):
		why = "--null is about the list on standard input: give - as a PATH"
	case f.noJournal && (f.job != "" || f.journal != ""):
		why = "--no-journal and --job or --journal: leave out one of them"
	case f.job != "" && f.journal != "":
		why = "--job and --journal both name the journal: leave out one of them"
	case from.From != "" && from.Only == 0:
		why = "--from needs --only: say which of its items to send, such as --only failed,unknown"
	case limits.Fixed && limits.InFlight == 0 && limits.Rate == 0 && f.quota.from == "":
		why = "--fixed needs a pace to keep to: give --rps or --concurrency"
	case f.results == "-" && f.report == "-":
		why = "--results and --report: only one of them can go to standard output"
	case f.results != "" && f.report != "" && outfile.Same(f.results, f.report):
		why = "--results and --report name one file: one would overwrite the other"
	case f.reportHTML == "-":
		why = "--report-html - is standard output: give a file, such as report.html"
	case f.reportHTML != "" && (f.results != "" && outfile.Same(f.results, f.reportHTML) ||
		f.report != "" && outfile.Same(f.report, f.reportHTML)):
		why = "--report-html names the file of --results or --report: one would overwrite the other"
	case f.noJournal && f.results == "" && !f.run.Captures.IsEmpty():
		why = "--capture keeps values in results and journal: give --results FILE, or leave out " +
			"--no-journal"
	case len(f.body.given()) > 1:
		why = strings.Join(f.body.given(), " and ") + " say what the bodies are: use one of them"
	case f.quiet && f.verbose:
		why = "--quiet and --verbose: leave out one of them"
	}
	if why != "" {
		return errors.New(why)
	}
	if f.report != "" && f.report != "-" {
		if err := report.CheckJSON(f.report); err != nil {
			return fmt.Errorf("--report: %w", err)
		}
	}
	if f.reportHTML != "" {
		if err := report.CheckHTML(f.reportHTML); err != nil {
			return fmt.Errorf("--report-html: %w", err)
		}
	}
	if err := checkMetricsFile(f.metricsFile, f.results, f.report, f.reportHTML); err != nil {
		return err
	}
	return f.command.strayValue()
}

// complete fills in what several flags say together, and what files say.
func (f *sendFlags) complete() (err error) {
	o := &f.run
	o.UserAgent = "penstock/" + versionName()
	o.ResendUnknown = o.ResendUnknown || f.source.Only.Has(item.Unknown)
	if o.Again.IsZero() && f.source.Only.Has(item.Delivered) {
		o.Again = time.Now()
	}
	if err := f.quota.take(&o.Limits); err != nil {
		return err
	}
	o.SharedQuota = f.quota.shown(nil)
	if o.Limits.Fixed && o.Limits.InFlight == 0 {
		o.Limits.InFlight = 256
	}
	if o.Header, o.Filled, err = f.access.header(); err != nil {
		return err
	}
	for _, field := range o.Filled {
		f.source.Uses = append(f.source.Uses,
			compose.Use{Place: "the header " + field.Name, Vars: field.Value.Vars(),
				Secret: conceal.Credential(field.Name, o.Header[field.Name])})
	}
	contentType := cmp.Or(o.Header.Get("Content-Type"), o.ContentType)
	if f.source.Body, err = f.body.template(contentType); err != nil {
		return err
	}
	if key := o.Idempotency.Header; key != "" {
		if err := source.CheckHeader(key, ""); err != nil {
			return fmt.Errorf("--idempotent: %w", err)
		}
		if len(o.Header.Values(key)) > 0 {
			return fmt.Errorf("--idempotent and a header %s: all files would have one key, "+
				"and the server would keep one of them; leave out one of the two", key)
		}
		o.Idempotency.Bare = f.keyFormat == "bare" ||
			f.keyFormat == "" && !strings.EqualFold(key, usualKeyHeader)
		f.source.KeyHeader = key
	}
	o.Network.TLS, err = f.access.tlsConfig()
	return err
}
