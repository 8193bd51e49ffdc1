package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/lazy"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/status"
)

// An environment is what variables say of a command's flags: PENSTOCK_SEND_RPS=4 is --rps 4. A flag
// on the command line wins over its variable.
type environment struct {
	prefix  string
	words   []word   // the flags that variables have set
	unknown []string // what is said of variables that belong to no flag
}

// sendVariables is how the variables of send begin, and relayVariables those of relay.
const (
	sendVariables  = "PENSTOCK_SEND_"
	relayVariables = "PENSTOCK_RELAY_"
)

// variable is the name of the variable for a flag.
func (e *environment) variable(flag string) string {
	return e.prefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// read sets those flags that were not given and have a variable. An empty variable says nothing.
func (e *environment) read(flags *pflag.FlagSet, environ []string) (err error) {
	values := map[string]string{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if value != "" && strings.HasPrefix(name, e.prefix) {
			values[name] = value
		}
	}
	var known []string
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" {
			return
		}
		name := e.variable(f.Name)
		known = append(known, strings.TrimPrefix(name, e.prefix))
		if !f.Changed {
			err = cmp.Or(err, e.set(f, name, values[name]))
		}
		delete(values, name)
	})
	for name := range values {
		if rest := strings.TrimPrefix(name, e.prefix); !ofKubernetes.MatchString(rest) {
			similar := suggest(rest, known)
			for i := range similar {
				similar[i] = e.prefix + similar[i]
			}
			e.unknown = append(e.unknown, fmt.Sprintf("unknown variable %s in the environment; %s",
				name, meant(similar, "see "+e.command()+" --help for the flags")))
		}
	}
	slices.Sort(e.unknown)
	return err
}

// ofKubernetes matches the variables that Kubernetes sets for a service, after its name.
var ofKubernetes = lazy.MustCompile(`^(SERVICE_HOST|(SERVICE_)?PORT(_\w+)?)$`)

// command is the command that the variables are for.
func (e *environment) command() string {
	return strings.ToLower(strings.TrimRight(strings.ReplaceAll(e.prefix, "_", " "), " "))
}

// set sets a flag to what its variable has: a value, or one a line if the flag may be repeated.
func (e *environment) set(f *pflag.Flag, variable, text string) error {
	values := []string{strings.TrimRight(text, "\r\n")}
	if repeated(f) {
		values = slices.DeleteFunc(strings.Split(text, "\n"),
			func(line string) bool { return strings.TrimSpace(line) == "" })
	}
	for i, value := range values {
		value = strings.TrimSuffix(value, "\r")
		if given, err := strconv.ParseBool(value); err == nil && f.NoOptDefVal != "" {
			value = f.DefValue
			if given {
				value = f.NoOptDefVal // as the flag without a value
			}
		}
		if value == "" || value == f.DefValue {
			continue
		}
		if err := f.Value.Set(value); err != nil {
			if len(values) > 1 {
				variable += ", line " + strconv.Itoa(i+1) + ":"
			}
			return invalidValue(variable, shownValue(f.Name, value), err)
		}
		e.words = append(e.words, word{name: f.Name, value: value, variable: variable})
	}
	return nil
}

// repeated reports whether a flag may be given several times.
func repeated(f *pflag.Flag) bool {
	if _, ok := f.Value.(pflag.SliceValue); ok {
		return true
	}
	v, ok := f.Value.(interface{ repeated() bool })
	return ok && v.repeated()
}

// has reports whether a variable has set a flag.
func (e *environment) has(flag string) bool {
	return slices.ContainsFunc(e.words, func(w word) bool { return w.name == flag })
}

// warnings returns, once, what is said of variables that belong to no flag.
func (e *environment) warnings() []string {
	unknown := e.unknown
	e.unknown = nil
	return unknown
}

var flagInText = lazy.MustCompile(`--[a-z0-9][a-z0-9-]*`)

// explain adds to an error which of the flags that it names come from the environment. An error may
// be the consequence of a variable's misspelled name: the warnings come first.
func (e *environment) explain(err error, stderr io.Writer) error {
	ended, ok := errors.AsType[*exit.Error](err)
	why := err
	if ok {
		why = ended.Err
	}
	if why == nil {
		return err
	}
	for _, text := range e.warnings() {
		fmt.Fprintln(stderr, "penstock:", human.Printable(text))
	}
	if _, lines := errors.AsType[*source.LinesError](why); lines {
		return err
	}
	named := flagInText.FindAllString(status.Plain(why), -1)
	for _, w := range e.words {
		if i := slices.Index(named, "--"+w.name); i >= 0 {
			named[i] = ""
			why = fmt.Errorf("%w; --%s comes from %s", why, w.name, w.variable)
		}
	}
	if ok {
		return &exit.Error{Status: ended.Status, Err: why}
	}
	return why
}

// help explains the variables, and names those that are set.
func (e *environment) help(flags *pflag.FlagSet, environ []string) string {
	text := "Environment:\n" +
		"  Each flag has a variable: " + e.prefix + "RPS=4 is --rps 4. The command line\n" +
		"  wins. A flag that may be repeated takes a value a line; true gives a flag\n" +
		"  without a value. An empty variable says nothing.\n"
	var set []string
	flags.VisitAll(func(f *pflag.Flag) {
		name := e.variable(f.Name)
		if f.Name != "help" && slices.ContainsFunc(environ, func(entry string) bool {
			return strings.HasPrefix(entry, name+"=") && entry != name+"="
		}) {
			set = append(set, name)
		}
	})
	if set != nil {
		text += indented("Set now: " + strings.Join(set, ", "))
	}
	return text
}

// indented breaks a text into lines of the help.
func indented(text string) string {
	const indent = "  "
	lines := strings.ReplaceAll(human.Wrap(text, helpWidth-len(indent)), "\n", "\n"+indent)
	return indent + lines + "\n"
}
