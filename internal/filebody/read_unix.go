//go:build unix

package filebody

import (
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// openFile is os.Open without the attempt to have the network poller watch the file, which takes
// five system calls and never works with a regular one. It does not block.
func openFile(path string) (*os.File, error) {
	fd, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, false); err != nil { // else os.NewFile would have it watched
		unix.Close(fd)
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// openRegular opens what was a regular file when it was looked at. If it is known to be one no
// longer, it fails with [ErrChanged].
func openRegular(path string) (fd int, err error) {
	fd, err = open(path, unix.O_NONBLOCK) // to open a pipe can block forever
	if err == nil {
		return fd, nil
	}
	info, statErr := os.Stat(path)
	switch {
	case statErr != nil:
		return -1, err
	case !info.Mode().IsRegular(): // such as a socket
		return -1, ErrChanged
	case errors.Is(err, unix.EAGAIN):
		return open(path, 0) // another program has a lease on it, which ends if it is waited for
	}
	return -1, err
}

func open(path string, flags int) (fd int, err error) {
	err = uninterrupted(func() (err error) {
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|flags, 0)
		return err
	})
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

func uninterrupted(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// readFile fills data with a file that was what info says when it was looked at. If before or after
// that it is no longer so, it fails with [ErrChanged]. That it goes without an *os.File, which has
// a finalizer and a lock, matters where files are small.
func readFile(path string, data []byte, info os.FileInfo) error {
	fd, err := openRegular(path)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := same(fd, path, info); err != nil {
		return err
	}
	for len(data) > 0 {
		var n int
		err := uninterrupted(func() (err error) {
			n, err = unix.Read(fd, data)
			return err
		})
		switch {
		case err != nil:
			return &os.PathError{Op: "read", Path: path, Err: err}
		case n == 0:
			return ErrChanged
		}
		data = data[n:]
	}
	return same(fd, path, info)
}

// same fails with [ErrChanged] if an open file is no longer what info says.
func same(fd int, path string, info os.FileInfo) error {
	var now unix.Stat_t
	if err := uninterrupted(func() error { return unix.Fstat(fd, &now) }); err != nil {
		return &os.PathError{Op: "stat", Path: path, Err: err}
	}
	was, ok := info.Sys().(*syscall.Stat_t)
	if !ok || was.Dev != now.Dev || was.Ino != now.Ino ||
		!FingerprintOf(info).Equal(Fingerprint{now.Size, time.Unix(now.Mtim.Unix())}) {
		return ErrChanged
	}
	return nil
}
