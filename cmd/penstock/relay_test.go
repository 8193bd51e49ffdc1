package main

import (
	"net"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/test"
)

// Who cannot listen learns what to do.
func TestListenError(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	test.OK(t, err)
	defer l.Close()
	for address, want := range map[string]string{
		l.Addr().String(): "another program listens there already",
		"192.0.2.1:8429":  "this machine has no such address",
		"8429":            "want an address with a port",
	} {
		_, err := net.Listen("tcp", address)
		if err == nil {
			t.Fatalf("%s can be listened on", address)
		}
		text := listenError(address, err).Error()
		if !strings.HasPrefix(text, "--listen "+address+": "+want) {
			t.Errorf("%s: %s", address, text)
		}
	}
}
