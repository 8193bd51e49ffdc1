package main

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"
	"golang.org/x/time/rate"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/lab"
	"github.com/penstock/penstock/internal/send"
)

// A group is a part of the help text.
type group struct {
	title string
	flags *pflag.FlagSet
}

func (f *sendFlags) register(cmd *cobra.Command) {
	var groups []group
	in := func(title string) *pflag.FlagSet {
		flags := pflag.NewFlagSet(title, pflag.ContinueOnError)
		flags.SortFlags = false
		groups = append(groups, group{title, flags})
		return flags
	}

	to := in("Where to")
	to.StringVar(&f.to, "to", "", "`URL` to send to, with {name}, {path}, {stem}, {ext} or a manifest's fields filled in; or lab:PRESET[/TEMPLATE][?PARAM=VALUE], a practice server")
	to.StringVar(&f.method, "method", "", "`METHOD` of the requests (default PUT where the URL's path has a variable, else POST)")
	to.StringArrayVar(&f.headers, "header", nil, "`HEADER` to send along, as 'Name: value'; may be repeated")
	to.StringVar(&f.headerFile, "header-file", "", "`FILE` with headers to send along, one a line")
	to.StringVar(&f.bearerFile, "bearer-file", "", "`FILE` with a bearer token (or set PENSTOCK_BEARER)")
	to.StringVar(&f.contentType, "content-type", "", "`TYPE` of all bodies (default by the file's extension)")
	to.Var(&value[string]{&f.form, "FIELD", readForm, ""}, "form", "`FIELD` of a multipart/form-data body that holds the file (default: the file is the body)")

	pace := in("Pace, for each server")
	pace.Var(&value[rate.Limit]{&f.rps, "R", readPace, ""}, "rps", "requests a second, evenly spaced: 4, 0.5, 3000/min; of several the slowest holds (default: what the server takes)")
	pace.Var(&value[int]{&f.burst, "N", readCount, ""}, "burst", "requests that may leave at once after a lull (default 1)")
	pace.Var(&value[int]{&f.concurrency, "N", readConcurrency, ""}, "concurrency", "requests in flight, or auto: as many as the server takes (default auto)")
	pace.Var(&value[rate.Limit]{&f.bandwidth, "B", readBandwidth, ""}, "bandwidth", "bytes a second for all transfers together: 10MiB/s (default no limit)")
	pace.Var(&value[int]{&f.workers, "N", readWorkers, ""}, "workers", "files worked on at once, waiting or not (default as many as the pace needs)")
	pace.BoolVar(&f.fixed, "fixed", false, "take --rps and --concurrency as they are; else a server that refuses gets less")

	what := in("What to send")
	what.StringVar(&f.manifest, "manifest", "", "`FILE` of NDJSON, a line an item: {\"path\":…,\"url\":…,\"method\":…,\"headers\":{…},\"key\":…}")
	what.StringArrayVar(&f.exclude, "exclude", nil, "leave out what matches `GLOB` in directories and globs; may be repeated")
	what.BoolVar(&f.hidden, "hidden", false, "take hidden files and editor leftovers in directories too")
	what.BoolVar(&f.follow, "follow", false, "follow symbolic links in directories")
	what.Var(&value[time.Duration]{&f.minAge, "D", readDuration, ""}, "min-age", "leave out, until the next run, files that have changed within this time: they may still be growing")
	what.BoolVarP(&f.null, "null", "0", false, "paths on standard input are separated by NUL bytes, as find -print0 writes them")
	what.BoolVar(&f.dryRun, "dry-run", false, "send nothing: show files, URLs, limits and the earliest finish")

	memory := in("What it remembers, and what it makes of it")
	memory.Var(&value[string]{&f.job, "NAME", readName, ""}, "job", "name of the journal (default by URL and method); use one name per account")
	memory.StringVar(&f.journal, "journal", "", "`FILE` that is the journal (default one in the state directory; see penstock journal --help)")
	memory.BoolVar(&f.noJournal, "no-journal", false, "remember nothing: the same command sends everything again")
	memory.StringVar(&f.ifRunning, "if-running", f.ifRunning, "`WHAT` to do when another run has the journal: fail, skip, wait")
	memory.Var(&value[time.Time]{&f.again, "TIME", readTime, ""}, "again", "send again what was delivered before, or before TIME")
	memory.Lookup("again").NoOptDefVal = "now"
	memory.BoolVar(&f.resendUnknown, "resend-unknown", false, "send again what may have arrived in an earlier run")
	memory.Var(&value[[]string]{&f.only, "STATE", readList, ""}, "only", "send only what earlier runs have left as failed, unknown, deferred or delivered (results also as skipped); several with commas")
	memory.StringVar(&f.from, "from", "", "`FILE` of results that --only goes by instead of the journal")

	safe := in("Sent once, and whole")
	safe.Var(&value[string]{&f.idempotent, "HEADER", readName, ""}, "idempotent", "send an idempotency key with each file, in the header Idempotency-Key or the one named, which makes repeating a POST safe: only for a server that honours them")
	safe.Lookup("idempotent").NoOptDefVal = usualKeyHeader
	safe.StringVar(&f.keyFormat, "key-format", "", "`FORMAT` of the key: quoted or bare (default quoted in "+usualKeyHeader+", else bare)")
	safe.Var(&value[time.Duration]{&f.keyLifetime, "D", readDuration, "24h"}, "key-lifetime", "how long the server remembers a key")
	safe.BoolVar(&f.verify, "verify", false, "ask the server (HEAD or GET) for files that may have arrived, where each has a URL of its own")
	safe.BoolVar(&f.digest, "digest", false, "send each file's SHA-256 in Content-Digest, and go by it when a file was only touched")
	safe.BoolVar(&f.noOverwrite, "no-overwrite", false, "send If-None-Match: *, by which a server refuses what it has already")

	when := in("When to give up")
	when.Var(&value[int]{&f.attempts, "N", readCount, "8"}, "attempts", "attempts per file; waits requested by the server do not count")
	when.Var(&value[time.Duration]{&f.timeout, "D", readDuration, ""}, "timeout", "longest time for one attempt, waiting for its turn not counted (default none)")
	when.Var(&value[time.Duration]{&f.connect, "D", readDuration, "10s"}, "connect-timeout", "longest time to connect")
	when.Var(&value[time.Duration]{&f.stall, "D", readDuration, "1m"}, "stall-timeout", "longest time without a byte either way")
	when.Var(&value[time.Duration]{&f.giveUpAfter, "D", readDuration, "1h"}, "give-up-after", "end the run when nothing was accepted for so long; a wait that the server asks for counts if it then refuses again")
	when.Var(&value[time.Duration]{&f.maxWait, "D", readDuration, "48h"}, "max-wait", "end the run when the server asks for a longer wait")
	when.Var(&value[time.Duration]{&f.maxDuration, "D", readDuration, ""}, "max-duration", "end the run after so long (default none)")

	when.Var(&value[time.Duration]{&f.stopTimeout, "D", readDuration, "25s"}, "stop-timeout", "after Ctrl-C or a termination, longest time for what is in flight to finish")

	net := in("Network")
	net.BoolVar(&f.http2, "http2", false, "speak HTTP/2 where the server does")
	net.StringVar(&f.proxy, "proxy", "", "`URL` of a proxy (default by HTTPS_PROXY, HTTP_PROXY and NO_PROXY)")
	net.StringVar(&f.cacert, "cacert", "", "`FILE` with certificates to trust instead of the system's")
	net.StringVar(&f.cert, "cert", "", "`FILE` with our own certificate; it is shown to the server that gets the headers, and to no other")
	net.StringVar(&f.key, "key", "", "`FILE` with its key")

	out := in("Output")
	out.StringVar(&f.results, "results", "", "`FILE` for how each file ended, a line of JSON each, replaced by each run and readable by its owner alone (mode 0600); - for standard output")
	out.StringVar(&f.report, "report", "", "`FILE` for the summary as JSON, replaced and readable likewise; - for standard output")
	out.StringVar(&f.progress, "progress", "auto", "`KIND` of progress: auto (a bar on a terminal, else line), bar, line, json, none")
	out.BoolVarP(&f.quiet, "quiet", "q", false, "print nothing but errors: nothing at all if everything is delivered")
	out.BoolVarP(&f.verbose, "verbose", "v", false, "log each retry, each failed file and each change of pace; the summary has percentiles and waste")
	out.StringVar(&f.logFormat, "log-format", "text", "`FORMAT` of the log: text or json")

	for _, g := range groups {
		cmd.Flags().AddFlagSet(g.flags)
	}
	complete(cmd, "progress", "auto", "bar", "line", "json", "none")
	complete(cmd, "log-format", "text", "json")
	complete(cmd, "if-running", "fail", "skip", "wait")
	complete(cmd, "only", "failed", "unknown", "deferred", "delivered", "skipped")
	complete(cmd, "key-format", "quoted", "bare")
	complete(cmd, "concurrency", "auto")
	complete(cmd, "method", "PUT", "POST", "PATCH")
	var presets []string
	for _, p := range lab.Presets() {
		presets = append(presets, "lab:"+p.Name)
	}
	complete(cmd, "to", presets...)
	cmd.SetHelpFunc(func(cmd *cobra.Command, _ []string) { help(cmd, groups) })
	cmd.SetUsageFunc(func(cmd *cobra.Command) error { help(cmd, groups); return nil })
}

func complete(cmd *cobra.Command, flag string, words ...string) {
	// It fails only for a flag that does not exist.
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err)
	}
}

// help leads with examples: most people want one to change.
func help(cmd *cobra.Command, groups []group) {
	w := cmd.OutOrStdout()
	fmt.Fprintf(w, "%s\n\nUsage:\n  penstock %s\n\nExamples:\n%s\n", cmd.Long, cmd.Use, cmd.Example)
	for _, g := range groups {
		fmt.Fprintf(w, "\n%s:\n%s", g.title, optional.ReplaceAllStringFunc(g.flags.FlagUsagesWrapped(width(w)), spellOptional))
	}
	fmt.Fprintf(w, "\nExit status:\n%s", exit.Help())
}

// optional are flags whose value may be left out, as package pflag spells them.
var optional = regexp.MustCompile(`(--\S+) (\S+)\[=\S*\]`)

// spellOptional spells such a flag as it has to be given, in the same width.
func spellOptional(usage string) string {
	return fmt.Sprintf("%-*s", len(usage), optional.ReplaceAllString(usage, "$1[=$2]"))
}

// width is that of the terminal, within reason.
func width(w io.Writer) int {
	const usual = 100
	if f, ok := w.(*os.File); ok {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil {
			return min(max(columns, 40), usual)
		}
	}
	return usual
}

// emptyValue is an error for a flag that was given nothing, which a variable without a value leaves: the run would go on without
// its token, or without its results.
func emptyValue(cmd *cobra.Command) (err error) {
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if err == nil && f.Value.Type() == "string" && f.Value.String() == "" {
			err = fmt.Errorf("--%s is empty: give a value, or leave it out", f.Name)
		}
	})
	return err
}

func (f *sendFlags) network() (n send.Network, err error) {
	n.ConnectTimeout, n.StallTimeout, n.HTTP2 = f.connect, f.stall, f.http2
	if f.proxy != "" {
		if n.Proxy, err = url.Parse(f.proxy); err != nil || n.Proxy.Host == "" {
			return n, fmt.Errorf("--proxy: want a URL such as http://proxy.example.com:3128")
		}
		switch n.Proxy.Scheme {
		case "http", "https", "socks5", "socks5h":
		default: // net/http would take it for an HTTP proxy
			return n, fmt.Errorf("--proxy %s://…: want http, https, socks5 or socks5h", n.Proxy.Scheme)
		}
	}
	if f.cacert == "" && f.cert == "" && f.key == "" {
		return n, nil
	}
	n.TLS = &tls.Config{}
	if f.cacert != "" {
		pem, err := os.ReadFile(f.cacert)
		if err != nil {
			return n, fmt.Errorf("--cacert: %w", err)
		}
		n.TLS.RootCAs = x509.NewCertPool()
		if !n.TLS.RootCAs.AppendCertsFromPEM(pem) {
			return n, fmt.Errorf("--cacert %s has no certificate in PEM form", f.cacert)
		}
	}
	if f.cert != "" || f.key != "" {
		// One file may hold both.
		own, err := tls.LoadX509KeyPair(cmp.Or(f.cert, f.key), cmp.Or(f.key, f.cert))
		if err != nil {
			return n, fmt.Errorf("--cert and --key: %s", strings.TrimPrefix(err.Error(), "tls: "))
		}
		n.TLS.Certificates = []tls.Certificate{own}
	}
	return n, nil
}
