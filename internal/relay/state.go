package relay

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/internal/board"
	"github.com/penstock/penstock/internal/clientconn"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/internal/status"
)

const (
	mostClients = 10  // that the state names
	longName    = 100 // what is shown of the name of one
)

// A view is what the state of a relay is made of, besides what the relay works with.
type view struct {
	keys     []string // of the targets, each once
	failures board.Recent
	looking  sync.Mutex // for what is for one goroutine of upstream.Set
	ended    atomic.Pointer[time.Time]
}

// State returns what the relay does, and why it waits. It may be called concurrently.
func (r *Relay) State() board.State {
	now := time.Now()
	t := r.tally.stats()
	s := board.State{
		Command: "relay", Started: r.started, Now: now, Draining: r.stopping.Load(),
		Queue: &board.Queue{Requests: t.Requests, Answered: t.Answered, Refused: t.Refused,
			Failed: t.Failed, Lost: t.Lost, Stored: t.Stored},
		Stored: r.storedState(now), Failures: r.view.failures.List(),
	}
	r.view.looking.Lock()
	_, s.Holding = r.facts(now).Holding()
	s.Upstreams = status.Upstreams(&r.servers, now)
	r.view.looking.Unlock()
	for _, key := range r.view.keys {
		s.Paused = s.Paused || status.PausedByHand(r.transport.Upstream(key).Stats())
		q := r.fair.Queue(key)
		s.Queue.Waiting += q.Waiting
		s.Queue.Bytes += q.Bytes
		s.Queue.Oldest = max(s.Queue.Oldest, progress.Round(q.Oldest.Seconds(), 3))
	}
	s.Queue.Clients = r.waiters()
	if r.CacheBytes > 0 {
		c := r.cache.Stats()
		s.Cache = &board.Cache{Hits: c.Hits, Misses: c.Misses, Stale: c.Stale, Bytes: c.Bytes}
	}
	if ended := r.view.ended.Load(); ended != nil {
		s.Ended = *ended
	}
	return s
}

// storedState is what the page and the metrics say of stored requests; nil if none can be.
func (r *Relay) storedState(now time.Time) *board.Stored {
	if r.Store == nil {
		return nil
	}
	s := r.Store.Stats()
	b := &board.Stored{
		Waiting: s.Waiting, Bytes: s.Bytes, InFlight: int(s.Sending), Delivered: s.Delivered,
		Failed: s.Failed, Unknown: s.Unknown,
	}
	if !s.Oldest.IsZero() {
		b.Oldest = max(now.Sub(s.Oldest).Seconds(), 0)
	}
	return b
}

// facts are what the requests wait for. It requires view.looking.
func (r *Relay) facts(now time.Time) *status.Facts {
	v := r.servers.Overview(r.Limits.InFlight)
	f := &status.Facts{Overview: v, Now: now, Given: v.Limits, Heard: r.servers.Heard()}
	if r.Quota != nil {
		f.Quota = status.QuotaPart(r.Quota.Name(), r.Quota.Part())
	}
	return f
}

// waiters returns the clients with most requests waiting.
func (r *Relay) waiters() []board.Client {
	first := []board.Client{}
	for _, key := range r.view.keys {
		for _, w := range r.fair.Waiters(key, mostClients) {
			oldest := progress.Round(w.Oldest.Seconds(), 3)
			i := slices.IndexFunc(first, func(c board.Client) bool { return c.Name == w.Client })
			if i < 0 { // else it waits for several servers
				i = len(first)
				first = append(first, board.Client{Name: w.Client})
			}
			first[i].Waiting += w.Waiting
			first[i].Oldest = max(first[i].Oldest, oldest)
		}
	}
	slices.SortStableFunc(first, func(a, b board.Client) int {
		return cmp.Compare(b.Waiting, a.Waiting)
	})
	first = first[:min(len(first), mostClients)]
	for i, c := range first {
		first[i].Name = r.shown(human.Cut(clientconn.GivenName(c.Name), longName))
	}
	return first
}

// shown makes what a client sent fit to be shown.
func (r *Relay) shown(text string) string { return human.Printable(r.secrets.Hide(text)) }

// note keeps that a request has failed. What is its method and path.
func (r *Relay) note(what, why string) {
	r.view.failures.Add(board.Failure{At: time.Now(), Why: r.shown(why),
		What: r.shown(human.Cut(what, 2*longName))})
}

// Ready returns why the relay takes no requests; nil if it does.
func (r *Relay) Ready() error {
	if r.stopping.Load() {
		return errors.New(status.RelayStopping)
	}
	if r.Store == nil || r.Store.Err() == nil {
		return nil
	}
	if err := r.Store.Try(); err != nil {
		return errors.New(status.Plain(err))
	}
	return nil
}
