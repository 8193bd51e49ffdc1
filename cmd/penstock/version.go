package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// stamped is the version of a build that is given one: go build -ldflags "-X main.stamped=v1.2.3".
var stamped string

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			fmt.Fprintln(cmd.OutOrStdout(), versionLine())
		},
	}
}

func versionLine() string {
	return fmt.Sprintf("penstock %s (%s, %s/%s)",
		version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// version is what was stamped, else the module's version or the commit, as Go recorded it in the
// binary.
func version() string {
	recorded := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		recorded = info.Main.Version
	}
	return cmp.Or(stamped, recorded, "(devel)")
}
