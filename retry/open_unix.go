//go:build unix

package retry

import (
	"errors"
	"os"
	"syscall"
)

// openFile is os.Open without the attempt to have the network poller watch the
// file, which takes five system calls and never works with a regular one.
func openFile(path string) (*os.File, error) {
	for {
		fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		if err == nil {
			return os.NewFile(uintptr(fd), path), nil
		}
		if !errors.Is(err, syscall.EINTR) {
			return nil, &os.PathError{Op: "open", Path: path, Err: err}
		}
	}
}
