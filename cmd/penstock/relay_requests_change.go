package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/courier"
	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/outbox"
	"github.com/penstock/penstock/internal/relay"
	"github.com/penstock/penstock/internal/status"
)

// An outboxChanger changes a store.
type outboxChanger interface {
	Requeue(id string) error
	Drop(id string) error
}

// changer returns what changes the store: the relay that uses it, or else the store itself.
func changer(ctx context.Context, dir string) (c outboxChanger, end func() error, err error) {
	s, err := outbox.Open(ctx, outbox.Options{Dir: dir, Interrupted: courier.Interrupted})
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

// changeRequests is a command that does something with each of some requests in these states.
func changeRequests(
	name, short, done string, change func(outboxChanger, string) error, states ...outbox.State,
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
				return nothingStored(dir)
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
			if len(ids) == 0 {
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "nothing to %s in %s\n", name,
					human.Printable(dir))
				return local(err)
			}
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
	s.declare(cmd, states...)
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
