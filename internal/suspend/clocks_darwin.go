package suspend

import "golang.org/x/sys/unix"

// Not CLOCK_MONOTONIC, which is adjusted to the time of day, and drifts away from the other.
const (
	always  = unix.CLOCK_MONOTONIC_RAW
	running = unix.CLOCK_UPTIME_RAW
)
