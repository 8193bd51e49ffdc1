package clientconn

import "golang.org/x/sys/unix"

// hungUp reports whether the other end of a connection was closed, though there be more to read.
func hungUp(fd uintptr) bool {
	const closed = unix.POLLRDHUP | unix.POLLHUP | unix.POLLERR
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0 && fds[0].Revents&closed != 0
}
