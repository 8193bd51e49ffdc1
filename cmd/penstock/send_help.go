package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/human"
)

// helpWidth is the usual width of a terminal. Examples and tables are written for it.
const helpWidth = 80

// brief are the flags that the short help shows: those that every user needs.
var brief = []string{
	"to", "form", "header", "bearer-file", "manifest", "rps", "concurrency", "bandwidth",
	"idempotent", "only", "results", "dry-run",
}

// moreExamples are in the long help only.
const moreExamples = `
  penstock send --rps 3000/min --bearer-file token --to "https://h/{path}" data/
  penstock send --manifest items.ndjson --to "https://h/v1/{customer}/{name}"
  penstock send --concurrency 4 --bandwidth 10MiB/s --to "https://h/{name}" in/
  penstock send --rps 20 --to lab:strict data/    (see penstock lab list)`

const units = `  D  a duration: 500ms, 30s, 5m, 2h, 1h30m, 2d
  R  requests a second: 4, 0.5; or by min, h, d: 3000/min, 10/h
  B  bytes a second: 500kB/s, 10MB/s, 10MiB/s
`

const variables = `  {name}            the file's name
  {stem} {ext}      its parts before and behind the last dot
  {path}            its path below the directory, the glob's fixed part or the
                    manifest's folder; its name if it is named itself
  {dir}             the directory in that, or .
  {size} {mtime}    its bytes; its last change, as 2006-01-02T15:04:05Z
  {sha256} {md5}    digests of its content in hexadecimal; {sha256_base64} and
                    {md5_base64} are in base64
  {base64}          its content in base64; not in URLs and headers
  {uuid}            a UUID, the same in each attempt and each run
  {key} {sku} …     the key and any other field of a manifest's line
  {{name}           the text {name}; other braces are what they are
`

// sendHelp is short where --help asks for it, and long for penstock help send.
func sendHelp(cmd *cobra.Command, groups []group, env *environment) {
	w := cmd.OutOrStdout()
	if help := cmd.Flags().Lookup("help"); help != nil && help.Changed {
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		flags.SortFlags = false
		for _, name := range brief {
			f := *cmd.Flags().Lookup(name)
			f.Usage, _, _ = strings.Cut(f.Usage, "; ")
			flags.AddFlag(&f)
		}
		fmt.Fprintf(w, "Usage: %s\n\n%s\nExamples:\n%s\n\n%s\n",
			cmd.UseLine(), usages(flags, helpWidth), cmd.Example,
			"All flags, variables, units and exit statuses: penstock help send")
		return
	}
	groupedHelp(cmd, groups, moreExamples, env.help(cmd.Flags(), os.Environ())+
		"\nVariables, each encoded for its place:\n"+variables+
		"\nUnits:\n"+units+"\nExit status:\n"+exit.Help())
}

// groupedHelp shows all flags, by groups.
func groupedHelp(cmd *cobra.Command, groups []group, more, last string) {
	w := cmd.OutOrStdout()
	width := helpWidth
	if columns := human.Width(w); columns > 0 {
		width = min(max(columns, 40), helpWidth)
	}
	fmt.Fprintf(w, "%s\n\nUsage:\n  %s\n\nExamples:\n%s%s\n",
		cmd.Long, cmd.UseLine(), cmd.Example, more)
	for _, g := range groups {
		fmt.Fprintf(w, "\n%s:\n%s", g.title, usages(g.flags, width))
	}
	fmt.Fprintf(w, "\n%s", last)
}

// usages describes flags. One whose value may be left out is shown as it has to be given.
func usages(flags *pflag.FlagSet, width int) string {
	shown := pflag.NewFlagSet("", pflag.ContinueOnError)
	shown.SortFlags = false
	flags.VisitAll(func(given *pflag.Flag) {
		f := *given
		if kind := f.Value.Type(); f.NoOptDefVal != "" && kind != "bool" {
			f.Name = fmt.Sprintf("%s[=%s]", f.Name, kind)
			f.NoOptDefVal, f.Value = "", text(new(string), "")
		}
		shown.AddFlag(&f)
	})
	return shown.FlagUsagesWrapped(width)
}
