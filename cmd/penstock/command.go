package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/penstock/penstock/internal/conceal"
	"github.com/penstock/penstock/internal/shell"
)

// A command is a command line of penstock send: flags with their values, and paths, in the order in
// which they were given.
type command struct {
	flags *pflag.FlagSet
	words []word
	// hidden are the variables of the environment that have more flags, with secrets.
	hidden []string
}

// A word is a flag that was given, or a path if it has no name.
type word struct {
	name, value string
	variable    string // that has the value, where the environment gives the flag
}

// readCommand reads the arguments of penstock send. It sets no flag.
func readCommand(flags *pflag.FlagSet, args []string) (command, error) {
	c := command{flags: flags}
	paths := 0
	addPaths := func() {
		for ; paths < flags.NArg(); paths++ {
			c.words = append(c.words, word{value: flags.Arg(paths)})
		}
	}
	err := flags.ParseAll(args, func(f *pflag.Flag, value string) error {
		addPaths()
		c.words = append(c.words, word{name: f.Name, value: value})
		return nil
	})
	addPaths()
	return c, err
}

// storedCommand reads a command as String writes it. It reports whether penstock takes it today.
func storedCommand(text string) (command, bool) {
	words := shell.Split(text)
	if len(words) < 2 || words[0] != "penstock" || words[1] != "send" {
		return command{}, false
	}
	c, err := readCommand(sendCommand(nil).Flags(), words[2:])
	return c, err == nil
}

// String returns the command for people to read and to paste into a shell. What may be secret is
// hidden.
func (c command) String() string {
	text := []string{"penstock", "send"}
	add := func(word string) { text = append(text, shell.Quote(word)) }
	dashes := false
	for _, w := range c.words {
		shown := shownValue(w.name, w.value)
		switch optional := c.optional(w); {
		case w.name == "" && strings.HasPrefix(shown, "-") && shown != "-" && !dashes:
			dashes = true // only paths follow: else it would be a flag
			text = append(text, "--", shell.Quote(shown))
		case w.name == "":
			add(shown)
		case optional == "":
			add("--" + w.name)
			add(shown)
		case optional == w.value:
			add("--" + w.name)
		default:
			add("--" + w.name + "=" + shown)
		}
	}
	return strings.Join(text, " ")
}

// shownValue hides what may be secret in the value of a flag, or in a path if the flag has no name:
// values of headers, and in URLs the user, the password and the values of the query. What is hidden
// is ***, and stays so.
func shownValue(flag, value string) string {
	switch {
	case flag == "header":
		return conceal.HeaderLine(value)
	case flag == "user":
		return shownUser(value)
	case flag == "to" && isLab(value) && !strings.Contains(value, "://"):
		return value // its parameters are no secret
	case flag == "to":
		return conceal.Template(value)
	case flag == "form", flag == "form-string":
		return conceal.Field(value)
	case flag == "json", flag == "data":
		return conceal.Body(value)
	case flag == "quota-from":
		return shownQuota(value)
	case flag == "proxy":
		return conceal.URL(value)
	}
	return conceal.Argument(value)
}

// after returns the command with words before its own.
func (c command) after(words []word) command {
	c.words = slices.Concat(words, c.words)
	return c
}

// optional is the value of a flag that is given without one; "" if it needs one.
func (c command) optional(w word) string {
	if f := c.flags.Lookup(w.name); f != nil {
		return f.NoOptDefVal
	}
	return ""
}

func (c command) has(flag string) bool {
	return slices.ContainsFunc(c.words, func(w word) bool { return w.name == flag })
}

// value returns the last value of a flag, "" if it is not given.
func (c command) value(flag string) (value string) {
	for _, w := range c.words {
		if w.name == flag {
			value = w.value
		}
	}
	return value
}

func (c command) hasPath(path string) bool { return slices.Contains(c.words, word{value: path}) }

// without returns the command without these flags.
func (c command) without(flags ...string) command {
	c.words = slices.DeleteFunc(slices.Clone(c.words), func(w word) bool {
		return w.name != "" && slices.Contains(flags, w.name)
	})
	return c
}

// with returns the command with a flag before all others, and nowhere else.
func (c command) with(flag, value string) command {
	c.words = append([]word{{name: flag, value: value}}, c.without(flag).words...)
	return c
}

// only returns the command for what the journal has in these states. --from, which needs an --only
// of its own, would select by the results of another run.
func (c command) only(states ...string) command {
	return c.without("from").with("only", strings.Join(states, ","))
}

// goingOn returns the command that goes on with a run of c, which has left items in these states.
// An --only that goes by the journal has to name them too.
func (c command) goingOn(byResults bool, left ...string) command {
	var states []string
	for _, w := range c.words {
		if w.name == "only" {
			for state := range strings.SplitSeq(w.value, ",") {
				states = append(states, strings.TrimSpace(state))
			}
		}
	}
	given := len(states)
	for _, state := range left {
		if !slices.Contains(states, state) {
			states = append(states, state)
		}
	}
	if byResults || given == 0 || len(states) == given {
		return c
	}
	return c.only(states...)
}

// again returns the command with --again for what was delivered before a time, if there is one:
// later runs of it do not begin anew.
func (c command) again(before time.Time) command {
	if before.IsZero() {
		return c
	}
	return c.with("again", before.UTC().Format("2006-01-02T15:04:05.000Z07:00"))
}

// strayValue is an error for the value of a flag whose value may be left out. It has to follow an
// equals sign, and is taken for a path otherwise.
func (c command) strayValue() error {
	for i, w := range c.words {
		f := c.flags.Lookup(w.name)
		if f == nil || w.value != f.NoOptDefVal || f.Value.Type() == "bool" || i+1 == len(c.words) {
			continue
		}
		next := c.words[i+1]
		if next.name != "" || next.value == "-" || strings.ContainsAny(next.value, "*?[{") {
			continue
		}
		if _, err := os.Lstat(next.value); err != nil {
			return fmt.Errorf("--%s %s: there is no such file; a value of --%[1]s follows "+
				"an equals sign: --%[1]s=%[2]s", w.name, next.value)
		}
	}
	return nil
}
