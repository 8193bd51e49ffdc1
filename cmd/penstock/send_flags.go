package main

import (
	"math"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/lab"
	"github.com/penstock/penstock/internal/rules"
	"github.com/penstock/penstock/internal/send"
	"github.com/penstock/penstock/internal/source"
)

// sendFlags are the flags of send. Those that are not for the command itself are fields of the
// options of the packages below.
type sendFlags struct {
	command     command // as it was given, with what the environment adds
	environment environment

	run    send.Options
	source source.Options

	to        string
	access    access
	body      bodyFlags
	quota     quotaFlags
	keyFormat string

	job, journal string
	whole        string // file name of the journal of all shards, if that is named by the job
	noJournal    bool
	ifRunning    string

	results, report     string
	reportHTML          string
	page, metrics       string
	metricsFile         string
	progress, logFormat string
	dryRun              bool
	quiet, verbose      bool
}

// A group is a part of the help text.
type group struct {
	title string
	flags *pflag.FlagSet
}

// addGroup adds a group, and returns its flags, which the help shows in the order of their
// declaration.
func addGroup(to *[]group, title string) *pflag.FlagSet {
	flags := pflag.NewFlagSet(title, pflag.ContinueOnError)
	flags.SortFlags = false
	*to = append(*to, group{title, flags})
	return flags
}

const usualKeyHeader = "Idempotency-Key"

// groups declares the flags.
func (f *sendFlags) groups() (groups []group) {
	in := func(title string) *pflag.FlagSet { return addGroup(&groups, title) }

	to := in("Where to")
	to.Var(text(&f.to, "URL"), "to",
		"where to: a URL with {name}, {path} or others; or lab:PRESET[/TEMPLATE][?PARAM=VALUE], a "+
			"practice server")
	to.VarP(newValue(&f.source.Method, "METHOD", readMethod), "method", "X",
		"method of the requests (default PUT where the URL's path has a variable, else POST)")
	f.access.credentials(to)
	to.Var(newValue(&f.run.ContentType, "TYPE", readContentType), "content-type",
		"type of all bodies (default by the file's extension, or what the body is)")
	f.body.register(to)

	to.Var(severalValues(&f.run.FollowTo, "HOST", readFollowTo), "follow-to",
		"follow redirects (307 and 308) to HOST with the file, but without credentials, cookies and "+
			"headers of your own; may be repeated")

	limits := in("Pace, for each server")
	pace(limits, &f.run.Limits)
	limits.Var(newValue(&f.run.Workers, "N", wholeNumber(maxWorkers, "")), "workers",
		"files worked on at once, waiting or not (default as many as the pace needs)")
	fixed(limits, &f.run.Limits)
	f.quota.declare(limits)

	what := in("What to send")
	what.Var(text(&f.source.Manifest, "FILE"), "manifest",
		`NDJSON, a line an item; with "path", "url", "method", "headers", "key"; more fields are `+
			`variables; - for standard input, from which each is sent as it comes`)
	what.StringArrayVar(&f.source.Exclude, "exclude", nil,
		"leave out what matches `GLOB` in directories and globs; may be repeated")
	what.BoolVar(&f.source.Hidden, "hidden", false,
		"take hidden files and editor leftovers in directories too")
	what.BoolVar(&f.source.Follow, "follow", false, "follow symbolic links in directories")
	what.Var(duration(&f.source.MinAge), "min-age",
		"leave out, until the next run, files that have changed within this time: they may still "+
			"be growing")
	what.BoolVarP(&f.source.Null, "null", "0", false,
		"paths on standard input are separated by NUL bytes, as find -print0 writes them")
	what.Var(newValue(&f.source.Shard, "I/N", readShard), "shard",
		"send only the items that are in shard I of N, on one of N machines that are given the same "+
			"items, such as 2/5; auto is for an Indexed Job of Kubernetes with PENSTOCK_SHARDS=N")
	what.BoolVar(&f.dryRun, "dry-run", false,
		"send nothing, show what would be sent; with URLs, limits and the earliest finish")

	memory := in("What it remembers, and what it makes of it")
	memory.Var(text(&f.job, "NAME"), "job",
		"name of the journal (default by URL and method); use one name per account")
	memory.Var(text(&f.journal, "FILE"), "journal",
		"the journal (default one in the state directory; see penstock journal --help)")
	memory.BoolVar(&f.noJournal, "no-journal", false,
		"remember nothing: the same command sends everything again")
	memory.Var(oneOf(&f.ifRunning, "WHAT", "fail", "skip", "wait").or("fail"), "if-running",
		"what to do when another run has the journal")
	memory.Var(newValue(&f.run.Again, "TIME", readTime), "again",
		"send again what was delivered before, or before TIME")
	memory.Lookup("again").NoOptDefVal = "now"
	memory.BoolVar(&f.run.ResendUnknown, "resend-unknown", false,
		"send again what may have arrived in an earlier run")
	only := fates(&f.source.Only,
		item.Failed, item.Unknown, item.Deferred, item.Delivered, item.Skipped)
	memory.Var(only, "only",
		"send only what earlier runs left so; several with commas; skipped is for results alone")
	memory.Var(text(&f.source.From, "FILE"), "from",
		"results that --only goes by instead of the journal")

	safe := in("Sent once, and whole")
	safe.Var(text(&f.run.Idempotency.Header, "HEADER"), "idempotent",
		"send a key that makes repeating a POST safe; only for a server that honours the header "+
			usualKeyHeader+", or the one named")
	safe.Lookup("idempotent").NoOptDefVal = usualKeyHeader
	safe.Var(oneOf(&f.keyFormat, "FORMAT", "quoted", "bare"), "key-format",
		"format of the key (default quoted in "+usualKeyHeader+", else bare)")
	safe.Var(duration(&f.run.Idempotency.Lifetime).or("24h"), "key-lifetime",
		"how long the server remembers a key")
	safe.BoolVar(&f.run.Verify, "verify", false,
		"ask the server (HEAD or GET) for files that may have arrived, where each has a URL of "+
			"its own")
	safe.BoolVar(&f.run.Digest, "digest", false,
		"send each file's SHA-256 in Content-Digest, and go by it when a file was only touched")
	safe.BoolVar(&f.run.NoOverwrite, "no-overwrite", false,
		"send If-None-Match: *, by which a server refuses what it has already")

	means := in("What an answer means, where its status does not say; the first RULE that matches")
	means.Var(rule(&f.run.Answers, rules.Accept), "accept",
		"answers that accept a file: 409, or 200:TEST with a test in jq on the answer; what "+
			"passes none of these tests is rejected")
	means.Var(rule(&f.run.Answers, rules.Reject), "reject",
		"answers that fail a file, such as 200:.success==false, or "+dialects(rules.Reject))
	means.Var(rule(&f.run.Answers, rules.Retry), "retry-on",
		"answers after which a file is sent again, at an attempt")
	means.Var(rule(&f.run.Answers, rules.Throttle), "throttle-on",
		"answers that mean too fast, as 429 does, such as "+
			`403:.reason=="rateLimit", or `+dialects(rules.Throttle))

	when := in("When to give up")
	when.Var(newValue(&f.run.Attempts, "N", wholeNumber(math.MaxInt, "")).or("8"), "attempts",
		"attempts per file; waits requested by the server do not count")
	when.Var(duration(&f.run.Timeout), "timeout",
		"longest time for one attempt, waiting for its turn not counted (default none)")
	timeouts(when, &f.run.Network)
	when.Var(duration(&f.run.GiveUpAfter).or("1h"), "give-up-after",
		"end the run when nothing was accepted for so long; a wait that the server asks for "+
			"counts if it then refuses again")
	when.Var(duration(&f.run.MaxWait).or("48h"), "max-wait",
		"end the run when the server asks for a longer wait")
	when.Var(duration(&f.run.MaxDuration), "max-duration",
		"end the run after so long (default none)")
	when.Var(duration(&f.run.StopTimeout).or("25s"), "stop-timeout",
		"after Ctrl-C or a termination, longest time for what is in flight to finish")

	f.access.network(in("Network"), &f.run.Network)

	out := in("Output")
	out.Var(text(&f.results, "FILE"), "results",
		"how each file ended, a line of JSON each; replaced by each run and readable by its owner "+
			"alone (mode 0600); - for standard output")
	out.Var(severalValues(&f.run.Captures, "NAME=JQ", readCapture), "capture",
		"what to keep of the answer to each delivered file, in results and journal: by jq, as "+
			"id=.id, or of its header, as where=header:Location; may be repeated")
	out.Var(text(&f.report, "FILE"), "report",
		"the summary as JSON, replaced and readable likewise; - for standard output")
	out.Var(text(&f.reportHTML, "FILE"), "report-html",
		"the summary as a page for a browser, with a chart; replaced and readable likewise")
	out.Var(address(&f.page, "127.0.0.1:8431"), "page",
		"show the run on a page there while it lasts, such as at 127.0.0.1:8431; others can "+
			"read it unless the address is this machine's own")
	out.Var(address(&f.metrics, "127.0.0.1:9464"), "metrics",
		"serve metrics for Prometheus there while the run lasts, such as at 127.0.0.1:9464")
	metricsFileVar(out, &f.metricsFile)
	kinds := oneOf(&f.progress, "KIND", "auto", "bar", "line", "json", "none").or("auto")
	out.Var(kinds, "progress",
		"how progress is shown; auto is a bar on a terminal, else lines")
	out.BoolVarP(&f.quiet, "quiet", "q", false,
		"print nothing but errors: nothing at all if everything is delivered")
	out.BoolVarP(&f.verbose, "verbose", "v", false,
		"log each retry, each failed file and each change of pace; the summary has percentiles "+
			"and waste")
	out.Var(oneOf(&f.logFormat, "FORMAT", "text", "json").or("text"), "log-format",
		"format of the log")
	return groups
}

// register gives the command its flags, and help and completion that know them.
func (f *sendFlags) register(cmd *cobra.Command) {
	groups := f.groups()
	for _, g := range groups {
		cmd.Flags().AddFlagSet(g.flags)
	}
	spellWords(cmd)
	complete(cmd, "concurrency", "auto")
	complete(cmd, "method", "PUT", "POST", "PATCH")
	complete(cmd, "shard", autoShard)
	var presets []string
	for _, p := range lab.Presets() {
		presets = append(presets, labScheme+p.Name)
	}
	complete(cmd, "to", presets...)
	cmd.SetHelpFunc(func(cmd *cobra.Command, _ []string) { sendHelp(cmd, groups, &f.environment) })
}

// complete has a shell complete the values of a flag by words.
func complete(cmd *cobra.Command, flag string, words ...string) {
	fixed := cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)
	if err := cmd.RegisterFlagCompletionFunc(flag, fixed); err != nil {
		panic(err) // there is no such flag
	}
}

// spellWords has help and completion name the words that a flag's value can be, for all flags.
func spellWords(cmd *cobra.Command) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		v, ok := f.Value.(interface{ known() []string })
		if !ok || v.known() == nil {
			return
		}
		complete(cmd, f.Name, v.known()...)
		what, rest, more := strings.Cut(f.Usage, ";")
		if f.Usage = what + ": " + alternatives(v.known()); more {
			f.Usage += ";" + rest
		}
	})
}
