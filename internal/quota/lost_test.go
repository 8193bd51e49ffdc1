package quota

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/test"
)

// A server that takes over and knows nothing of the last second grants a chunk or so once more,
// until the first host says what it has.
func TestFailover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		var r record
		ctx, stop := r.context(t)
		defer stop()
		hosts := r.hosts(ctx, e, 4, 100, 50)
		time.Sleep(3 * time.Second)
		begin := time.Now()
		for range 5 {
			was := e.copy()
			time.Sleep(time.Second)
			e.takeOver(was)
			time.Sleep(time.Second)
		}
		least, most := r.windows(begin, time.Now(), time.Second)
		t.Logf("%d to %d in a second", least, most)
		if least < 75 || most > 103 {
			t.Errorf("%d to %d in a second", least, most)
		}

		// What was said in that second is said again.
		version, pauses := e.m.HGet("{penstock:q}", "version"), e.m.HGet("{penstock:q}", "pauses")
		until, rate := time.Now().Add(time.Minute), per(7).Rate
		test.OK(t, hosts[0].Pause(t.Context(), until, "retry-after"))
		test.OK(t, hosts[0].Set(t.Context(), Changes{Rate: &rate}))
		time.Sleep(10 * time.Millisecond)
		for f, value := range map[string]string{
			"version": version, "rate": "100", "pauses": pauses, "pause": "0", "source": "",
		} {
			e.m.HSet("{penstock:q}", f, value)
		}
		time.Sleep(time.Second)
		s, err := hosts[1].State(t.Context())
		test.OK(t, err)
		if !near(s.Paused, until) || s.PauseSource != "retry-after" || s.Settings.Rate != 7 {
			t.Errorf("%+v", s)
		}
	})
}

// A host that goes in good order leaves its share at once, and one that is killed after a time.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		var r record
		ctx, stop := r.context(t)
		defer stop()
		hosts := r.hosts(ctx, e, 4, 100, 50)
		time.Sleep(3 * time.Second)
		test.OK(t, hosts[0].Close(context.Background()))
		test.OK(t, hosts[0].Close(context.Background()))
		if _, err := hosts[0].Lease(t.Context(), 1); err == nil {
			t.Error("a lease of a quota that was closed")
		}
		time.Sleep(time.Second)
		begin := time.Now()
		time.Sleep(3 * time.Second)
		if least, most := r.windows(begin, time.Now(), time.Second); least < 99 || most > 101 {
			t.Errorf("%d to %d in a second without one", least, most)
		}

		hosts[1].cancel() // it says nothing more, and sends nothing
		hosts[1].mu.Lock()
		hosts[1].mu.closed = true
		hosts[1].mu.Unlock()
		time.Sleep(10 * time.Second)
		begin = time.Now()
		time.Sleep(20 * time.Second)
		if least, most := r.windows(begin, time.Now(), time.Second); least < 65 || most > 68 {
			t.Errorf("%d to %d in a second while one may be sending by itself", least, most)
		}
		time.Sleep(6 * time.Second)
		begin = time.Now()
		time.Sleep(3 * time.Second)
		if least, most := r.windows(begin, time.Now(), time.Second); least < 99 || most > 101 {
			t.Errorf("%d to %d in a second without two", least, most)
		}
	})
}
