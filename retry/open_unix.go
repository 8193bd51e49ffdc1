//go:build unix

package retry

import (
	"io"
	"os"
	"syscall"
)

// openFile is os.Open without the attempt to have the network poller watch the
// file, which takes five system calls and never works with a regular one.
func openFile(path string) (*os.File, error) {
	fd, err := open(path)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

func open(path string) (fd int, err error) {
	for {
		fd, err = syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		switch err {
		case nil:
			return fd, nil
		case syscall.EINTR:
		default:
			return -1, &os.PathError{Op: "open", Path: path, Err: err}
		}
	}
}

// readFile fills data from the beginning of a file. A file that is shorter is an [io.ErrUnexpectedEOF].
// That it goes without an *os.File, which has a finalizer and a lock, matters where files are small.
func readFile(path string, data []byte) error {
	fd, err := open(path)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	for len(data) > 0 {
		n, err := syscall.Read(fd, data)
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil:
			return &os.PathError{Op: "read", Path: path, Err: err}
		case n == 0:
			return io.ErrUnexpectedEOF
		}
		data = data[n:]
	}
	return nil
}
