package main

import (
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/penstock/penstock/internal/test"
)

// The error says what to do.
func TestListenError(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	test.OK(t, err)
	defer l.Close()
	for address, want := range map[string]string{
		l.Addr().String(): "another program listens there already",
		"192.0.2.1:8429":  "this machine has no such address",
	} {
		_, err := listen("--page", address)
		if err == nil {
			t.Fatalf("%s can be listened on", address)
		}
		if text := err.Error(); !strings.HasPrefix(text, "--page "+address+": "+want) {
			t.Errorf("%s: %s", address, text)
		}
	}
	err = &net.OpError{Op: "listen", Net: "tcp", Err: os.NewSyscallError("bind", syscall.EACCES)}
	if text := listenError("--page", "127.0.0.1:80", err).Error(); !strings.Contains(text,
		"a port above 1023") {
		t.Error(text)
	}
}
