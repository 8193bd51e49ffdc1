package send

import (
	"context"
	"time"

	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/internal/upstream"
)

// awaitReader waits, before anything new is sent, until the reader of the results has read most of
// them.
func (r *run) awaitReader(ctx context.Context) error {
	if r.Results == nil || !r.Results.Full() {
		return nil
	}
	r.unread.Store(true)
	defer r.unread.Store(false)
	warn := time.AfterFunc(upstream.DownAfter, func() {
		r.Log.Warn(status.ResultsUnread)
	})
	defer warn.Stop()
	return r.Results.Room(ctx)
}

// LastWords is how long output waits for its reader once the user has asked to stop: the results of
// a run that is broken off, and what is written for people.
const LastWords = time.Second

// closeResults waits until the results are written. That takes as long as their reader likes,
// unless the run is broken off.
func (r *run) closeResults(ctx context.Context) {
	if r.Results == nil {
		return
	}
	warn := time.AfterFunc(upstream.DownAfter, func() {
		r.Log.Warn(status.ResultsWait)
	})
	defer warn.Stop()
	brokenOff := ctx
	ctx, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	defer context.AfterFunc(brokenOff, func() { time.AfterFunc(LastWords, giveUp) })()
	// What an earlier run has left in the file is not this run's, also if this one had nothing to
	// do.
	_ = r.Results.Flush(ctx) // Close returns its error too
	if err := r.Results.Close(ctx); err != nil {
		r.noResults(err)
	}
}
