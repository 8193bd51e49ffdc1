package relay

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/penstock/penstock/internal/clientconn"
	"github.com/penstock/penstock/internal/conceal"
	"github.com/penstock/penstock/internal/hosts"
	"github.com/penstock/penstock/internal/parking"
	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/internal/status"
)

const (
	// headTimeout is how long a client may take for the head of a request, and headBytes how long
	// that may be: as much as the usual servers behind it take.
	headTimeout = 10 * time.Second
	headBytes   = 64 << 10

	// idleTimeout is how long a connection is kept without a request: longer than those of clients,
	// which then close first, and no request meets a connection that is just being closed.
	idleTimeout = 3 * time.Minute

	// lastWrites is how long the last answers may take to be written, when they are complete.
	lastWrites = time.Second

	look      = time.Second      // how often the state is looked at
	tell      = 30 * time.Second // how often there is a line while there is traffic
	firstTell = 5 * time.Second  // when the first of these is written
	queue     = 10 * time.Second // a wait that is worth a line
)

// Serve serves until soft ends. Then it takes nothing new, and lets what was accepted end within
// StopTimeout. The end of ctx ends that at once. It returns when nothing is left running.
func (r *Relay) Serve(ctx, soft context.Context, l net.Listener) (Stats, error) {
	defer func() { r.view.ended.Store(new(time.Now())) }()
	soft, stop := context.WithCancelCause(soft)
	defer stop(nil)
	defer context.AfterFunc(r.control.drained, func() {
		stop(context.Cause(r.control.drained))
	})()
	r.hosts = hosts.New(r.Hosts, l.Addr())
	base, breakOff := context.WithCancelCause(context.WithoutCancel(ctx))
	defer breakOff(nil)
	r.base, r.soft = base, soft
	r.lot = parking.NewLot(func() {
		r.tally.lose()
		r.tally.end()
	})
	s := &http.Server{
		Handler:           r,
		ReadHeaderTimeout: headTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    headBytes,
		BaseContext:       func(net.Listener) context.Context { return base },
		ConnContext:       clientconn.With,
		ErrorLog:          log.New(conceal.NetLog(r.Log), "", 0),
	}
	endDelivery := r.stored.Start(base)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	parked := make(chan error, 1)
	go func() { parked <- s.Serve(r.lot) }()
	defer func() {
		_ = s.Close()
		<-parked
	}()

	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			r.watch(now)
			continue
		case err := <-served:
			stats := r.Stats(time.Now())
			endDelivery()
			return stats, err
		case <-soft.Done():
		}
		break
	}
	r.drain(ctx, soft, breakOff, ticker)
	writing, written := context.WithTimeout(ctx, lastWrites)
	_ = s.Shutdown(writing)
	written()
	_ = s.Close()
	endDelivery()
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return r.Stats(time.Now()), err
	}
	_ = r.cache.Close() // its errors are those of fetches that nobody waits for
	r.transport.CloseIdleConnections()
	now := time.Now()
	stats := r.Stats(now)
	if r.JSON {
		r.line(now, stats)
	}
	return stats, nil
}

// drain lets the requests that were accepted end.
func (r *Relay) drain(
	ctx, soft context.Context, breakOff context.CancelCauseFunc, ticker *time.Ticker,
) {
	r.stopping.Store(true)
	r.stored.Stop()
	mayFinish := r.tally.stats().Active + r.stored.Flying()
	r.Log.Info(status.RelayStops(context.Cause(soft), mayFinish, r.StopTimeout))
	over := time.NewTimer(r.StopTimeout)
	defer over.Stop()
	ticker.Reset(look / 20)
	ended, broken := ctx.Done(), false
	for r.active() > 0 {
		select {
		case now := <-ticker.C:
			r.showEnd(now)
			continue
		case <-over.C:
			r.Log.Info(status.StopTimeoutOver(r.StopTimeout))
		case <-ended:
			ended = nil
		}
		if broken { // they have had their answer, or do not read it
			return
		}
		broken = true
		r.client.Stop(errStopping)
		r.transport.Stop(errStopping) // which ends the waits of those that are parked
		breakOff(errStopping)
		over.Reset(time.Second)
	}
}

// active returns how many requests are under way.
func (r *Relay) active() int { return r.tally.stats().Active + r.stored.Active() }

// Stats returns what the relay has done, and does.
func (r *Relay) Stats(now time.Time) Stats {
	s := r.tally.stats()
	s.Uptime = now.Sub(r.started)
	cached := r.cache.Stats()
	s.Cached = cached.Hits + cached.Stale
	for _, key := range r.view.keys {
		q := r.fair.Queue(key)
		s.Waiting += q.Waiting
		s.Clients += q.Clients
		s.Oldest = max(s.Oldest, progress.Round(q.Oldest.Seconds(), 3))
	}
	s.InFlight, _ = r.servers.InFlight()
	if r.Store != nil {
		st := r.Store.Stats()
		s.StoreWaiting, s.StoreFailed = st.Waiting+st.Sending, st.Failed+st.Unknown
	}
	return s
}

// line writes the state as a line of JSON, of the same form as those of send.
func (r *Relay) line(now time.Time, s Stats) {
	line, err := json.Marshal(struct {
		Type    string    `json:"type"`
		Time    time.Time `json:"time"`
		Elapsed float64   `json:"elapsed_seconds"`
		Stats
	}{"progress", now.UTC().Round(time.Millisecond), progress.Round(s.Uptime.Seconds(), 3), s})
	if err == nil {
		r.Lines(line)
	}
}
