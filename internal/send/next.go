package send

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/report"
)

// A command is a command line of send, as it is shown: its words, each quoted for a shell.
type command []string

// shellWord is one word, in all ways in which words are quoted.
var shellWord = regexp.MustCompile(`(?:"[^"]*"|\$'(?:\\.|[^'\\])*'|'[^']*'|\\.|[^\s"'])+`)

func parseCommand(text string) command { return shellWord.FindAllString(text, -1) }

func (c command) String() string { return strings.Join(c, " ") }

// flagged returns the values of a flag that takes one, and the words without it. What follows -- is no flag.
func (c command) flagged(flag string) (values []string, rest command) {
	for i := 0; i < len(c); i++ {
		word := unquoted(c[i])
		value, ok := strings.CutPrefix(word, flag+"=")
		switch {
		case word == "--":
			return values, append(rest, c[i:]...)
		case ok:
			values = append(values, value)
		case word == flag && i+1 < len(c):
			i++
			values = append(values, unquoted(c[i]))
		default:
			rest = append(rest, c[i])
		}
	}
	return values, rest
}

func (c command) has(flag string) bool {
	values, _ := c.flagged(flag)
	return values != nil
}

// unquoted returns a word without its quotes. It leaves one with escapes as it is: that is no flag, and no state.
func unquoted(word string) string {
	switch {
	case len(word) > 1 && word[0] == '"':
		return word[1 : len(word)-1]
	case len(word) > 1 && word[0] == '\'':
		return strings.ReplaceAll(word[1:len(word)-1], `'\''`, "'")
	}
	return word
}

// with returns the command with more flags, put where what follows -- does not make names of files of them.
func (c command) with(flags ...string) command {
	if i := slices.Index(c, "send"); i >= 0 {
		return slices.Insert(slices.Clone(c), i+1, flags...)
	}
	return c
}

// only returns the command for what the journal has in these states. --from, which needs an --only of its own, would select by the
// results of another run.
func (c command) only(states ...string) command {
	_, c = c.flagged("--from")
	_, c = c.flagged("--only")
	return c.with("--only", strings.Join(states, ","))
}

// states returns what --only names, as it is given.
func (c command) states() (states []string) {
	values, _ := c.flagged("--only")
	for _, value := range values {
		for state := range strings.SplitSeq(value, ",") {
			states = append(states, strings.TrimSpace(state))
		}
	}
	return states
}

// goingOn returns the command that goes on with a run of c, which left items in these states. With --only by the journal it has
// to name them too.
func (c command) goingOn(byResults bool, left ...string) command {
	states := c.states()
	if byResults || len(states) == 0 {
		return c
	}
	more := false
	for _, state := range left {
		if !slices.Contains(states, state) {
			states, more = append(states, state), true
		}
	}
	if !more {
		return c
	}
	return c.only(states...)
}

// next returns the commands that may be useful next.
func (r *run) next(s report.Summary) (next []string) {
	c := parseCommand(r.Command)
	switch {
	case r.Command == "":
		return nil
	case r.Journal == nil && s.Items.Delivered+s.Items.Skipped < s.Items.Total:
		return withValues(c, []string{"to send all files again, since no journal was kept: " + r.Command})
	case r.Journal == nil:
		return nil
	}
	byResults := r.Source.FromResults()
	var left []string
	if s.Items.Failed > 0 {
		left = append(left, "failed")
	}
	if s.Items.Deferred > 0 {
		left = append(left, "deferred")
	}
	rest, goesOn := c.goingOn(byResults, left...), s.Items.Remaining+s.Items.Deferred > 0
	if goesOn {
		next = append(next, "to go on: "+rest.String())
	}
	// The journal, by which --only goes, has nothing of an item that could not be read.
	unnoted := r.unnoted.Load() > 0
	failed := human.Those(s.Items.Failed, "failed")
	switch {
	case s.Items.Failed == 0:
	case unnoted && len(r.Only) > 0:
		_, all := c.flagged("--only")
		next = append(next, fmt.Sprintf("to send all that is not delivered, and %s again: %s", failed, all))
	case goesOn: // they go with the rest
	case byResults, unnoted:
		next = append(next, fmt.Sprintf("to send %s again: %s", failed, c))
	default:
		next = append(next, fmt.Sprintf("to send %s again: %s", failed, c.only("failed")))
	}
	if s.Items.Unknown == 0 {
		return withValues(c, next)
	}
	unknown, again := human.Those(s.Items.Unknown, "unknown"), c.only("unknown")
	selected := len(r.Only) == 0 || slices.Contains(r.Only, item.Unknown)
	if byResults {
		again = c.with("--resend-unknown")
	}
	if !r.shared() && !r.Verify {
		ask := rest
		if !selected {
			ask = again
		}
		next = append(next, fmt.Sprintf("to ask the server about %s: %s", unknown, ask.with("--verify")))
	}
	if !(goesOn && r.ResendUnknown && selected) {
		next = append(next, fmt.Sprintf("to send %s again, which may have arrived: %s", unknown, again))
	}
	return withValues(c, next)
}

// withValues adds what the user has to give besides the commands.
func withValues(c command, next []string) []string {
	if next == nil {
		return nil
	}
	if strings.Contains(strings.Join(next, ""), "***") {
		next = append(next, "give your own values for ***")
	}
	if slices.Contains(c, "-") {
		next = append(next, "give the same paths on standard input")
	}
	return next
}

// NextOf returns the commands to give after a run, by what the journal has in each state, each after a few words. The run selected its
// items by results, or not, and ended well, or not.
func NextOf(text string, byResults bool, counts map[item.Fate]int64, well bool) (next []string) {
	c := parseCommand(text)
	byManifest := byResults && !c.has("--from")
	failed, unknown := counts[item.Failed], counts[item.Unknown]+counts[item.InFlight]
	if well {
		next = append(next, "last command: "+text)
	} else {
		var left []string
		if failed > 0 {
			left = append(left, "failed")
		}
		if counts[item.Deferred] > 0 {
			left = append(left, "deferred")
		}
		next = append(next, "to go on: "+c.goingOn(byResults, left...).String())
		// Other results may have selected other items.
		if failed > 0 && byResults && !byManifest {
			next = append(next, fmt.Sprintf("to send %s again: %s", human.Those(failed, "failed"), c.only("failed")))
		}
	}
	if unknown > 0 {
		again := c.only("unknown")
		if byManifest {
			again = c.with("--resend-unknown")
		}
		next = append(next, fmt.Sprintf("to send %s again, which may have arrived: %s", human.Those(unknown, "unknown"), again))
	}
	return withValues(c, next)
}
