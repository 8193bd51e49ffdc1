package relay

import (
	"errors"
	"log/slog"
	"time"

	"github.com/penstock/penstock/internal/courier"
	"github.com/penstock/penstock/internal/outcome"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/internal/wire"
	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
)

// observe records what the transport does.
func (r *Relay) observe(e throttle.Event) {
	now := time.Now()
	r.servers.Observe(e, now)
	if r.Quota != nil {
		r.Quota.Observe(e)
	}
	switch e.Kind {
	case throttle.EventSent:
		r.tally.send()
		if retry.Attempt(e.Request.Context()) > 1 || courier.Repeats(e.Request) {
			r.tally.repeat()
		}
		if c := callOf(e.Request.Context()); c != nil {
			c.flying.Store(true)
		}
	case throttle.EventResent:
		r.tally.send()
		r.tally.repeat()
	case throttle.EventPaused:
		if e.Source == "" { // it was not asked for
			r.log(slog.LevelDebug, status.Paused(e, now))
			return
		}
		level := slog.LevelDebug
		if r.servers.Paused(e, now) {
			level = slog.LevelInfo
		}
		r.log(level, status.Paused(e, now))
	case throttle.EventChanged:
		more := r.servers.Of(e.Key).PaceChanged(e)
		r.log(slog.LevelDebug, status.PaceChanged(e, more))
	case throttle.EventEnded:
		r.judge(e, now)
	}
}

// judge records what the end of an attempt says of its target. What a client did wrong says
// nothing.
func (r *Relay) judge(e throttle.Event, now time.Time) {
	if c := callOf(e.Request.Context()); e.Err != nil && c != nil {
		if c.fault.Load() != nil {
			return
		}
		if cause, ok := errors.AsType[*wire.Cause](e.Err); ok && cause.Fault {
			c.target.wrong.Do(func() { r.Log.Warn(status.Misdirected(e.Key, cause)) })
		}
	}
	was, says, known := outcome.Of(e)
	if words := status.Refusal(was, e); words != "" {
		r.tally.trouble(was, words)
	}
	if known {
		says.Sent, says.Method = now.Add(-e.Latency), e.Request.Method
		says.Trouble = status.Trouble(e)
		r.servers.Of(e.Key).Judged(says, now)
	}
}

// retrying ends a call that would wait for too long.
func (r *Relay) retrying(e retry.Event) {
	c := callOf(e.Request.Context())
	if e.Kind != retry.EventWaiting || c == nil {
		return
	}
	c.flying.Store(false)
	setback := status.Setback(e)
	if cause, ok := errors.AsType[*wire.Cause](e.Err); ok {
		setback = status.Cause(cause)
	}
	setback = r.secrets.Hide(setback)
	c.setback.Store(&setback)
	r.log(slog.LevelDebug, status.Waiting(e.Request.Method+" "+e.Request.URL.Path, e))
	if at, why := r.expiry(c); e.Until.After(at) {
		c.cancel(why)
	}
}
