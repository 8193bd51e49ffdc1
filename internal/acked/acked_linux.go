package acked

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// ofKernel asks the kernel.
func ofKernel(conn net.Conn) (bytes int64, ok bool) {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return 0, false
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, false
	}
	var info *unix.TCPInfo
	failed := raw.Control(func(fd uintptr) {
		info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	})
	if failed != nil || err != nil {
		return 0, false
	}
	// A kernel that does not know the field leaves it zero.
	return int64(info.Bytes_acked), info.Bytes_acked > 0
}
