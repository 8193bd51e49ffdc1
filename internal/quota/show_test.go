package quota

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/penstock/penstock/internal/test"
)

// To look at a quota whose name is misspelt leaves nothing behind.
func TestShowStoresNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		q := e.host(Options{})
		_, err := q.State(t.Context())
		test.OK(t, err)
		if keys := e.m.Keys(); len(keys) != 0 {
			t.Errorf("there is %q", keys)
		}
		n := 3
		test.OK(t, q.Set(t.Context(), Changes{InFlight: &n}))
		if s, err := q.State(t.Context()); err != nil || s.Settings.InFlight != 3 {
			t.Errorf("%+v, %v", s.Settings, err)
		}
	})
}

// There may be more hosts than a function of Lua has arguments.
func TestShowMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		q := e.host(Options{})
		n := 3
		test.OK(t, q.Set(t.Context(), Changes{InFlight: &n}))
		const hosts = 3000
		for i := range hosts {
			_, err := e.m.ZAdd(q.target.keys[2], 1, fmt.Sprint("host", i))
			test.OK(t, err)
		}
		s, err := q.State(context.Background())
		if err != nil || len(s.Hosts) != hosts {
			t.Errorf("%d hosts, %v", len(s.Hosts), err)
		}
	})
}
