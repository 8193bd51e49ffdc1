//go:build linux || darwin

package outbox

import (
	"math"
	"syscall"
)

// freeBytes returns how much room is left on the disk that a directory is on.
func freeBytes(dir string) int64 {
	var st syscall.Statfs_t
	if syscall.Statfs(dir, &st) != nil {
		return math.MaxInt64
	}
	return int64(min(st.Bavail*uint64(st.Bsize), math.MaxInt64))
}
