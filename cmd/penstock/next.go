package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/secret"
	"github.com/penstock/penstock/internal/send"
)

// afterRun returns the commands that may be useful after a run of c, each after a few words.
func (c command) afterRun(o send.Options, s report.Summary) (next []string) {
	n := s.Items
	c = c.withoutHidden()
	switch {
	case o.Journal != nil:
	case n.Delivered+n.Skipped < n.Total:
		return c.withValues("to send all files again, since no journal was kept: " + c.String())
	default:
		return nil
	}
	byResults := o.Source.FromResults()
	rest, goesOn := c.goingOn(byResults, left(n.Failed, n.Deferred)...), n.Remaining+n.Deferred > 0
	then := "" // a server that cannot be reached by the command as it is cannot be later either
	if s.ExitStatus == exit.Usage {
		then = ", when that is corrected"
	}
	if goesOn {
		next = append(next, rest.toGoOn(then))
	}
	switch missing := s.NotJournaled > 0; {
	case n.Failed == 0:
	case missing && o.Only != 0:
		next = append(next, fmt.Sprintf("to send all that is not delivered, and %s again: %s",
			human.Those(n.Failed, "failed"), c.without("only")))
	case goesOn: // they go with the rest
	case byResults, missing:
		next = append(next, sendFailed(n.Failed, then, c))
	default:
		next = append(next, sendFailed(n.Failed, then, c.only("failed")))
	}
	if n.Unknown > 0 {
		again := c.only("unknown")
		if byResults {
			again = c.with("resend-unknown", "true")
		}
		selected := o.Only.Choose(item.Unknown)
		if !o.Shared() && !o.Verify {
			ask := rest
			if !selected {
				ask = again
			}
			next = append(next, fmt.Sprintf("to ask the server about %s: %s",
				human.Those(n.Unknown, "unknown"), ask.with("verify", "true")))
		}
		if !(goesOn && o.ResendUnknown && selected) {
			next = append(next, sendUnknown(n.Unknown, again))
		}
	}
	return c.withValues(next...)
}

// afterRuns returns the commands to give after runs of which the last was c, by what the journal
// has in each state, each after a few words. The last run selected its items by results, or not,
// and ended well, or not.
func (c command) afterRuns(byResults bool, counts map[item.Fate]int64, well bool) (next []string) {
	byManifest := byResults && !c.has("from")
	failed := counts[item.Failed]
	if well {
		next = append(next, "last command: "+c.String())
	} else {
		states := left(failed, counts[item.Deferred])
		next = append(next, c.goingOn(byResults, states...).toGoOn(""))
		// Other results may have selected other items.
		if failed > 0 && byResults && !byManifest {
			next = append(next, sendFailed(failed, "", c.only("failed")))
		}
	}
	if unknown := counts[item.Unknown] + counts[item.InFlight]; unknown > 0 {
		again := c.only("unknown")
		if byManifest {
			again = c.with("resend-unknown", "true")
		}
		next = append(next, sendUnknown(unknown, again))
	}
	return c.withValues(next...)
}

// left returns the states, of these two, in which items are left.
func left(failed, deferred int64) (states []string) {
	if failed > 0 {
		states = append(states, "failed")
	}
	if deferred > 0 {
		states = append(states, "deferred")
	}
	return states
}

// toGoOn says what the command is for that goes on with the rest, when something has happened or,
// if that is empty, at any time. A time of --again is not the user's, but that of the first run.
func (c command) toGoOn(when string) string {
	what := "to go on" + when
	if c.has("again") {
		what += " (what was sent since then is skipped)"
	}
	return what + ": " + c.String()
}

func sendFailed(n int64, when string, c command) string {
	return fmt.Sprintf("to send %s again%s: %s", human.Those(n, "failed"), when, c)
}

func sendUnknown(n int64, c command) string {
	return fmt.Sprintf("to send %s again, which may have arrived: %s", human.Those(n, "unknown"), c)
}

// withValues adds what the user has to give besides the commands.
func (c command) withValues(next ...string) []string {
	if next == nil {
		return nil
	}
	commands := next
	if strings.Contains(strings.Join(next, ""), secret.Mask) {
		next = append(next, "give your own values for "+secret.Mask)
	}
	for _, name := range c.hidden {
		next = append(next, "leave "+name+" set as it is")
	}
	// A command to go on with may have to lack these.
	now := environment{prefix: sendVariables}
	for _, flag := range []string{"from", "only"} {
		name := now.variable(flag)
		lacks := func(text string) bool { return !gives(text, flag) }
		if os.Getenv(name) != "" && slices.ContainsFunc(commands, lacks) {
			next = append(next,
				"unset "+name+" before: a command without --"+flag+" would get it")
		}
	}
	if c.hasPath("-") {
		next = append(next, "give the same paths on standard input")
	}
	for _, w := range c.words {
		switch {
		case w.name != "manifest":
		case w.value == "-":
			next = append(next, "give the same lines on standard input")
		case strings.HasPrefix(w.value, "/dev/fd/"):
			next = append(next, "give the same lines instead of "+w.value)
		}
	}
	return next
}

// gives reports whether the text of a command has a flag.
func gives(text, flag string) bool {
	_, after, found := strings.Cut(text, " --"+flag)
	for found && after != "" && after[0] != ' ' && after[0] != '=' { // a longer name
		_, after, found = strings.Cut(after, " --"+flag)
	}
	return found
}

// withoutHidden returns the command without the values that must not be shown, as far as the
// environment has them: they are there for the next command too.
func (c command) withoutHidden() command {
	for _, w := range c.words {
		if w.variable != "" && shownValue(w.name, w.value) != w.value &&
			!slices.Contains(c.hidden, w.variable) {
			c.hidden = append(c.hidden, w.variable)
		}
	}
	c.words = slices.DeleteFunc(slices.Clone(c.words), func(w word) bool {
		return w.variable != "" && slices.Contains(c.hidden, w.variable)
	})
	return c
}
