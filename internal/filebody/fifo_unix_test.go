//go:build unix

package filebody

import "syscall"

func mkfifo(path string) error { return syscall.Mkfifo(path, 0o600) }
