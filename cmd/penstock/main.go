// Command penstock sends files to an HTTP API as fast as the API permits, and
// never faster.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/status"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole program. It returns the exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := &cobra.Command{
		Use:           "penstock",
		Short:         "Send files to an HTTP API as fast as it permits, and never faster",
		Version:       versionLine(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return unknown("command", args[0], cmd)
		},
	}
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveDefault)
	root.SuggestionsMinimumDistance = 2
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetArgs(args)
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(sendCommand(), journalCommand(), labCommand(), versionCommand())
	root.SetHelpCommand(helpCommand(root))
	completionCommand(root)

	err := root.ExecuteContext(ctx)
	var failed *exit.Error
	switch {
	case err == nil:
		return exit.Delivered
	case !errors.As(err, &failed):
		failed = &exit.Error{Status: exit.Usage, Err: err}
	}
	var lines *source.LinesError
	switch {
	case errors.As(failed.Err, &lines):
		for _, line := range lines.Lines() {
			fmt.Fprintln(stderr, "penstock:", human.Printable(status.Plain(errors.New(line))))
		}
	case failed.Err != nil:
		fmt.Fprintln(stderr, "penstock:", human.Printable(status.Plain(failed.Err))) // of what others wrote
	}
	return failed.Status
}

func usageError(err error) error { return &exit.Error{Status: exit.Usage, Err: err} }

// unknown is the error for a word that names nothing that cmd has.
func unknown(what, name string, cmd *cobra.Command) error {
	return unknownOf(what, name, cmd, cmd.SuggestionsFor(name))
}

func unknownOf(what, name string, cmd *cobra.Command, similar []string) error {
	advice := "see " + cmd.CommandPath() + " --help"
	if len(similar) > 0 {
		advice = "did you mean " + strings.Join(similar, " or ") + "?"
	}
	return usageError(fmt.Errorf("unknown %s %q; %s", what, name, advice))
}

// flagError words an error about a flag, and adds to one that is unknown those that look like it.
func flagError(cmd *cobra.Command, err error) error {
	var (
		absent  *pflag.NotExistError
		lacking *pflag.ValueRequiredError
		invalid *pflag.InvalidValueError
	)
	switch {
	case errors.As(err, &invalid):
		why := errors.Unwrap(invalid)
		var number *strconv.NumError
		if errors.As(why, &number) { // of a flag that is true or false
			why = errors.New("want true or false")
		}
		return usageError(fmt.Errorf("--%s %s: %w", invalid.GetFlag().Name, shownValueOf(invalid.GetValue()), why))
	case errors.As(err, &lacking):
		return usageError(fmt.Errorf("%s needs a value", spelled(lacking.GetSpecifiedName())))
	case !errors.As(err, &absent):
		return usageError(err)
	}
	if words := cmd.Flags().Args(); cmd.HasSubCommands() && len(words) > 0 {
		return unknown("command", words[0], cmd) // whose flags nobody knows
	}
	name := spelled(absent.GetSpecifiedName())
	if !cmd.HasParent() {
		for _, sub := range cmd.Commands() {
			if sub.Flags().Lookup(absent.GetSpecifiedName()) != nil {
				return unknownOf("flag", name, cmd, []string{sub.CommandPath() + " " + name})
			}
		}
	}
	// Cobra compares names of commands; flags are lent to it as such.
	names := &cobra.Command{SuggestionsMinimumDistance: 2}
	eachFlag(cmd, func(flag string) {
		names.AddCommand(&cobra.Command{Use: "--" + flag, Run: func(*cobra.Command, []string) {}})
	})
	return unknownOf("flag", name, cmd, names.SuggestionsFor(name))
}

// spelled is a flag's name as it is given.
func spelled(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// shownValueOf is a value that a flag refuses, on which words follow.
func shownValueOf(value string) string {
	if value == "" || strings.ContainsFunc(value, unicode.IsSpace) {
		return strconv.Quote(value)
	}
	return value
}

// helpCommand is cobra's, but what it does not know is an error.
func helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Help about any command",
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			if err != nil || cmd == root && len(rest) > 0 {
				return unknown("command", args[0], root)
			}
			if cmd.Name() == "lab" && len(rest) > 0 {
				return helpPreset(cmd, rest[0])
			}
			cmd.InitDefaultHelpFlag() // as if it were executed
			return cmd.Help()
		},
	}
}

// completionCommand makes an error of a shell that is not known.
func completionCommand(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	cmd, _, err := root.Find([]string{"completion"})
	if err != nil {
		return // cobra has no such command any more
	}
	cmd.Args = cobra.ArbitraryArgs
	cmd.SuggestionsMinimumDistance = 2
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		return unknown("shell", args[0], cmd)
	}
}
