package fair

import (
	"math"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock/throttle"
)

// What a client is told is what it waits: at a rate exactly, and in flight to less than the time
// that a request takes.
func TestEstimateIsHonest(t *testing.T) {
	const takes = 150 * ms
	for name, c := range map[string]struct {
		limits    throttle.Limits
		tolerance time.Duration
	}{
		"rate":      {throttle.Limits{Rate: 20, Fixed: true}, 0},
		"slow rate": {throttle.Limits{Rate: 0.5, Fixed: true}, 0},
		"in flight": {throttle.Limits{InFlight: 8, Fixed: true}, takes},
		"one":       {throttle.Limits{InFlight: 1, Fixed: true}, takes},
		"both":      {throttle.Limits{Rate: 10, InFlight: 1, Fixed: true}, takes},
		"other way": {throttle.Limits{Rate: 4, InFlight: 1, Fixed: true}, 0},
	} {
		for _, client := range []string{"a", "b", "c", "new"} {
			t.Run(name+"/"+client, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, c.limits, takes, nil)
					for client, n := range map[string]int{"a": 60, "b": 25, "c": 22} {
						for range n {
							w.start(t.Context(), client, "/")
						}
					}
					time.Sleep(910 * ms)
					synctest.Wait()
					told := w.Estimate(host, client)
					var trace Trace
					if err := w.call(WithTrace(t.Context(), &trace), client, "/"); err != nil {
						t.Error(err)
					}
					waited := trace.Times().Queue
					if told < 0 || (told-waited).Abs() > c.tolerance {
						t.Errorf("told %v, waited %v", told, waited)
					}
					w.idle()
				})
			})
		}
	}
}

// Before anything waits a request leaves at once, or when the next token falls due, or when a pause
// ends.
func TestEstimateOfNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, throttle.Limits{Rate: 1, InFlight: 1, Fixed: true}, 400*ms, nil)
		want := func(want time.Duration) {
			t.Helper()
			if got := w.Estimate(host, ""); got != want {
				t.Errorf("at %v: %v, want %v", time.Since(w.begin), got, want)
			}
		}
		want(0) // nothing was sent there
		w.start(t.Context(), "a", "/")
		time.Sleep(300 * ms)
		want(-1) // nothing has answered
		time.Sleep(300 * ms)
		want(400 * ms)
		time.Sleep(600 * ms)
		want(0)
		w.base.Upstream(host).Pause(time.Now().Add(time.Minute), "test")
		want(time.Minute)
		w.start(t.Context(), "a", "/")
		want(time.Minute + time.Second)
		w.idle()
	})
}

func TestOutlook(t *testing.T) {
	now := time.Now()
	in := func(d time.Duration) time.Time { return now.Add(d) }
	limited := func(s throttle.UpstreamStats) throttle.UpstreamStats {
		if s.Rate == 0 {
			s.Rate = rate.Inf
		}
		if s.Limit == 0 {
			s.Limit = math.MaxInt
		}
		return s
	}
	for name, c := range map[string]struct {
		o    outlook
		s    throttle.UpstreamStats
		want time.Duration
	}{
		"nothing in the way": {outlook{}, throttle.UpstreamStats{}, 0},
		"no limit, paused": {outlook{ahead: 9}, throttle.UpstreamStats{Paused: in(time.Hour)},
			time.Hour},
		"rate": {outlook{waiting: true, ahead: 3, given: in(-30 * ms)},
			throttle.UpstreamStats{Rate: 10}, 370 * ms},
		"a burst is there": {outlook{given: in(-30 * ms)},
			throttle.UpstreamStats{Rate: 10, Limits: throttle.Limits{Burst: 5}}, 0},
		"a burst is used up": {outlook{waiting: true, ahead: 1, given: in(-30 * ms)},
			throttle.UpstreamStats{Rate: 10, Limits: throttle.Limits{Burst: 5}}, 170 * ms},
		"hardly a rate": {outlook{given: now},
			throttle.UpstreamStats{Rate: math.SmallestNonzeroFloat64}, forever},
		"a place is free": {outlook{}, throttle.UpstreamStats{Limit: 4, InFlight: 3}, 0},
		"no place, unknown": {outlook{ahead: 4}, throttle.UpstreamStats{Limit: 4, InFlight: 4},
			-1},
		"no place": {outlook{ahead: 4},
			throttle.UpstreamStats{Limit: 4, InFlight: 4, Latency: time.Second}, 1250 * ms},
		"slower than its latency": {outlook{ahead: 4, spacing: time.Second},
			throttle.UpstreamStats{Limit: 4, InFlight: 4, Latency: time.Second}, 5 * time.Second},
		"slower than its rate": {outlook{ahead: 4, spacing: time.Second, given: now},
			throttle.UpstreamStats{Rate: 10}, 4100 * ms},
		"down": {outlook{}, throttle.UpstreamStats{Phase: throttle.PhaseDown}, -1},
		"down, and tried soon": {outlook{ahead: 9}, throttle.UpstreamStats{
			Phase: throttle.PhaseDown, Limit: 1, Probe: in(8 * time.Second)}, 8 * time.Second},
		"down, and tried now": {outlook{}, throttle.UpstreamStats{Phase: throttle.PhaseDown,
			Probe: in(-time.Second)}, -1},
		"down, but it said when": {outlook{ahead: 1, spacing: time.Second},
			throttle.UpstreamStats{Phase: throttle.PhaseDown, Paused: in(time.Minute)},
			61 * time.Second},
		"holding back": {outlook{}, throttle.UpstreamStats{Phase: throttle.PhaseHoldingBack,
			Probe: in(2 * time.Second)}, 2 * time.Second},
		"long past": {outlook{given: in(-time.Hour)}, throttle.UpstreamStats{Rate: 1,
			Paused: in(-time.Hour)}, 0},
	} {
		if got := c.o.wait(limited(c.s), now); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// The pace is that of full rounds, and without pauses.
func TestPaceMean(t *testing.T) {
	var p pace
	s := throttle.UpstreamStats{Limit: 8}
	now := time.Now()
	p.add(now, s)
	if got := p.mean(); got != 0 {
		t.Errorf("after one turn: %v", got)
	}
	for range 40 {
		now = now.Add(time.Second + time.Minute)
		s.Waited.CoolDown += 40 * time.Second
		s.Waited.Down += 20 * time.Second
		for range 8 {
			p.add(now, s)
		}
	}
	if got := p.mean(); got < 110*ms || got > 140*ms {
		t.Errorf("%v, want about 125ms", got)
	}
}

// Upstreams for which nothing waits are forgotten beyond a number.
func TestQueuesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, throttle.Limits{}, 0, nil)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.Transport.mu.Lock()
		defer w.Transport.mu.Unlock()
		busy := w.queueLocked("busy")
		busy.cancel = func() {}
		for i := range 10_000 {
			w.queueLocked(strconv.Itoa(i))
			if n := len(w.Transport.mu.queues); n > mostIdle {
				t.Fatalf("%d are remembered", n)
			}
		}
		if w.queueLocked("busy") != busy {
			t.Error("one for which something waits was forgotten")
		}
	})
}
