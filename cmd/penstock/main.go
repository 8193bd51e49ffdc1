// Command penstock sends files to an HTTP API as fast as the API permits, and
// never faster.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/send"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// exitError carries an exit status. Its error, if there is one, is printed.
type exitError struct {
	status int
	err    error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

// run is the whole program. It returns the exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := &cobra.Command{
		Use:           "penstock",
		Short:         "Send files to an HTTP API as fast as it permits, and never faster",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return usageError(unknown("command", args[0], cmd.SuggestionsFor(args[0])))
		},
	}
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveDefault)
	root.SuggestionsMinimumDistance = 2
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetArgs(args)
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(sendCommand(), labCommand(), versionCommand())

	err := root.ExecuteContext(ctx)
	var exit *exitError
	switch {
	case err == nil:
		return send.ExitDelivered
	case !errors.As(err, &exit):
		exit = &exitError{send.ExitUsage, err}
	}
	if exit.err != nil {
		fmt.Fprintln(stderr, "penstock:", exit.err)
	}
	return exit.status
}

func usageError(err error) error { return &exitError{send.ExitUsage, err} }

func unknown(what, name string, similar []string) error {
	if len(similar) > 0 {
		return fmt.Errorf("unknown %s %q; did you mean %s?", what, name, strings.Join(similar, " or "))
	}
	return fmt.Errorf("unknown %s %q; see penstock help", what, name)
}

// flagError adds to an unknown flag the known ones that look like it.
func flagError(cmd *cobra.Command, err error) error {
	name, ok := strings.CutPrefix(err.Error(), "unknown flag: --")
	if !ok {
		return usageError(err)
	}
	// Cobra compares names of commands; flags are lent to it as such.
	names := &cobra.Command{SuggestionsMinimumDistance: 2}
	eachFlag(cmd, func(flag string) {
		names.AddCommand(&cobra.Command{Use: flag, Run: func(*cobra.Command, []string) {}})
	})
	similar := names.SuggestionsFor(name)
	for i := range similar {
		similar[i] = "--" + similar[i]
	}
	return usageError(unknown("flag", "--"+name, similar))
}
