package results

import (
	"context"
	"time"
)

// warnAfter is how long a reader is waited for before that is worth a word.
const warnAfter = 2 * time.Second

// LastWords is how long output waits for its reader once the user has asked to stop: the results of
// a run that is broken off, and what is written for people.
const LastWords = time.Second

// AwaitRoom is [Writer.Room] for before new work. If that takes long, it calls warn.
func (r *Writer) AwaitRoom(ctx context.Context, warn func()) error {
	if !r.Full() {
		return nil
	}
	r.awaited.Store(true)
	defer r.awaited.Store(false)
	defer time.AfterFunc(warnAfter, warn).Stop()
	return r.Room(ctx)
}

// IsAwaited reports whether AwaitRoom waits for the reader.
func (r *Writer) IsAwaited() bool { return r.awaited.Load() }

// Finish writes what is buffered and closes the file. That takes as long as the reader likes, or
// until [LastWords] after the end of ctx. If it takes long, it calls warn.
func (r *Writer) Finish(ctx context.Context, warn func()) error {
	defer time.AfterFunc(warnAfter, warn).Stop()
	brokenOff := ctx
	ctx, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	defer context.AfterFunc(brokenOff, func() { time.AfterFunc(LastWords, giveUp) })()
	// What an earlier run has left in the file is not this run's, also if this one had nothing to
	// do.
	_ = r.Flush(ctx) // Close returns its error too
	return r.Close(ctx)
}
