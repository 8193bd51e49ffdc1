//go:build unix

package retry

import "syscall"

func mkfifo(path string) bool { return syscall.Mkfifo(path, 0o600) == nil }
