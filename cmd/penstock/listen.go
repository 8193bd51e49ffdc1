package main

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/human"
)

// address is where to listen, as in the example. Without a host it is this machine's own address.
func address(to *string, example string) *value[string] {
	return newValue(to, "ADDRESS", func(s string) (string, error) {
		host, port, err := net.SplitHostPort(s)
		if err != nil || port == "" {
			return "", errors.New("want an address with a port, such as " + example)
		}
		if host == "" {
			host = "127.0.0.1"
		}
		return net.JoinHostPort(host, port), nil
	})
}

// listen listens at the address that a flag gives.
func listen(flag, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, &exit.Error{Status: exit.Failed, Err: listenError(flag, address, err)}
	}
	return l, nil
}

// listenError says why it cannot be listened at an address, and what to do.
func listenError(flag, address string, err error) error {
	what := flag + " " + human.Printable(address) + ": "
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return errors.New(what + "another program listens there already, perhaps penstock itself: " +
			"end it, or give another port")
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return errors.New(what + "this machine has no such address: give one of its own, such as " +
			"127.0.0.1")
	case errors.Is(err, syscall.EACCES):
		return errors.New(what + "not everybody may listen there: give a port above 1023")
	}
	return fmt.Errorf("%s%w", what, err)
}

// isLoopback reports whether only this machine can reach an address.
func isLoopback(a net.Addr) bool {
	addr, ok := a.(*net.TCPAddr)
	return !ok || addr.IP.IsLoopback()
}
