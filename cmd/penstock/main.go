// Command penstock sends files to an HTTP API as fast as the API permits, and never faster.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/exit"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole program. It returns the exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := parent(&cobra.Command{
		Use:           "penstock",
		Short:         "Send files to an HTTP API as fast as it permits, and never faster",
		Version:       versionLine(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}, "command", sendCommand(args), relayCommand(), journalCommand(), quotaCommand(),
		fromCurlCommand(), labCommand(), versionCommand())
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveDefault)
	wrapped := fmt.Sprintf(".FlagUsagesWrapped %d", helpWidth)
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), ".FlagUsages", wrapped))
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetArgs(args)
	root.SetFlagErrorFunc(flagError)
	root.SetHelpCommand(helpCommand(root))
	root.InitDefaultCompletionCmd()
	if completion, _, err := root.Find([]string{"completion"}); err == nil {
		parent(completion, "shell")
	}
	initHelpFlags(root)

	if err := root.ExecuteContext(ctx); err != nil {
		return printError(stderr, err)
	}
	return exit.Delivered
}

// initHelpFlags lets every command know its flag --help before the command line is read. Cobra
// would take what follows a flag that a parent does not know for the flag's value.
func initHelpFlags(cmd *cobra.Command) {
	cmd.InitDefaultHelpFlag()
	for _, sub := range cmd.Commands() {
		initHelpFlags(sub)
	}
}

// helpCommand is cobra's, but what it does not know is an error.
func helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Help about any command",
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			if err != nil {
				return err
			}
			if cmd.HasSubCommands() && len(rest) > 0 {
				return unknownCommand(cmd, rest[0])
			}
			return cmd.Help()
		},
	}
}
