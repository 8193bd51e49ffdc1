package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/results"
)

func journalExport() *cobra.Command {
	var only item.Fates
	cmd := &cobra.Command{
		Use:   "export NAME|FILE",
		Short: "Write a journal's items as lines of JSON, as --results does",
		Long: `Write a journal's items as lines of JSON, as --results does. An item that was in
flight when its run was cut off is unknown.

"penstock send --manifest FILE --only failed" sends such lines again, and "--from FILE
--only failed" those of the files, or of the manifest's lines, that the same command names.`,
		Example: `  penstock journal export nightly --only failed,unknown > again.ndjson
  penstock send --manifest again.ndjson --only failed,unknown ` +
			`--to "https://api.example.com/files/{name}"`,
		Args:              oneJournal,
		ValidArgsFunction: completeJournals,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := openJournal(args[0])
			if err != nil {
				return err
			}
			defer r.Close()
			ctx, out := cmd.Context(), results.NewWriter(cmd.OutOrStdout())
			for it, err := range r.Items(only) {
				if err == nil {
					err = out.Room(ctx)
				}
				if err == nil {
					err = out.Write(it.Result())
				}
				if err != nil {
					return local(errors.Join(out.Close(ctx), err))
				}
			}
			return local(out.Close(ctx))
		},
	}
	known := fates(&only, item.Delivered, item.Failed, item.Unknown, item.Deferred)
	cmd.Flags().Var(known, "only", "only items in these; several with commas")
	spellWords(cmd)
	return cmd
}
