package throttle

import "time"

// A tokens is a server's token bucket.
type tokens struct {
	rate, burst, level float64
	last               time.Time
}

func (b *tokens) take(now time.Time) bool {
	b.level = min(b.burst, b.level+b.rate*now.Sub(b.last).Seconds())
	b.last = now
	if b.level < 1 {
		return false
	}
	b.level--
	return true
}
