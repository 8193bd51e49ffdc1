//go:build linux || darwin

package suspend

import (
	"time"

	"golang.org/x/sys/unix"
)

// Total returns how long the machine was suspended since it was started. Differences of less than a
// second mean nothing.
func Total() time.Duration { return total(read) }

func total(read func(clock int32) time.Duration) time.Duration {
	for {
		before, all, after := read(running), read(always), read(running)
		if after-before < 100*time.Millisecond { // else this thread had to wait in between
			return all - before
		}
	}
}

func read(clock int32) time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(clock, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
