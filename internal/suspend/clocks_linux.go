package suspend

import "golang.org/x/sys/unix"

const (
	always  = unix.CLOCK_BOOTTIME
	running = unix.CLOCK_MONOTONIC
)
