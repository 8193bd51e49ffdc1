package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/conceal"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/outbox"
	"github.com/penstock/penstock/internal/receipt"
)

// selection says which stored requests are meant.
type selection struct {
	store  string
	states []outbox.State
	client string
}

// declare declares the flags. The states are those that can be selected.
func (s *selection) declare(cmd *cobra.Command, states ...outbox.State) {
	flags := cmd.Flags()
	flags.Var(text(&s.store, "DIR"), "store",
		"where they are stored (default in the state directory)")
	var words []string
	for _, state := range states {
		words = append(words, string(state))
	}
	v := severalValues(&s.states, "STATES", readStates(words))
	v.words = words
	flags.Var(v, "state", "only those in these states; several with commas")
	flags.Var(text(&s.client, "NAME"), "client",
		`only those of this program: its name or a word of that, as curl of "127.0.0.1 curl/8.5.0"`)
	spellWords(cmd)
}

// readStates reads the names of states, which are among words.
func readStates(words []string) func([]outbox.State, string) ([]outbox.State, error) {
	return func(before []outbox.State, s string) ([]outbox.State, error) {
		for name := range strings.SplitSeq(s, ",") {
			name = strings.TrimSpace(name)
			if err := checkWord(name, words); err != nil {
				return nil, err
			}
			before = append(before, outbox.State(name))
		}
		return before, nil
	}
}

// open opens the store for reading. Where there is none, the reader is nil, but it is an error if
// the store was given: with a typo nothing would seem to be stored.
func (s *selection) open() (r *outbox.Reader, dir string, err error) {
	if dir, err = storeDir(s.store); err != nil {
		return nil, "", local(err)
	}
	r, err = outbox.OpenReader(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if s.store != "" {
			return nil, dir, nothingStored(dir)
		}
		return nil, dir, nil
	}
	return r, dir, local(err)
}

func nothingStored(dir string) error {
	return fmt.Errorf("no requests are stored in %s", human.Printable(dir))
}

// list yields what is selected, the oldest first.
func (s *selection) list(r *outbox.Reader) iter.Seq2[outbox.Entry, error] {
	return func(yield func(outbox.Entry, error) bool) {
		if r == nil {
			return
		}
		for e, err := range r.List(outbox.Filter{States: s.states}) {
			if err == nil && s.client != "" && !hasWord(receipt.Of(e).Client, s.client) {
				continue
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// hasWord reports whether a client has this name, or a word of its name is it, with or without a
// version. Other parts do not count: to drop those of etl must not drop those of etl-nightly.
func hasWord(client, name string) bool {
	if client == name {
		return true
	}
	for word := range strings.FieldsSeq(client) {
		product, _, _ := strings.Cut(word, "/")
		if word == name || product == name {
			return true
		}
	}
	return false
}

// requestsCommand is penstock relay requests.
func requestsCommand() *cobra.Command {
	var s selection
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "requests",
		Short: "List the requests that a relay has stored",
		Long: `List the requests that a relay has stored, the oldest first: those that wait, what
came of others, and why those that have failed were not delivered. An unknown
one may have been accepted by the server: see there before you retry it.

All of these commands also work while the relay runs.`,
		Example: `  penstock relay requests --state failed,unknown
  penstock relay requests retry --all
  penstock relay requests drop 1f-u4ozygvewnjiehyaomvfxg46gt
  penstock relay requests export --state failed - > failed.ndjson`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			r, dir, err := s.open()
			if err != nil {
				return err
			}
			defer r.Close()
			if asJSON {
				return local(listRequestsJSON(cmd.OutOrStdout(), s.list(r)))
			}
			return local(listRequests(cmd.OutOrStdout(), dir, s.list(r)))
		},
	}
	s.declare(cmd, outbox.States...)
	cmd.Flags().BoolVar(&asJSON, "json", false, "write lines of JSON")
	return parent(cmd, "command",
		changeRequests("retry", "Send requests again that have failed, or that are unknown",
			"retried", outboxChanger.Requeue, outbox.Failed, outbox.Unknown),
		changeRequests("drop", "Forget requests that have ended", "dropped", outboxChanger.Drop,
			outbox.Delivered, outbox.Failed, outbox.Unknown),
		exportRequests())
}

func listRequestsJSON(w io.Writer, list iter.Seq2[outbox.Entry, error]) error {
	enc := human.NewEncoder(w)
	for e, err := range list {
		if err == nil {
			err = enc.Encode(receipt.Of(e))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// listRequests writes a table with reasons below. On a terminal, lines are cut to its width.
func listRequests(w io.Writer, dir string, list iter.Seq2[outbox.Entry, error]) error {
	const form = "%-31s  %-9s  %8s  %5s  %s"
	now, n, width := time.Now(), 0, human.Width(w)
	for e, err := range list {
		if err != nil {
			return err
		}
		if n++; n == 1 {
			fmt.Fprintf(w, form+"\n", "ID", "STATE", "AGE", "TRIES", "REQUEST")
		}
		request := human.Printable(e.Method + " " + conceal.URL(e.URI))
		line := fmt.Sprintf(form, e.ID, e.State,
			human.Span(now.Sub(e.Accepted).Truncate(time.Second)), human.Count(e.Attempts), request)
		_, err := fmt.Fprintln(w, shorten(line, width))
		if err == nil && e.Reason != "" && e.State != outbox.Delivered {
			_, err = fmt.Fprintln(w, shorten("  "+human.Printable(e.Reason), width))
		}
		if err != nil {
			return err
		}
	}
	if n == 0 {
		_, err := fmt.Fprintf(w, "no such requests in %s\n", human.Printable(dir))
		return err
	}
	return nil
}

// shorten cuts a text to so many columns, if not 0, as if each character had one.
func shorten(s string, columns int) string {
	if columns == 0 || utf8.RuneCountInString(s) <= columns {
		return s
	}
	return string([]rune(s)[:columns-1]) + "…"
}
