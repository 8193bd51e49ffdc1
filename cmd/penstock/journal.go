package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/send"
	"github.com/penstock/penstock/internal/status"
)

const (
	journalSuffix = ".db"
	shownRuns     = 5
	shownPaths    = 10
)

func journalCommand() *cobra.Command {
	return parent(&cobra.Command{
		Use:   "journal",
		Short: "Look at what was sent, and have it sent again",
		Long: `Look at what was sent, and have it sent again. "penstock send" notes in a journal what
was delivered and what was not; the same command goes on from there.

A journal is named by --job, or by the server and the method, and lies in the state
directory: PENSTOCK_STATE, else systemd's STATE_DIRECTORY, else the usual place of
the system. Other journals are named by their file. A journal is an SQLite file: the
sqlite3 tool shows its view "items".`,
		Example: `  penstock journal list
  penstock journal show nightly
  penstock journal export nightly --only failed,unknown > again.ndjson
  penstock journal forget nightly "data/2026-11-*/**"
  penstock journal prune --older-than 90d`,
	}, "command", journalList(), journalShow(), journalExport(), journalForget(), journalPrune())
}

func journalList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the journals in the state directory",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, infos, err := journals()
			if err != nil {
				return err
			}
			if asJSON {
				return listJSON(cmd.OutOrStdout(), dir, infos)
			}
			return listText(cmd.OutOrStdout(), dir, infos)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

// journals are those in the state directory.
func journals() (dir string, infos []journal.Info, err error) {
	if dir, err = journal.Dir(); err != nil {
		return "", nil, localError(err)
	}
	if infos, err = journal.List(dir); err != nil {
		return "", nil, journalError(err)
	}
	return dir, infos, nil
}

func listText(w io.Writer, dir string, infos []journal.Info) error {
	if len(infos) == 0 {
		_, err := fmt.Fprintf(w, "no journals in %s\n", human.Printable(dir))
		return written(err)
	}
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tITEMS\tLAST USED\tSIZE\tTARGET")
	for _, info := range infos {
		items, target := send.CountsOf(info.Counts), info.Method+" "+info.Target
		if info.Err != nil {
			items, target = "cannot be read", ""
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", shownName(info.Path), items, used(info), human.Size(info.Size), human.Printable(target))
	}
	table.Flush()
	for _, info := range infos {
		if info.Err != nil {
			fmt.Fprintf(&b, "%s: %s\n", shownName(info.Path), human.Printable(status.Plain(info.Err)))
		}
	}
	_, err := io.WriteString(w, b.String())
	return written(err)
}

func used(info journal.Info) string {
	switch {
	case info.Running:
		return "now"
	case info.Last.IsZero():
		return "never"
	}
	return human.When(info.Last, time.Now())
}

// A journalJSON is a journal for programs. Fields are added, never renamed.
type journalJSON struct {
	Name     string           `json:"name"`
	Path     string           `json:"path"`
	Method   string           `json:"method"`
	Target   string           `json:"target"`
	Items    map[string]int64 `json:"items"` // by state
	Runs     int              `json:"runs"`
	LastUsed *time.Time       `json:"last_used"` // null: never
	Running  bool             `json:"running"`   // a run has it now
	Bytes    int64            `json:"bytes"`
	Error    string           `json:"error,omitempty"` // why it cannot be read
}

func toJSON(info journal.Info) journalJSON {
	j := journalJSON{
		Name: nameOf(info.Path), Path: info.Path, Method: info.Method, Target: info.Target, Items: make(map[string]int64),
		Runs: info.Runs, LastUsed: instant(info.Last), Running: info.Running, Bytes: info.Size,
	}
	for _, s := range journalStates {
		j.Items[s.String()] = info.Counts[s]
	}
	if info.Err != nil {
		j.Error = status.Plain(info.Err)
	}
	return j
}

func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func listJSON(w io.Writer, dir string, infos []journal.Info) error {
	list := struct {
		Directory string        `json:"directory"`
		Journals  []journalJSON `json:"journals"`
	}{dir, make([]journalJSON, 0, len(infos))}
	for _, info := range infos {
		list.Journals = append(list.Journals, toJSON(info))
	}
	return encode(w, list)
}

func journalShow() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:               "show NAME|FILE",
		Short:             "Show what a journal holds, what went wrong, and the command to go on",
		Args:              oneJournal,
		ValidArgsFunction: completeJournals,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := openJournal(args[0])
			if err != nil {
				return err
			}
			defer r.Close()
			s, err := read(r)
			if err != nil {
				return journalError(err)
			}
			if asJSON {
				return encode(cmd.OutOrStdout(), s.json())
			}
			return s.text(cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

// shown is what show tells of a journal.
type shown struct {
	journal.Info
	runs    []journal.Run // the last ones, oldest first
	summary report.Summary
	waits   []journal.Wait
}

func read(r *journal.Reader) (s shown, err error) {
	if s.Info, err = r.Info(); err != nil {
		return s, err
	}
	if s.runs, err = r.Runs(); err != nil {
		return s, err
	}
	if s.waits, err = r.Waits(); err != nil {
		return s, err
	}
	s.runs = s.runs[max(0, len(s.runs)-shownRuns):]
	ended := []item.Fate{item.Failed, item.Unknown, item.Deferred}
	if !s.Running {
		ended = append(ended, item.InFlight)
	}
	tally := report.NewTally(time.Time{})
	for it, err := range r.Items(ended...) {
		if err != nil {
			return s, err
		}
		tally.Item(line(it))
	}
	s.summary = tally.Summary(time.Time{}, 0)
	return s, nil
}

func (s shown) text(w io.Writer) error {
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "journal\t%s (%s)\n", human.Printable(s.Path), human.Size(s.Size))
	fmt.Fprintf(table, "target\t%s\n", human.Printable(s.Method+" "+s.Target))
	fmt.Fprintf(table, "items\t%s\n", send.CountsOf(s.Counts))
	for _, wait := range s.waits {
		fmt.Fprintf(table, "wait\t%s asked to wait until %s\n", human.Printable(wait.Origin), human.Instant(wait.Until, time.Now()))
	}
	table.Flush()
	s.summary.WriteErrors(&b)
	fmt.Fprintf(&b, "%s:\n", human.Plural(int64(s.Runs), "run"))
	for i, run := range s.runs {
		running := s.Running && i == len(s.runs)-1
		fmt.Fprintf(table, "  %s\t%s\t%s\n", human.When(run.Started, time.Now()), lasted(run), ended(run, running))
	}
	table.Flush()
	for _, next := range s.next() {
		fmt.Fprintln(&b, human.Printable(next))
	}
	_, err := io.WriteString(w, b.String())
	return written(err)
}

// next are the commands to give next, each after a few words.
func (s shown) next() (next []string) {
	if s.Command == "" || len(s.runs) == 0 {
		return nil
	}
	if s.Running {
		return []string{"its command: " + s.Command}
	}
	c, ok := storedCommand(s.Command)
	if !ok { // of another version
		return []string{"last command: " + s.Command}
	}
	last := s.runs[len(s.runs)-1]
	return c.afterRuns(s.ByResults, s.Counts, !last.Finished.IsZero() && last.ExitStatus == exit.Delivered)
}

func lasted(run journal.Run) string {
	if run.Finished.IsZero() {
		return ""
	}
	return human.Span(run.Finished.Sub(run.Started))
}

func ended(run journal.Run, running bool) string {
	switch {
	case running:
		return "still running"
	case run.Finished.IsZero():
		return "cut off: killed, or the machine went down"
	case run.ExitStatus == exit.Delivered:
		return "all delivered"
	}
	return fmt.Sprintf("%s (exit status %d)", exit.Meaning(run.ExitStatus), run.ExitStatus)
}

func (s shown) json() any {
	type runJSON struct {
		Started    *time.Time `json:"started"`
		Finished   *time.Time `json:"finished"`    // null: it runs, or was cut off
		ExitStatus *int       `json:"exit_status"` // likewise
		Command    string     `json:"command"`
		Version    string     `json:"version"`
	}
	type errorJSON struct {
		Status     item.Fate `json:"status"`
		HTTPStatus int       `json:"http_status"`
		Count      int64     `json:"count"`
		Path       string    `json:"path"` // an example
		Error      string    `json:"error"`
	}
	v := struct {
		journalJSON
		LastRuns    []runJSON   `json:"last_runs"`
		Errors      []errorJSON `json:"errors"`
		OtherErrors int64       `json:"other_errors"`
		Command     string      `json:"command"` // to go on
	}{toJSON(s.Info), []runJSON{}, []errorJSON{}, s.summary.OtherErrors, s.Command}
	for _, run := range s.runs {
		r := runJSON{instant(run.Started), instant(run.Finished), nil, run.Command, run.Version}
		if r.Finished != nil {
			r.ExitStatus = &run.ExitStatus
		}
		v.LastRuns = append(v.LastRuns, r)
	}
	for _, g := range s.summary.Errors {
		v.Errors = append(v.Errors, errorJSON{g.Status, g.HTTPStatus, g.Count, g.Path, g.Error})
	}
	return v
}

func journalExport() *cobra.Command {
	var only []item.Fate
	cmd := &cobra.Command{
		Use:   "export NAME|FILE",
		Short: "Write a journal's items as lines of JSON, as --results does",
		Long: `Write a journal's items as lines of JSON, as --results does. An item that was in
flight when its run was cut off is unknown.

"penstock send --manifest FILE --only failed" sends such lines again, and "--from FILE
--only failed" those of the files, or of the manifest's lines, that the same command names.`,
		Example: `  penstock journal export nightly --only failed,unknown > again.ndjson
  penstock send --manifest again.ndjson --only failed,unknown --to "https://api.example.com/files/{name}"`,
		Args:              oneJournal,
		ValidArgsFunction: completeJournals,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := openJournal(args[0])
			if err != nil {
				return err
			}
			defer r.Close()
			ctx, out := cmd.Context(), results.NewWriter(cmd.OutOrStdout())
			for it, err := range r.Items(only...) {
				if err == nil {
					err = out.Room(ctx)
				}
				if err == nil {
					err = out.Write(line(it))
				}
				if err != nil {
					return journalError(errors.Join(out.Close(ctx), err))
				}
			}
			return written(out.Close(ctx))
		},
	}
	cmd.Flags().Var(fates(&only, item.Delivered, item.Failed, item.Unknown, item.Deferred), "only", "only items in these; several with commas")
	spellWords(cmd)
	return cmd
}

var journalStates = []item.Fate{item.Delivered, item.Failed, item.Unknown, item.Deferred, item.InFlight}

// line is an item as in the results of a run.
func line(it journal.Item) results.Result {
	status := it.State
	if it.State == item.InFlight { // which is no status of results
		status, it.Error = item.Unknown, "it was in flight, and what became of it was not noted"
	}
	seconds := 0.0
	if !it.First.IsZero() {
		seconds = max(0, it.Last.Sub(it.First).Seconds())
	}
	return results.Result{
		Path: it.Path, Rel: it.Rel, URL: it.URL, Method: it.Method, Key: it.Key, KeyMade: it.KeyMade, Status: status, HTTPStatus: it.HTTPStatus,
		Attempts: it.Attempts, Bytes: it.Size, Seconds: seconds, Error: it.Error, Time: it.Last,
	}
}

func journalForget() *cobra.Command {
	var all, dryRun bool
	cmd := &cobra.Command{
		Use:   "forget NAME|FILE {PATTERN… | --all}",
		Short: "Forget items, so that they are sent again",
		Long: `Forget items, so that the next run sends them again. A PATTERN is a path as "penstock
journal export" shows it, or a glob; one that ends in a slash stands for all below it,
and one with :// is for URLs.`,
		Example: `  penstock journal forget nightly data/2026-11-20/
  penstock journal forget nightly --dry-run "data/**/*.json" "https://api.example.com/v1/files/a*"
  penstock journal forget nightly --all`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return oneJournal(cmd, args)
			case len(args) == 1 && !all:
				return usageError(errors.New("what to forget? Name paths, URLs or globs, or give --all"))
			case len(args) > 1 && all:
				return usageError(errors.New("--all and patterns: leave out one of them"))
			}
			return nil
		},
		ValidArgsFunction: completeJournals,
		RunE: func(cmd *cobra.Command, args []string) error {
			return forget(cmd.OutOrStdout(), args[0], readPatterns(args[1:]), dryRun)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "forget all items")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "forget nothing: show what would be forgotten")
	return cmd
}

// forget forgets what the patterns match; without any, everything.
func forget(w io.Writer, name string, patterns []*pattern, dryRun bool) error {
	r, err := openJournal(name)
	if err != nil {
		return err
	}
	defer r.Close()
	info, err := r.Info()
	if err != nil {
		return journalError(err)
	}
	var total, n int64
	for _, count := range info.Counts {
		total += count
	}
	if dryRun {
		var paths []string
		for it, err := range r.Items() {
			if err != nil {
				return journalError(err)
			}
			if matches(patterns, it) {
				if n++; n <= shownPaths {
					paths = append(paths, fmt.Sprintf("  %s -> %s %s", it.Path, it.Method, it.URL))
				}
			}
		}
		fmt.Fprintf(w, "would forget %s of %s\n", human.Count(n), human.Plural(total, "item"))
		for _, path := range paths {
			fmt.Fprintln(w, human.Printable(path))
		}
		if n > shownPaths {
			fmt.Fprintf(w, "  … and %s more\n", human.Count(n-shownPaths))
		}
		return unmatched(name, patterns)
	}
	r.Close() // it would hold up the removal
	n, err = journal.Forget(info.Path, func(it journal.Item) bool { return matches(patterns, it) })
	if err != nil {
		return journalError(err)
	}
	fmt.Fprintf(w, "forgot %s of %s", human.Count(n), human.Plural(total, "item"))
	if n > 0 {
		fmt.Fprint(w, "; the next run sends what it still finds of them")
	}
	fmt.Fprintln(w)
	return unmatched(name, patterns)
}

// A pattern stands for items, by their path or their URL.
type pattern struct {
	text    string
	url     bool
	glob    bool // else there are only names that equal it, or are below it
	matched bool
}

func readPatterns(texts []string) (patterns []*pattern) {
	for _, text := range texts {
		p := &pattern{text: text, url: strings.Contains(text, "://")}
		if !p.url {
			p.text = strings.TrimPrefix(filepath.ToSlash(text), "./")
		}
		p.glob = doublestar.ValidatePattern(p.text)
		patterns = append(patterns, p)
	}
	return patterns
}

func (p *pattern) matches(it journal.Item) bool {
	s := filepath.ToSlash(it.Path)
	if p.url {
		s = it.URL
	}
	below := strings.HasSuffix(p.text, "/")
	return s == p.text || below && strings.HasPrefix(s, p.text) ||
		p.glob && (doublestar.MatchUnvalidated(p.text, s) || below && doublestar.MatchUnvalidated(p.text+"**", s))
}

// matches reports whether one of the patterns stands for the item; none is for
// everything.
func matches(patterns []*pattern, it journal.Item) bool {
	found := len(patterns) == 0
	for _, p := range patterns {
		if p.matches(it) {
			p.matched, found = true, true
		}
	}
	return found
}

// unmatched is the error of patterns that stand for nothing.
func unmatched(name string, patterns []*pattern) error {
	var texts []string
	for _, p := range patterns {
		if !p.matched {
			texts = append(texts, fmt.Sprintf("%q", p.text))
		}
	}
	if texts == nil {
		return nil
	}
	return usageError(fmt.Errorf("no item has a path or URL such as %s; see penstock journal export %s", strings.Join(texts, " or "), name))
}

func journalPrune() *cobra.Command {
	var age time.Duration
	var dryRun bool
	older := duration(&age).or("90d")
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove journals that were not used for long",
		Long: `Remove journals in the state directory that were not used for long. What was delivered
is then forgotten: the same command would send it again.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := journal.Dir()
			if err != nil {
				return localError(err)
			}
			removed, err := journal.Prune(dir, age, dryRun)
			w, did := cmd.OutOrStdout(), "removed"
			if dryRun {
				did = "would remove"
			}
			for _, info := range removed {
				fmt.Fprintf(w, "%s %s (%s, last used %s): %s\n", did, shownName(info.Path), human.Size(info.Size), used(info), send.CountsOf(info.Counts))
			}
			if err != nil {
				return journalError(err)
			}
			if len(removed) == 0 {
				fmt.Fprintf(w, "nothing to remove: no journal in %s was unused for %s\n", human.Printable(dir), older.text)
			}
			return nil
		},
	}
	cmd.Flags().Var(older, "older-than", "time without a run, such as 90d or 12h")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "remove nothing: show what would be removed")
	return cmd
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError(fmt.Errorf("%s takes no argument, but got %q", cmd.CommandPath(), args[0]))
	}
	return nil
}

func oneJournal(_ *cobra.Command, args []string) error {
	switch len(args) {
	case 0:
		return usageError(errors.New("which journal? See penstock journal list"))
	case 1:
		return nil
	}
	return usageError(fmt.Errorf("one journal at a time: %s or %s?", args[0], args[1]))
}

// openJournal opens a journal that is named as such or by its file.
func openJournal(name string) (*journal.Reader, error) {
	path, err := journalPath(name)
	if err != nil {
		return nil, err
	}
	r, err := journal.OpenReader(path)
	if err != nil {
		return nil, journalError(err)
	}
	return r, nil
}

func journalPath(name string) (string, error) {
	elsewhere := filepath.Base(name) != name
	dir, err := journal.Dir()
	if err != nil && !elsewhere {
		return "", localError(err)
	}
	names := journalNames(dir)
	known := strings.TrimSuffix(name, journalSuffix)
	if slices.Contains(names, known) {
		return filepath.Join(dir, known+journalSuffix), nil
	}
	switch info, err := os.Stat(name); {
	case err == nil && !info.Mode().IsRegular():
		return "", usageError(fmt.Errorf("%s is not a file; see penstock journal list", name))
	case err == nil:
		return name, nil
	case !errors.Is(err, fs.ErrNotExist):
		return "", usageError(err)
	case elsewhere:
		return "", usageError(fmt.Errorf("there is no file %s", name))
	}
	advice := meant(suggest(known, names), "see penstock journal list")
	return "", usageError(fmt.Errorf("there is no journal %q in %s; %s", name, dir, advice))
}

// journalNames are those of the journals in a directory, unread.
func journalNames(dir string) (names []string) {
	entries, _ := os.ReadDir(dir) // one that is not there has none
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), journalSuffix); ok && !e.IsDir() {
			names = append(names, name)
		}
	}
	return names
}

func completeJournals(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	dir, err := journal.Dir()
	if err != nil {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return journalNames(dir), cobra.ShellCompDirectiveDefault // or a file
}

// journalError gives an error its exit status.
func journalError(err error) error {
	var inUse *journal.InUseError
	if errors.As(err, &inUse) {
		return &exit.Error{Status: exit.InUse, Err: err}
	}
	return localError(err)
}

// written is the error of a write to standard output.
func written(err error) error {
	if err == nil {
		return nil
	}
	return localError(err)
}

func encode(w io.Writer, v any) error {
	e := human.NewEncoder(w)
	e.SetIndent("", "  ")
	return written(e.Encode(v))
}

func nameOf(path string) string { return strings.TrimSuffix(filepath.Base(path), journalSuffix) }

func shownName(path string) string { return human.Printable(nameOf(path)) }
