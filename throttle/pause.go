package throttle

import "time"

// suspendCheck is how often a paused line looks whether the machine was suspended: timers do not
// advance meanwhile, but a pause does.
const suspendCheck = 10 * time.Second

// A pause has a length, not an end on the wall clock, which may be set meanwhile.
type pause struct {
	until     time.Time     // when it ends, for people; if zero, there is none
	end       time.Duration // when it ends, if the machine is not suspended
	suspended time.Duration // how long the machine had been when it began
	source    string        // who asked for it
	own       bool          // nobody did
}

// pause reports whether the pause is now the one that holds. One of our own is waited for however
// long it is.
func (l *line) pause(until time.Time, source string, own bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	// The lengths of two that end at the same instant differ by the time between two looks at the
	// clock.
	left := until.Sub(l.clock())
	if left <= 0 || until.Equal(l.mu.pause.until) || left <= l.pausedLocked() {
		return false
	}
	now := l.mu.now()
	l.mu.unreserve(now)
	l.mu.pause = pause{until, now + min(left, never-now), l.asleep(), source, own}
	if err := l.refusalLocked(); err != nil {
		l.mu.queue.stop(err)
		l.mu.shrink()
	}
	l.settleLocked()
	return true
}

// refusalLocked returns why no caller waits. It requires that mu is held.
func (l *line) refusalLocked() error {
	if l.mu.err != nil {
		return l.mu.err
	}
	if l.maxPause > 0 && !l.mu.pause.own && l.pausedLocked() > l.maxPause {
		return &PausedError{Until: l.untilLocked(), Source: l.mu.pause.source}
	}
	return nil
}

// pausedUntil returns when the pause in force ends and who asked for it, or zeros.
func (l *line) pausedUntil() (time.Time, string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	until := l.untilLocked()
	if until.IsZero() {
		return until, ""
	}
	return until, l.mu.pause.source
}

// paused reports whether a pause is in force.
func (l *line) paused() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pausedLocked() > 0
}

// resume ends a pause now.
func (l *line) resume() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pausedLocked() > 0 {
		l.resumeLocked(l.mu.now())
		l.settleLocked()
	}
}

// pausedLocked returns how long the pause still lasts; 0 if there is none. It requires that mu is
// held.
func (l *line) pausedLocked() time.Duration {
	p := &l.mu.pause
	if p.until.IsZero() {
		return 0
	}
	now, slept := l.mu.now(), l.asleep()-p.suspended
	if slept < time.Second { // what is less is an error of measurement
		slept = 0
	}
	left := p.end - now - slept
	if left > 0 {
		return left
	}
	end := p.end // not when somebody came to look
	if slept > 0 {
		end = now
	}
	l.resumeLocked(end)
	return 0
}

// untilLocked returns when the pause ends by the wall clock as it is now, or the zero Time. It
// requires that mu is held.
func (l *line) untilLocked() time.Time {
	left := l.pausedLocked()
	if left == 0 {
		return time.Time{}
	}
	p := &l.mu.pause
	if until := l.clock().Add(left); p.end != never &&
		until.Round(0).Sub(p.until.Round(0)).Abs() > time.Second {
		p.until = until // the clock was set, or the machine suspended
	}
	return p.until
}

// resumeLocked ends the pause at the given instant. Tokens that were gathered in it are not given
// out. It requires that mu is held.
func (l *line) resumeLocked(end time.Duration) {
	l.mu.pause.until = time.Time{}
	l.mu.forget(end)
}
