package main

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"math"
	"net"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/penstock/penstock/internal/conceal"
	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/garbage"
	"github.com/penstock/penstock/internal/header"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/internal/relay"
	"github.com/penstock/penstock/internal/spool"
	"github.com/penstock/penstock/internal/status"
)

// relayFlags are the flags of relay.
type relayFlags struct {
	run     relay.Options
	targets []relay.Target
	access  access
	listen  string

	environment environment
	quota       quotaFlags

	admin, metricsFile string

	spool               string
	bodies              spool.Store
	stored              storeFlags
	progress, logFormat string
	quiet, verbose      bool
}

// relayStatuses explains the exit statuses of relay.
const relayStatuses = `
Exit status:
   0  ended by a signal or by --admin; what was accepted has its answer
   1  it could not listen, or go on
   2  wrong usage or configuration
   5  the Redis of --quota-from cannot be reached; later may work
`

// relayCommand is penstock relay.
func relayCommand() *cobra.Command {
	f := &relayFlags{environment: environment{prefix: relayVariables}}
	cmd := &cobra.Command{
		Use:   "relay --to URL [flags]",
		Short: "Pass requests of other programs on, at the pace that a server takes",
		Long: `Pass requests of other programs on, at the pace that a server takes. They send
to the relay as fast as they like, and need no change but the address: requests
wait there for their turn, are sent as evenly as send does it, again where that
is safe, and are answered. Programs that share a relay share its pace by turns.

The path of a request is added to that of URL. With several targets, each as
NAME=URL, the first segment of the path names one.

A program is told by its address and User-Agent, or by what it sends as
X-Penstock-Client. It says by "Prefer: wait=N" for how many seconds it waits at
most. POST and PATCH are repeated only if they have an Idempotency-Key. What the
relay says itself is a problem document (RFC 9457): 502, 503 with Retry-After,
or 504, and whether the server may have accepted the request.

A program that does not wait says so by "Prefer: respond-async": the request is
stored on disk, answered with 202 and a Location that says what became of it,
and delivered later, over outages and restarts; see penstock relay requests.`,
		Example: `  penstock relay --to https://api.example.com
  penstock relay --to https://api.example.com --bearer-file token --rps 300/min
  penstock relay --to a=https://a.example --to b=https://b.example/v2`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.environment.explain(f.runRelay(cmd), cmd.ErrOrStderr())
		},
	}
	cmd.AddCommand(requestsCommand())
	groups := f.groups()
	for _, g := range groups {
		cmd.Flags().AddFlagSet(g.flags)
	}
	spellWords(cmd)
	complete(cmd, "concurrency", "auto")
	cmd.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		if cmd.Name() != "relay" { // a command below
			cmd.Root().HelpFunc()(cmd, args)
			return
		}
		env := f.environment.help(cmd.Flags(), os.Environ())
		groupedHelp(cmd, groups, "", env+"\nUnits:\n"+units+"  SIZE  bytes: 500kB, 64MiB, 1GiB\n"+
			relayStatuses)
	})
	return cmd
}

// groups declares the flags.
func (f *relayFlags) groups() (groups []group) {
	in := func(title string) *pflag.FlagSet { return addGroup(&groups, title) }

	to := in("Where to, and from whom")
	to.Var(severalValues(&f.targets, "[NAME=]URL", readTarget), "to",
		"where to; may be repeated, each time with a name; or lab:PRESET[?PARAM=VALUE], a "+
			"practice server")
	to.Var(address(&f.listen, "127.0.0.1:8429").or("127.0.0.1:8429"), "listen",
		"where to listen; another address than this machine's own lets others use the relay")
	to.StringArrayVar(&f.run.Hosts, "host", nil,
		"`NAME` that programs may call the relay by, besides localhost and addresses; may be "+
			"repeated")
	f.access.credentials(to)
	to.BoolVar(&f.run.Forwarded, "forwarded", false,
		"tell the server of the client: X-Forwarded-For, -Host and -Proto")

	limits := in("Pace, for each server")
	pace(limits, &f.run.Limits)
	fixed(limits, &f.run.Limits)
	f.quota.declare(limits)

	queue := in("What waits")
	queue.Var(duration(&f.run.QueueWait).or("5m"), "queue-wait",
		"longest time that a request waits; one whose turn will not come in time is refused at "+
			"once")
	queue.Var(newValue(&f.run.QueueRequests, "N", wholeNumber(math.MaxInt32, "")).or("10000"),
		"queue", "requests that may wait")
	queue.Var(size(&f.run.QueueBytes).or("256MiB"), "queue-bytes",
		"bytes of the bodies of those that wait")
	queue.Var(text(&f.spool, "DIR"), "spool",
		"directory for bodies of more than 1 MiB, which are kept to be sent again (default the "+
			"system's for temporary files)")
	queue.Var(size(&f.bodies.MaxTotal).or("1GiB"), "spool-bytes",
		"bytes of all bodies that are kept; others are sent once")

	f.stored.declare(in("What is sent later, if a program does not wait"), &f.run)

	cached := in("Answers that are kept")
	cached.Var(size(&f.run.CacheBytes).or("0"), "cache",
		"memory for answers to GET and HEAD that may be used again (RFC 9111); 0 keeps none")
	cached.Var(duration(&f.run.CacheTTL), "cache-ttl",
		"how long an answer is used that does not say so, 404 and those to requests with cookies "+
			"too (default not at all)")
	cached.Var(duration(&f.run.StaleIfError), "stale-if-error",
		"how long an old answer is used while the server is down (default as the answer says)")

	when := in("When to give up")
	when.Var(newValue(&f.run.Attempts, "N", wholeNumber(math.MaxInt, "")).or("8"), "attempts",
		"attempts per request; waits requested by the server do not count")
	when.Var(duration(&f.run.Timeout), "timeout",
		"longest time for one attempt, waiting for its turn not counted (default none)")
	timeouts(when, &f.run.Network)
	when.Var(duration(&f.run.GiveUpAfter).or("5m"), "give-up-after",
		"refuse a request that the server has not accepted for so long, also one that has waited "+
			"while it was down")
	when.Var(duration(&f.run.StopTimeout).or("25s"), "stop-timeout",
		"after Ctrl-C or a termination, longest time for what was accepted to finish")

	f.access.network(in("Network"), &f.run.Network)

	out := in("Output")
	out.Var(address(&f.admin, "127.0.0.1:8430"), "admin",
		"show health, state, a page and metrics there, and take changes of limits, pauses and the "+
			"end; such as at 127.0.0.1:8430 (default off)")
	metricsFileVar(out, &f.metricsFile)
	kinds := oneOf(&f.progress, "KIND", "auto", "line", "json", "none").or("auto")
	out.Var(kinds, "progress",
		"how the state is shown; auto: as it is now on a terminal, else line; line: what "+
			"changes, and with traffic a line after 5 s and then each 30 s; json: a line each second")
	out.BoolVarP(&f.quiet, "quiet", "q", false, "print nothing but errors")
	out.BoolVarP(&f.verbose, "verbose", "v", false, "log each retry and each change of pace")
	out.Var(oneOf(&f.logFormat, "FORMAT", "text", "json").or("text"), "log-format",
		"format of the log")
	return groups
}

// readTarget reads URL or NAME=URL.
func readTarget(before []relay.Target, s string) ([]relay.Target, error) {
	t := relay.Target{}
	rest := s
	if name, address, ok := strings.Cut(s, "="); ok && !strings.ContainsAny(name, ":/?") {
		t.Name, rest = name, address
		if name == "" || strings.Trim(name, nameLetters) != "" {
			return nil, fmt.Errorf("the name %s: want letters, digits, - and _", human.Quote(name))
		}
	}
	u, err := url.Parse(rest)
	switch {
	case isLab(rest):
	case err != nil || u.Host == "":
		return nil, valueError(" " + conceal.URL(rest) +
			": want a URL such as https://api.example.com")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, valueError(fmt.Sprintf(" %s://…: want http or https", u.Scheme))
	case u.Fragment != "":
		return nil, valueError(": a URL to send to has no fragment (#)")
	case u.User != nil:
		return nil, valueError(": give user and password by --user USER:@FILE, " +
			"so that they are in no list of processes")
	}
	t.URL = u
	for _, other := range before {
		switch {
		case other.Name == "" || t.Name == "":
			return nil, valueError(" is given several times: give each target a name, as in " +
				"--to a=https://a.example --to b=https://b.example")
		case other.Name == t.Name:
			return nil, fmt.Errorf("the name %s is given twice", t.Name)
		}
	}
	return append(before, t), nil
}

const nameLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

// runRelay serves until it is stopped.
func (f *relayFlags) runRelay(cmd *cobra.Command) (err error) {
	if err := f.environment.read(cmd.Flags(), os.Environ()); err != nil {
		return err
	}
	if len(f.targets) == 0 {
		return fmt.Errorf("where to? Give --to URL, such as --to https://api.example.com")
	}
	o := &f.run
	for i, t := range f.targets {
		if t.URL.Scheme != strings.TrimSuffix(labScheme, ":") {
			continue
		}
		practice, to, err := startLab(t.URL.String())
		if err != nil {
			return err
		}
		defer practice.Close()
		if f.stored.dir == "" && len(o.Async) == 0 {
			f.stored.dir = noStore
		}
		if f.targets[i].URL, err = url.Parse(strings.TrimSuffix(to, "/{path}")); err != nil {
			return err
		}
	}
	o.Targets = f.targets
	var filled []header.Field
	if o.Header, filled, err = f.access.header(); err != nil {
		return err
	}
	if len(filled) > 0 {
		return fmt.Errorf("the header %s has the variable {%s}, and a relay has none: write {{%[2]s} "+
			"for that text", filled[0].Name, filled[0].Value.Vars()[0])
	}
	if o.Network.TLS, err = f.access.tlsConfig(); err != nil {
		return err
	}
	if o.Limits.Fixed && o.Limits.InFlight == 0 && o.Limits.Rate == 0 && f.quota.from == "" {
		return fmt.Errorf("--fixed needs a pace to keep to: give --rps or --concurrency")
	}
	if err := f.quota.take(&o.Limits); err != nil {
		return err
	}
	if origins := originsOf(o.Targets); len(o.Header) > 0 && len(origins) > 1 {
		return fmt.Errorf("headers or a token are given, and the targets are several servers: %s: "+
			"each would get what is for the other; start a relay for each",
			strings.Join(origins, ", "))
	}
	f.bodies.Dir, o.Spool = f.spool, &f.bodies
	if f.spool != "" {
		if at, err := os.Stat(f.spool); err != nil || !at.IsDir() {
			return fmt.Errorf("--spool %s: want a directory that is there", f.spool)
		}
	}
	o.Stall = o.Network.StallTimeout
	if err := checkMetricsFile(f.metricsFile); err != nil {
		return err
	}

	garbage.KeepSmall()
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := context.WithCancelCause(cmd.Context())
	defer stop(nil)
	soft, restore := interrupts(ctx, stop)
	defer restore()
	l, err := listen("--listen", f.listen)
	if err != nil {
		return err
	}
	defer l.Close()
	for _, t := range o.Targets {
		if isSelf(ctx, t.URL, l.Addr()) {
			return fmt.Errorf("--to %s: the relay itself listens there: give the address of the "+
				"server, or another one to --listen", conceal.URL(t.URL.String()))
		}
	}
	var adminAt net.Listener
	if f.admin != "" {
		if adminAt, err = listen("--admin", f.admin); err != nil {
			return err
		}
		defer adminAt.Close()
	}

	stderr := cmd.ErrOrStderr()
	kind := "none" // the relay has lines of its own
	if f.progress == "json" {
		kind = "json"
	}
	shown := progress.New(kind, stderr)
	drawn := f.progress == "auto" && !f.quiet && f.logFormat != "json" && progress.CanDraw(stderr)
	if drawn {
		shown = progress.NewService(stderr)
	}
	sink := progress.Detach(shown)
	defer sink.Close()
	o.Log = newLogger(sink, f.logFormat, f.quiet || f.progress == "none", f.verbose)
	log.SetFlags(0)
	log.SetOutput(conceal.NetLog(conceal.Logger(o.Log, human.Printable)))
	o.JSON = f.progress == "json"
	o.Lines = func(line []byte) { sink.Log(string(line)) }
	if drawn {
		o.Show = sink.Update
	}
	q, leave, err := f.quota.open(soft, o.Log)
	if err != nil {
		sink.Close()
		within(soft, sink.Wait)
		return err
	}
	defer leave()
	o.Quota = q
	f.announce(l.Addr())
	if signal.Ignored(os.Interrupt) && !signal.Ignored(syscall.SIGTERM) {
		o.Log.Info("started with Ctrl-C ignored, as a job in the background of a script is: " +
			"end it by kill, which sends SIGTERM")
	}
	if err := f.stored.open(ctx, o, l.Addr()); err != nil {
		return err
	}
	defer f.stored.close()
	r := relay.New(*o)
	ended := f.show(r, adminAt)
	stats, err := r.Serve(ctx, soft, l)
	if err := cmp.Or(err, ended(err)); err != nil {
		return &exit.Error{Status: exit.Failed, Err: err}
	}
	sink.Close()
	within(soft, sink.Wait)
	if !f.quiet {
		out := cmd.OutOrStdout()
		within(soft, func() {
			fmt.Fprintln(out, human.Wrap(summaryOf(stats), human.Width(out)))
		})
	}
	return nil
}

// announce logs where the relay is, where it sends to, and whether others can use it.
func (f *relayFlags) announce(at net.Addr) {
	var targets []string
	for _, t := range f.targets {
		name := conceal.URL(t.URL.String())
		if t.Name != "" {
			name = "/" + t.Name + "/ → " + name
		}
		targets = append(targets, name)
	}
	for _, text := range slices.Concat(f.environment.warnings(), f.access.remark(&f.environment)) {
		f.run.Log.Warn(text)
	}
	f.run.Log.Info(status.RelayStarted(at.String(), targets, f.run.Limits,
		f.quota.shown(f.run.Quota)))
	if !isLoopback(at) {
		f.run.Log.Warn(status.RelayOpen(at.String(), len(f.run.Header) > 0))
	}
	for _, t := range f.targets {
		text := status.Exposed(t.URL.String(), f.run.Header, f.run.Network.Certified())
		if text != "" {
			f.run.Log.Warn(text)
			return
		}
	}
}

// originsOf returns the servers of the targets.
func originsOf(targets []relay.Target) (origins []string) {
	for _, t := range targets {
		origin := t.URL.Scheme + "://" + t.URL.Host
		if !slices.Contains(origins, origin) {
			origins = append(origins, origin)
		}
	}
	return origins
}
