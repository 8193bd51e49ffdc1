//go:build unix

package openfiles

import (
	"errors"
	"syscall"
)

// Limit returns how many files may be open at once; 0 if there is no such limit.
func Limit() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil ||
		uint64(limit.Cur) > 1<<30 {
		return 0
	}
	return int(limit.Cur)
}

// TooMany reports whether an error says that nothing more can be opened.
func TooMany(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}
