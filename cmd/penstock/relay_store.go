package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/penstock/penstock/internal/courier"
	"github.com/penstock/penstock/internal/outbox"
	"github.com/penstock/penstock/internal/relay"
	"github.com/penstock/penstock/internal/statedir"
	"github.com/penstock/penstock/internal/status"
)

const noStore = "none"

// storeFlags are the flags of relay about requests that are sent later.
type storeFlags struct {
	dir      string
	requests int
	address  string // the file that says where the relay is
}

func (f *storeFlags) declare(flags *pflag.FlagSet, o *relay.Options) {
	flags.Var(severalValues(&o.Async, "METHODS", readMethods), "async",
		"store all requests of these methods, with commas: POST,PUT (default those with Prefer: "+
			"respond-async)")
	flags.BoolVar(&o.Idempotent, "idempotent", false,
		"give each stored POST and PATCH an Idempotency-Key, which makes it safe to repeat them; "+
			"the server has to know such keys")
	flags.BoolVar(&o.InOrder, "in-order", false,
		"send a program's stored requests one after another; one that fails holds up the rest")
	flags.Var(duration(&o.Keep).or("7d"), "keep",
		"how long results can be asked for; what was not delivered stays until it is retried or "+
			"dropped")
	flags.Var(text(&f.dir, "DIR"), "store",
		"where requests are stored (default in the state directory, but not for a practice "+
			"server); none stores nothing")
	flags.Var(newValue(&f.requests, "N", wholeNumber(math.MaxInt32, "")).or("1000000"),
		"store-requests", "requests that may be stored and not delivered")
	flags.Var(size(&o.StoreBytes).or("4GiB"), "store-bytes", "bytes of their bodies")
}

// readMethods reads methods whose requests can be stored.
func readMethods(before []string, s string) ([]string, error) {
	for name := range strings.SplitSeq(s, ",") {
		name = strings.ToUpper(strings.TrimSpace(name))
		switch name {
		case "GET", "HEAD", "OPTIONS", "TRACE", "CONNECT":
			return nil, valueError(": " + name + " is always answered at once: want methods such " +
				"as POST,PUT")
		}
		if strings.Trim(name, nameLetters) != "" || name == "" {
			return nil, valueError(fmt.Sprintf(" %q: want methods such as POST,PUT", s))
		}
		before = append(before, name)
	}
	return before, nil
}

// storeDir returns where stored requests are: dir if that is given.
func storeDir(dir string) (string, error) {
	if dir != "" {
		return dir, nil
	}
	state, err := statedir.Dir()
	return filepath.Join(state, "relay"), err
}

// open opens the store. If the default one cannot be opened, the relay does the rest without it.
func (f *storeFlags) open(ctx context.Context, o *relay.Options, at net.Addr) error {
	given := f.dir != ""
	switch {
	case f.dir == noStore && len(o.Async) > 0:
		return errors.New("--async stores requests, and --store none does not: leave out one of them")
	case f.dir == noStore:
		return nil
	}
	dir, err := storeDir(f.dir)
	if err == nil {
		o.Store, err = outbox.Open(ctx, outbox.Options{
			Dir: dir, MaxRequests: int64(f.requests), MaxBytes: o.StoreBytes, InOrder: o.InOrder,
			Interrupted: courier.Interrupted,
			Warn:        func(text string) { o.Log.Warn(text) },
		})
	}
	switch {
	case err != nil && (given || len(o.Async) > 0 || ctx.Err() != nil):
		return local(err)
	case err != nil:
		o.Log.Warn(status.NoStore(err))
		return nil
	}
	// Other commands change the store through the relay.
	f.address = filepath.Join(dir, addressFile)
	if err := os.WriteFile(f.address, []byte(at.String()), 0o600); err != nil {
		o.Log.Warn(status.Plain(err))
	}
	return nil
}

const addressFile = "address"

func (f *storeFlags) close() {
	if f.address != "" {
		os.Remove(f.address)
	}
}

// relayAt returns the URL of the relay that has the store, as its address says.
func relayAt(dir string) (string, error) {
	data, err := os.ReadFile(filepath.Join(dir, addressFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", errors.New("the relay that uses it is just starting or stopping: try again")
	}
	if err != nil {
		return "", err
	}
	host, port, err := net.SplitHostPort(string(data))
	if err != nil {
		return "", err
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port), nil
}
