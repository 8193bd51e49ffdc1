package status

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/board"
	"github.com/penstock/penstock/internal/upstream"
	"github.com/penstock/penstock/throttle"
)

// Each server has its own counts, and its own reason to wait.
func TestUpstreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := throttle.Limits{Rate: 4, InFlight: 8}
		transport := &throttle.Transport{Limits: limits}
		set := &upstream.Set{Upstream: transport.Upstream}
		if got := Upstreams(set, time.Now()); got == nil || len(got) != 0 {
			t.Errorf("without a server: %#v", got)
		}
		for _, key := range []string{"https://b.example", "https://a.example"} {
			permit, err := set.Of(key).Acquire(t.Context(), 1)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
			permit.Done(throttle.Feedback{Signal: throttle.SignalSuccess})
		}
		until := time.Now().Add(12 * time.Second)
		set.Of("https://b.example").Pause(until, "retry-after")
		got := Upstreams(set, time.Now())
		none := map[string]float64{
			"rate": 0, "concurrency": 0, "bandwidth": 0, "cool_down": 0, "down": 0,
			"quota": 0,
		}
		row := board.Upstream{Phase: "steady", Sent: 1, Accepted: 1, Latency: 0.1, Rate: 4,
			InFlightLimit: 8, Waited: none}
		a, b := row, row
		a.Name, b.Name = "https://a.example", "https://b.example"
		b.Holding, b.Paused, b.Until = "paused 12 s: Retry-After", true, until
		if diff := cmp.Diff([]board.Upstream{a, b}, got); diff != "" {
			t.Error(diff)
		}
	})
}

// A server is paused or down, and when that ends is about the one that it is.
func TestUpstreamClosed(t *testing.T) {
	now := time.Date(2026, 3, 1, 22, 0, 0, 0, time.UTC)
	soon, later := now.Add(time.Second), now.Add(time.Minute)
	for _, c := range []struct {
		stats        throttle.UpstreamStats
		paused, down bool
		until        time.Time
	}{
		{throttle.UpstreamStats{Phase: throttle.PhaseSteady, Probe: soon}, false, false,
			time.Time{}},
		{throttle.UpstreamStats{Phase: throttle.PhaseHoldingBack, Probe: soon}, false, false,
			time.Time{}},
		{throttle.UpstreamStats{Phase: throttle.PhaseDown, Probe: soon}, false, true, soon},
		{throttle.UpstreamStats{Phase: throttle.PhaseDown, Probe: now}, false, true, time.Time{}},
		{throttle.UpstreamStats{Phase: throttle.PhaseDown, Probe: soon, Paused: later}, true, false,
			later},
		{throttle.UpstreamStats{Paused: now.Add(Someday), PauseSource: ByHand}, true, false,
			time.Time{}},
	} {
		row := upstreamRow(upstream.Overview{UpstreamStats: c.stats}, now)
		if row.Paused != c.paused || row.Down != c.down || !row.Until.Equal(c.until) {
			t.Errorf("%+v: paused %v, down %v, until %v", c.stats, row.Paused, row.Down, row.Until)
		}
	}
}
