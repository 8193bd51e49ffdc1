package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"syscall"
	"time"

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

// lookupTimeout is how long it is tried to find out whether a name is this machine's.
const lookupTimeout = 2 * time.Second

// isSelf reports whether what is sent to u arrives at a listener of our own. A name that is not
// found out in time is taken for another's.
func isSelf(ctx context.Context, u *url.URL, at net.Addr) bool {
	own, ok := at.(*net.TCPAddr)
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	if !ok || port != strconv.Itoa(own.Port) {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	addrs, _ := net.DefaultResolver.LookupIPAddr(ctx, u.Hostname())
	return slices.ContainsFunc(addrs, func(a net.IPAddr) bool {
		switch {
		case a.IP.Equal(own.IP), a.IP.IsUnspecified():
			return true
		case !own.IP.IsUnspecified():
			return false
		}
		ours, _ := net.InterfaceAddrs()
		return a.IP.IsLoopback() || slices.ContainsFunc(ours, func(our net.Addr) bool {
			n, ok := our.(*net.IPNet)
			return ok && n.IP.Equal(a.IP)
		})
	})
}

// isLoopback reports whether only this machine can reach an address.
func isLoopback(a net.Addr) bool {
	addr, ok := a.(*net.TCPAddr)
	return !ok || addr.IP.IsLoopback()
}
