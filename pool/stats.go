package pool

import "log/slog"

// Stats are a pool's counts at one instant. Queued + Busy + Done + NotStarted is the number of
// accepted tasks.
type Stats struct {
	Workers    int   // goroutines, those that are to leave after their task included
	Busy       int   // tasks that run now, or whose error is with OnError now
	Queued     int   // tasks accepted and not started
	Waiting    int   // calls of Submit that wait
	Done       int64 // tasks that ran and ended, well or not
	Failed     int64 // of Done, those that failed
	Panicked   int64 // of Failed, those that panicked
	NotStarted int64 // tasks accepted and handed to OnError instead of run
}

// Stats returns the counts, all of the same instant.
func (p *Pool[T]) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{
		p.workers, p.busy, p.queued, len(p.waiters), p.done, p.failed, p.panicked, p.notStarted,
	}
}

// LogValue returns the counts that are not zero, as a group.
func (s Stats) LogValue() slog.Value {
	var attrs []slog.Attr
	for _, count := range []slog.Attr{
		slog.Int("workers", s.Workers), slog.Int("busy", s.Busy),
		slog.Int("queued", s.Queued), slog.Int("waiting", s.Waiting),
		slog.Int64("done", s.Done), slog.Int64("failed", s.Failed),
		slog.Int64("panicked", s.Panicked), slog.Int64("not_started", s.NotStarted),
	} {
		if count.Value.Int64() != 0 {
			attrs = append(attrs, count)
		}
	}
	return slog.GroupValue(attrs...)
}
