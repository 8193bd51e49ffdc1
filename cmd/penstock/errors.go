package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/outbox"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/status"
)

// local gives an error of this machine its status, if there is one. An error that has no status is
// one of usage.
func local(err error) error {
	status := exit.Local
	_, busy := errors.AsType[*journal.InUseError](err)
	stored, ok := errors.AsType[*outbox.Error](err)
	switch {
	case err == nil:
		return nil
	case busy, ok && stored.Fault == outbox.InUse:
		status = exit.InUse
	}
	return &exit.Error{Status: status, Err: err}
}

// printError writes an error and returns the exit status.
func printError(w io.Writer, err error) int {
	failed := &exit.Error{Status: exit.Usage, Err: err}
	errors.As(err, &failed)
	errs := []error{failed.Err}
	if several, ok := errors.AsType[*source.LinesError](failed.Err); ok {
		errs = several.Lines()
	}
	for _, err := range errs {
		if err != nil { // names of files may have anything in them
			fmt.Fprintln(w, "penstock:", human.Printable(status.Plain(err)))
		}
	}
	return failed.Status
}

// parent makes cmd a command that does nothing but have sub-commands. Errors call one of them what.
func parent(cmd *cobra.Command, what string, subs ...*cobra.Command) *cobra.Command {
	cmd.Args = cobra.ArbitraryArgs // cobra's own error has several lines
	cmd.Annotations = map[string]string{"what": what}
	if cmd.RunE == nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return unknownCommand(cmd, args[0])
		}
	}
	cmd.AddCommand(subs...)
	return cmd
}

// unknownCommand is the error for a name that no sub-command of cmd has.
func unknownCommand(cmd *cobra.Command, name string) error {
	var names []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return unknown(cmd, cmd.Annotations["what"], name, suggest(name, names))
}

func unknown(cmd *cobra.Command, what, name string, similar []string) error {
	advice := meant(similar, "see "+cmd.CommandPath()+" --help")
	return fmt.Errorf("unknown %s %q; %s", what, name, advice)
}

// meant asks for the name that was meant, or says what else to do if none is similar.
func meant(similar []string, otherwise string) string {
	if len(similar) == 0 {
		return otherwise
	}
	return "did you mean " + strings.Join(similar, " or ") + "?"
}

// suggest returns those of the names that name may be a misspelling of, or the beginning.
func suggest(name string, names []string) []string {
	// A transposition is two edits; one letter is no misspelling of another.
	known := &cobra.Command{SuggestionsMinimumDistance: min(2, len(name)-1)}
	for _, n := range names {
		known.AddCommand(&cobra.Command{Use: n, Run: func(*cobra.Command, []string) {}})
	}
	return known.SuggestionsFor(name)
}

// flagError words an error about a flag.
func flagError(cmd *cobra.Command, err error) error {
	if invalid, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		name := invalid.GetFlag().Name
		return invalidValue("--"+name, shownValue(name, invalid.GetValue()), errors.Unwrap(invalid))
	}
	if lacking, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		return fmt.Errorf("%s needs a value", spelled(lacking.GetSpecifiedName()))
	}
	absent, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok {
		return err
	}
	if words := cmd.Flags().Args(); cmd.HasSubCommands() && len(words) > 0 {
		return unknownCommand(cmd, words[0]) // whose flags are not known
	}
	name, similar := spelled(absent.GetSpecifiedName()), []string(nil)
	if !cmd.HasParent() {
		for _, sub := range cmd.Commands() {
			if sub.Flags().Lookup(absent.GetSpecifiedName()) != nil {
				similar = append(similar, sub.CommandPath()+" "+name)
			}
		}
	}
	// One dash before a long name makes letters of it, and the rest may be a secret.
	letters, _, _ := strings.Cut(absent.GetSpecifiedShortnames(), "=")
	switch {
	case similar != nil:
	case len(letters) > 1 && cmd.Flags().Lookup(letters) != nil:
		name, similar = "-"+letters, []string{"--" + letters}
	default:
		typed := name
		if len(letters) > 1 {
			typed = "--" + letters
		}
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
		similar = suggest(typed, names)
	}
	return unknown(cmd, "flag", name, similar)
}

// invalidValue is the error for a value that cannot be that of a flag, or of its variable.
func invalidValue(name, value string, why error) error {
	if own, ok := errors.AsType[valueError](why); ok {
		return errors.New(name + own.Error())
	}
	if _, ok := errors.AsType[*strconv.NumError](why); ok { // of a flag that is true or false
		why = errors.New("want true or false")
	}
	return fmt.Errorf("%s %s: %w", name, quotedIfBlank(value), why)
}

// spelled is a flag's name as it is given.
func spelled(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

func quotedIfBlank(value string) string {
	if value == "" || strings.ContainsFunc(value, unicode.IsSpace) {
		return strconv.Quote(value)
	}
	return value
}
