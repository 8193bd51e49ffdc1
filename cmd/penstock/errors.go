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
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/status"
)

func usageError(err error) error { return &exit.Error{Status: exit.Usage, Err: err} }

func localError(err error) error { return &exit.Error{Status: exit.Local, Err: err} }

// printError writes an error and returns the exit status.
func printError(w io.Writer, err error) int {
	failed := &exit.Error{Status: exit.Usage, Err: err}
	errors.As(err, &failed)
	errs := []error{failed.Err}
	if lines := new(source.LinesError); errors.As(failed.Err, &lines) {
		errs = nil
		for _, line := range lines.Lines() {
			errs = append(errs, errors.New(line))
		}
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
	return usageError(fmt.Errorf("unknown %s %q; %s", what, name, advice))
}

// meant asks for the name that was meant, or says what else to do if none is similar.
func meant(similar []string, otherwise string) string {
	if len(similar) == 0 {
		return otherwise
	}
	return "did you mean " + strings.Join(similar, " or ") + "?"
}

// suggest returns those of the names that name may be a misspelling of, or the beginning.
func suggest(name string, names []string) (similar []string) {
	const most = 2 // edits: a transposition is two
	lower := strings.ToLower(name)
	for _, n := range names {
		edits := editDistance(lower, strings.ToLower(n))
		if strings.HasPrefix(strings.ToLower(n), lower) || edits <= most && edits < len(name) {
			similar = append(similar, n)
		}
	}
	return similar
}

// editDistance is the Levenshtein distance in bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

// flagError words an error about a flag.
func flagError(cmd *cobra.Command, err error) error {
	var (
		absent  *pflag.NotExistError
		lacking *pflag.ValueRequiredError
		invalid *pflag.InvalidValueError
	)
	switch {
	case errors.As(err, &invalid):
		why, name := errors.Unwrap(invalid), "--"+invalid.GetFlag().Name
		if own := valueError(""); errors.As(why, &own) {
			return usageError(errors.New(name + own.Error()))
		}
		var number *strconv.NumError
		if errors.As(why, &number) { // of a flag that is true or false
			why = errors.New("want true or false")
		}
		return usageError(fmt.Errorf("%s %s: %w", name, quotedIfBlank(invalid.GetValue()), why))
	case errors.As(err, &lacking):
		return usageError(fmt.Errorf("%s needs a value", spelled(lacking.GetSpecifiedName())))
	case !errors.As(err, &absent):
		return usageError(err)
	}
	if words := cmd.Flags().Args(); cmd.HasSubCommands() && len(words) > 0 {
		return unknownCommand(cmd, words[0]) // whose flags nobody knows
	}
	name, similar := spelled(absent.GetSpecifiedName()), []string(nil)
	if !cmd.HasParent() {
		for _, sub := range cmd.Commands() {
			if sub.Flags().Lookup(absent.GetSpecifiedName()) != nil {
				similar = append(similar, sub.CommandPath()+" "+name)
			}
		}
	}
	if similar == nil {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
		similar = suggest(name, names)
	}
	return unknown(cmd, "flag", name, similar)
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
