//go:build unix

package retry

import "golang.org/x/sys/unix"

func mkfifo(path string) bool { return unix.Mkfifo(path, 0o600) == nil }
