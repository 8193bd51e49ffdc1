package main

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/outbox"
	"github.com/penstock/penstock/internal/relay"
	"github.com/penstock/penstock/internal/test"
)

// A second relay works without the default store, and says which process uses it.
func TestSecondRelay(t *testing.T) {
	state := t.TempDir()
	t.Setenv(stateVar, state)
	open := func(dir string, async ...string) (*outbox.Store, string, error) {
		var log strings.Builder
		f := storeFlags{dir: dir}
		o := relay.Options{Log: slog.New(slog.NewTextHandler(&log, nil)), Async: async}
		err := f.open(t.Context(), &o, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8429})
		return o.Store, log.String(), err
	}
	first, log, err := open("")
	test.OK(t, err)
	if first == nil || log != "" {
		t.Fatalf("the first: %v, %s", first, log)
	}
	dir := filepath.Join(state, "relay")
	if at, err := relayAt(dir); err != nil || at != "http://127.0.0.1:8429" {
		t.Errorf("it is at %s, %v", at, err)
	}
	second, log, err := open("")
	if second != nil || err != nil || !strings.Contains(log, "is in use by another relay") ||
		!strings.Contains(log, "sent at once") {

		t.Errorf("the second: %v, %v, %s", second, err, log)
	}
	for _, args := range [][]string{{dir}, {"", "POST"}} {
		_, _, err := open(args[0], args[1:]...)
		if e, ok := err.(*exit.Error); !ok || e.Status != exit.InUse {
			t.Errorf("%q: %v", args, err)
		}
	}
	if none, log, err := open(noStore); none != nil || log != "" || err != nil {
		t.Errorf("none: %v, %s, %v", none, log, err)
	}
	test.OK(t, first.Close())
	s, err := outbox.Open(context.Background(), outbox.Options{Dir: dir})
	test.OK(t, err)
	test.OK(t, s.Close())
}
