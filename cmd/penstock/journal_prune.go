package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/statedir"
)

func journalPrune() *cobra.Command {
	var age time.Duration
	var dryRun bool
	older := duration(&age).or("90d")
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove journals that were not used for long",
		Long: "Remove journals in the state directory that were not used for long. " +
			`What was delivered
is then forgotten: the same command would send it again.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := statedir.Dir()
			if err != nil {
				return local(err)
			}
			removed, err := journal.Prune(dir, age, dryRun)
			w, did := cmd.OutOrStdout(), "removed"
			if dryRun {
				did = "would remove"
			}
			for _, info := range removed {
				fmt.Fprintf(w, "%s %s (%s, last used %s): %s\n", did, shownName(info.Path),
					human.Size(info.Size), used(info), info.Counts)
			}
			if err != nil {
				return local(err)
			}
			if len(removed) == 0 {
				fmt.Fprintf(w, "nothing to remove: no journal in %s was unused for %s\n",
					human.Printable(dir), older.text)
			}
			return nil
		},
	}
	cmd.Flags().Var(older, "older-than", "time without a run, such as 90d or 12h")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "remove nothing: show what would be removed")
	return cmd
}
