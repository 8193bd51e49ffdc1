package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/conceal"
	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/outbox"
	"github.com/penstock/penstock/internal/relay"
	"github.com/penstock/penstock/internal/status"
)

// selection says which stored requests are meant.
type selection struct {
	store  string
	states []outbox.State
	client string
}

func (s *selection) declare(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.Var(text(&s.store, "DIR"), "store",
		"where they are stored (default in the state directory)")
	v := severalValues(&s.states, "STATES", readStates)
	for _, state := range outbox.States {
		v.words = append(v.words, string(state))
	}
	flags.Var(v, "state", "only those in these states; several with commas")
	flags.Var(text(&s.client, "NAME"), "client", "only those of this program")
	spellWords(cmd)
}

func readStates(before []outbox.State, s string) ([]outbox.State, error) {
	var words []string
	for _, state := range outbox.States {
		words = append(words, string(state))
	}
	for name := range strings.SplitSeq(s, ",") {
		name = strings.TrimSpace(name)
		if err := checkWord(name, words); err != nil {
			return nil, err
		}
		before = append(before, outbox.State(name))
	}
	return before, nil
}

// open opens the store for reading. Where there is none, the reader is nil.
func (s *selection) open() (r *outbox.Reader, dir string, err error) {
	if dir, err = storeDir(s.store); err != nil {
		return nil, "", local(err)
	}
	r, err = outbox.OpenReader(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, dir, nil
	}
	return r, dir, local(err)
}

// list yields what is selected, the oldest first.
func (s *selection) list(r *outbox.Reader) iter.Seq2[outbox.Entry, error] {
	return func(yield func(outbox.Entry, error) bool) {
		if r == nil {
			return
		}
		for e, err := range r.List(outbox.Filter{States: s.states}) {
			if err == nil && s.client != "" && s.client != relay.Show(e).Client {
				continue
			}
			if !yield(e, err) {
				return
			}
		}
	}
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
	s.declare(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "write lines of JSON")
	return parent(cmd, "command",
		changeRequests("retry", "Send requests again that have failed, or that are unknown",
			"retried", outboxChanger.Requeue),
		changeRequests("drop", "Forget requests that have ended", "dropped", outboxChanger.Drop),
		exportRequests())
}

func listRequestsJSON(w io.Writer, list iter.Seq2[outbox.Entry, error]) error {
	enc := human.NewEncoder(w)
	for e, err := range list {
		if err == nil {
			err = enc.Encode(relay.Show(e))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// listRequests writes a table of at most helpWidth columns, with reasons below.
func listRequests(w io.Writer, dir string, list iter.Seq2[outbox.Entry, error]) error {
	const form = "%-31s  %-9s  %8s  %5s  %s\n"
	now, n := time.Now(), 0
	for e, err := range list {
		if err != nil {
			return err
		}
		if n++; n == 1 {
			fmt.Fprintf(w, form, "ID", "STATE", "AGE", "TRIES", "REQUEST")
		}
		request := human.Printable(e.Method + " " + conceal.URL(e.URI))
		fmt.Fprintf(w, form, e.ID, e.State, human.Span(now.Sub(e.Accepted).Truncate(time.Second)),
			human.Count(e.Attempts), shorten(request, helpWidth-61))
		if e.Reason != "" && e.State != outbox.Delivered {
			if _, err := fmt.Fprintf(w, "  %s\n",
				shorten(human.Printable(e.Reason), helpWidth-2)); err != nil {
				return err
			}
		}
	}
	if n == 0 {
		_, err := fmt.Fprintf(w, "no such requests in %s\n", human.Printable(dir))
		return err
	}
	return nil
}

// shorten cuts a text to so many columns, as if each character had one.
func shorten(s string, columns int) string {
	if utf8.RuneCountInString(s) <= columns {
		return s
	}
	return string([]rune(s)[:columns-1]) + "…"
}

// An outboxChanger changes a store.
type outboxChanger interface {
	Requeue(id string) error
	Drop(id string) error
}

// changer returns what changes the store: the relay that uses it, or else the store itself.
func changer(ctx context.Context, dir string) (c outboxChanger, end func() error, err error) {
	s, err := outbox.Open(ctx, outbox.Options{Dir: dir, Interrupted: relay.Interrupted})
	if err == nil {
		return s, s.Close, nil
	}
	if fault, ok := errors.AsType[*outbox.Error](err); !ok || fault.Fault != outbox.InUse {
		return nil, nil, err
	}
	at, addressErr := relayAt(dir)
	if addressErr != nil {
		return nil, nil, fmt.Errorf("%w; %w", err, addressErr)
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: atOnce},
		Timeout: time.Minute}
	return &remoteStore{ctx, client, at}, func() error {
		client.CloseIdleConnections()
		return nil
	}, nil
}

// A remoteStore is the store of a relay that runs.
type remoteStore struct {
	ctx    context.Context
	client *http.Client
	at     string
}

func (r *remoteStore) Requeue(id string) error { return r.post(id, "retry") }
func (r *remoteStore) Drop(id string) error    { return r.post(id, "drop") }

func (r *remoteStore) post(id, action string) error {
	req, err := http.NewRequestWithContext(r.ctx, http.MethodPost,
		r.at+relay.RequestsPath+id+"/"+action, nil)
	if err != nil {
		return err
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNoContent {
		return nil
	}
	var said struct{ Detail string }
	if json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&said) != nil ||
		said.Detail == "" {

		return fmt.Errorf("the relay at %s answers %s", r.at, resp.Status)
	}
	return errors.New(said.Detail)
}

// atOnce is how many requests are changed at the same time: they share what it costs to write.
const atOnce = 32

// changeRequests is a command that does something with each of some requests.
func changeRequests(
	name, short, done string, change func(outboxChanger, string) error,
) *cobra.Command {
	var s selection
	var all bool
	cmd := &cobra.Command{
		Use:   name + " {ID… | --all}",
		Short: short,
		Args: func(_ *cobra.Command, ids []string) error {
			switch {
			case len(ids) == 0 && !all:
				return errors.New("which requests? Give their IDs, or --all for those that have " +
					"failed")
			case len(ids) > 0 && (all || s.states != nil || s.client != ""):
				return errors.New("IDs, and --all, --state or --client: leave out one of them")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, ids []string) error {
			if s.states == nil {
				s.states = []outbox.State{outbox.Failed}
			}
			r, dir, err := s.open()
			if err != nil {
				return err
			}
			defer r.Close()
			if r == nil {
				return fmt.Errorf("no requests are stored in %s", human.Printable(dir))
			}
			if all {
				for e, err := range s.list(r) {
					if err != nil {
						return local(err)
					}
					ids = append(ids, e.ID)
				}
			}
			r.Close()
			c, end, err := changer(cmd.Context(), dir)
			if err != nil {
				return local(err)
			}
			n := changeEach(cmd.ErrOrStderr(), ids, func(id string) error { return change(c, id) })
			fmt.Fprintf(cmd.OutOrStdout(), "%s of %s %s\n", human.Count(n),
				human.Plural(len(ids), "request"), done)
			if err := end(); err != nil {
				return local(err)
			}
			if n < len(ids) {
				return &exit.Error{Status: exit.Failed}
			}
			return nil
		},
	}
	s.declare(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "all that have failed, or those in --state")
	return cmd
}

// changeEach calls change for each ID, says what fails, and returns how many did not.
func changeEach(w io.Writer, ids []string, change func(string) error) (done int) {
	errs := make([]error, len(ids))
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(atOnce, len(ids)) {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(ids); i = int(next.Add(1)) - 1 {
				errs[i] = change(ids[i])
			}
		})
	}
	group.Wait()
	for i, err := range errs {
		if err == nil {
			done++
			continue
		}
		fmt.Fprintf(w, "penstock: %s: %s\n", human.Printable(ids[i]),
			human.Printable(status.Plain(err)))
	}
	return done
}

// An exported is a stored request with all that was stored of it.
type exported struct {
	relay.Shown
	Headers http.Header `json:"headers"`
	Key     string      `json:"idempotency_key,omitempty"`
	Body    string      `json:"body,omitempty"`
	Base64  []byte      `json:"body_base64,omitempty"` // in place of Body if that is no text
	File    string      `json:"body_file,omitempty"`   // in place of both
	Error   string      `json:"error,omitempty"`       // why there is no body
}

func exportRequests() *cobra.Command {
	var s selection
	cmd := &cobra.Command{
		Use:   "export {DIR | -}",
		Short: "Write requests with their bodies",
		Long: `Write requests with their bodies: to standard output as lines of JSON, or to a new
directory as requests.ndjson and a file for each body. What was delivered has no
body any more.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("where to? Give a new directory, or - for standard output")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			r, _, err := s.open()
			if err != nil {
				return err
			}
			defer r.Close()
			out, dir := cmd.OutOrStdout(), ""
			if args[0] != "-" {
				dir = args[0]
				if err := os.Mkdir(dir, 0o700); err != nil {
					return local(err)
				}
				f, err := os.OpenFile(filepath.Join(dir, "requests.ndjson"),
					os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
				if err != nil {
					return local(err)
				}
				defer f.Close()
				out = f
			}
			enc := human.NewEncoder(out)
			for e, err := range s.list(r) {
				var line exported
				if err == nil {
					line, err = exportOne(r, e, dir)
				}
				if err == nil {
					err = enc.Encode(line)
				}
				if err != nil {
					return local(err)
				}
			}
			return nil
		},
	}
	s.declare(cmd)
	return cmd
}

// exportOne returns a request as it is written. Its body goes to a file in dir, if there is one.
func exportOne(r *outbox.Reader, e outbox.Entry, dir string) (exported, error) {
	line := exported{Shown: relay.Show(e), Headers: e.Header, Key: e.Key}
	if e.State == outbox.Delivered || e.Size == 0 {
		return line, nil
	}
	open, err := r.Body(e.ID)
	var body io.ReadCloser
	if err == nil {
		body, err = open()
	}
	if err != nil { // of this one request
		line.Error = status.Plain(err)
		return line, nil
	}
	defer body.Close()
	if dir != "" {
		line.File = e.ID
		f, err := os.OpenFile(filepath.Join(dir, e.ID), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return line, err
		}
		_, err = io.Copy(f, body)
		return line, errors.Join(err, f.Close())
	}
	data, err := io.ReadAll(body)
	if utf8.Valid(data) && !slices.Contains(data, 0) && !bytes.ContainsRune(data, utf8.RuneError) {
		line.Body = string(data)
	} else {
		line.Base64 = data
	}
	return line, err
}
