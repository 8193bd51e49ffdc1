package send

import (
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/throttle"
)

// [progress] At every moment a run says in plain words what holds it back.
func TestWords(t *testing.T) {
	now := time.Date(2026, 3, 1, 22, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		want   progress.Limit
		words  string
		limits throttle.Limits
		stats  throttle.UpstreamStats
		wrong  string
		untold bool
		edit   func(*run)

		reached, pressed bool
	}{
		{want: progress.LimitRate, words: "held by your --rps 4",
			limits: throttle.Limits{Rate: 4}, stats: throttle.UpstreamStats{Holding: throttle.ByRate, Rate: 4}},
		{want: progress.LimitRate, words: "4 → 3.96 req/s: the server refuses at 4",
			limits: throttle.Limits{Rate: 4}, stats: throttle.UpstreamStats{Holding: throttle.ByRate, Rate: 3.96}},
		{want: progress.LimitRate, words: "more a second is refused",
			stats: throttle.UpstreamStats{Holding: throttle.ByRate, Rate: 9.8, Learned: true}},
		// After a mere outage nobody is accused.
		{want: progress.LimitRate, words: "held by your --rps 10", untold: true,
			limits: throttle.Limits{Rate: 10}, stats: throttle.UpstreamStats{Holding: throttle.ByRate, Rate: 9.95}},
		{want: progress.LimitRate, words: "10 → 5 req/s: slower after an outage", untold: true,
			limits: throttle.Limits{Rate: 10}, stats: throttle.UpstreamStats{Holding: throttle.ByRate, Rate: 5}},
		{want: progress.LimitRate, words: "slower after an outage", untold: true,
			stats: throttle.UpstreamStats{Holding: throttle.ByRate, Rate: 9.8, Learned: true}},
		{want: progress.LimitConcurrency, words: "8 → 5 in flight: fewer after an outage", untold: true,
			limits: throttle.Limits{InFlight: 8}, stats: throttle.UpstreamStats{Holding: throttle.ByConcurrency, Limit: 5}},
		{want: progress.LimitConcurrency, words: "looking for the pace: 1 in flight", untold: true,
			stats: throttle.UpstreamStats{Holding: throttle.ByConcurrency, Phase: throttle.PhaseSteady, InFlight: 1, Limit: 1}},
		{want: progress.LimitRate, words: "the quota allows no more",
			stats: throttle.UpstreamStats{Holding: throttle.ByRate, Rate: 9.8, Learned: true, Reason: "quota"}},
		{want: progress.NoLimit, words: "",
			stats: throttle.UpstreamStats{Holding: throttle.ByRate, Rate: rate.Inf}},
		{want: progress.LimitConcurrency, words: "held by your --concurrency 8",
			limits: throttle.Limits{InFlight: 8}, stats: throttle.UpstreamStats{Holding: throttle.ByConcurrency, Limit: 8}},
		{want: progress.LimitConcurrency, words: "held by your --concurrency 8", // with as many workers nobody waits
			limits: throttle.Limits{InFlight: 8}, stats: throttle.UpstreamStats{InFlight: 8, Limit: 8}},
		{want: progress.LimitConcurrency, words: "8 → 5 in flight: the server refuses more",
			limits: throttle.Limits{InFlight: 8}, stats: throttle.UpstreamStats{Holding: throttle.ByConcurrency, Limit: 5}},
		{want: progress.LimitConcurrency, words: "looking for the pace: 16 in flight",
			stats: throttle.UpstreamStats{Holding: throttle.ByConcurrency, Phase: throttle.PhaseStarting, InFlight: 16, Limit: 16}},
		{want: progress.LimitConcurrency, words: "more at once gains nothing",
			stats: throttle.UpstreamStats{Holding: throttle.ByConcurrency, Phase: throttle.PhaseSteady, InFlight: 5, Limit: 5}},
		{want: progress.LimitConcurrency, words: "256 in flight, the most without --concurrency",
			stats: throttle.UpstreamStats{Holding: throttle.ByConcurrency, Phase: throttle.PhaseStarting, InFlight: 256, Limit: 256}},
		{want: progress.LimitConcurrency, words: "holding back after 503",
			stats: throttle.UpstreamStats{Holding: throttle.ByDown, Phase: throttle.PhaseHoldingBack}, wrong: "503"},
		{want: progress.LimitConcurrency, words: "holding back after a refusal", // another file was accepted
			stats: throttle.UpstreamStats{Holding: throttle.ByDown, Phase: throttle.PhaseHoldingBack, Reason: "overloaded"}},
		{want: progress.LimitDown, words: "server down (connection refused): next try within 8 s", wrong: "connection refused",
			stats: throttle.UpstreamStats{Holding: throttle.ByDown, Phase: throttle.PhaseDown, Probe: now.Add(7100 * time.Millisecond)}},
		{want: progress.LimitDown, words: "holding back after 503: next try within 2 s",
			stats: throttle.UpstreamStats{Holding: throttle.ByDown, Phase: throttle.PhaseDown, Probe: now.Add(2 * time.Second), Changed: now}, wrong: "503"},
		{want: progress.LimitDown, words: "server down (503): trying it now",
			stats: throttle.UpstreamStats{Holding: throttle.ByDown, Phase: throttle.PhaseDown}, wrong: "503"},
		{want: progress.LimitDown, words: "reached again: sending one file to try it, --give-up-after 22:59", wrong: "connection refused", reached: true,
			stats: throttle.UpstreamStats{Holding: throttle.ByDown, Phase: throttle.PhaseDown, InFlight: 1},
			edit:  func(r *run) { r.servers["h"] = &server{patience: patience{failing: now.Add(-10 * time.Second)}} }},
		{want: progress.LimitDown, words: "server down (connection refused): next try within 8 s, --give-up-after 22:59", wrong: "connection refused",
			stats: throttle.UpstreamStats{Holding: throttle.ByDown, Phase: throttle.PhaseDown, Probe: now.Add(7100 * time.Millisecond)},
			edit:  func(r *run) { r.servers["h"] = &server{patience: patience{failing: now.Add(-10 * time.Second)}} }},
		{want: progress.LimitDown, words: "the last 3 files: 503, next try within 8 s", wrong: "503", // the others were accepted
			stats: throttle.UpstreamStats{Holding: throttle.ByDown, Phase: throttle.PhaseDown, Waiting: 3, Probe: now.Add(7100 * time.Millisecond)},
			edit:  func(r *run) { r.whole, r.accepted, r.retried = true, true, 3 }},
		{want: progress.LimitCoolDown, words: "paused 12 s: Retry-After",
			stats: throttle.UpstreamStats{Holding: throttle.ByCoolDown, Paused: now.Add(12 * time.Second), PauseSource: "retry-after"}},
		{want: progress.LimitCoolDown, words: "paused 1 s: 429",
			stats: throttle.UpstreamStats{Holding: throttle.ByCoolDown, Paused: now.Add(time.Second)}, wrong: "429"},
		{want: progress.LimitBandwidth, words: "held by your --bandwidth 10 MiB/s",
			limits: throttle.Limits{Bandwidth: 10 << 20}, stats: throttle.UpstreamStats{Holding: throttle.ByBandwidth}},
		{want: progress.LimitConcurrency, words: "held by your --workers 2",
			stats: throttle.UpstreamStats{InFlight: 2, Limit: 8}, edit: func(r *run) { r.Workers = 2 }},
		{want: progress.LimitBackoff, words: "2 files to be tried again: 500", wrong: "500",
			stats: throttle.UpstreamStats{Limit: 8}, edit: func(r *run) { r.backoff = 2 }},
		// A reason is given once.
		{want: progress.LimitBackoff, words: "1 file to be tried again: the file changed while it was sent; a is sent again from its beginning", wrong: errChanged.Error(),
			stats: throttle.UpstreamStats{Limit: 8}, edit: func(r *run) {
				r.backoff = 1
				r.moving.back, r.moving.why, r.moving.at = "a", errChanged.Error(), now
			}},
		{want: progress.LimitBackoff, words: "1 file to be tried again: 503; a is sent again from its beginning (connection lost)", wrong: "503",
			stats: throttle.UpstreamStats{Limit: 8}, edit: func(r *run) {
				r.backoff = 1
				r.moving.back, r.moving.why, r.moving.at = "a", "connection lost", now
			}},
		{want: progress.LimitConcurrency, words: "more at once is refused", pressed: true,
			stats: throttle.UpstreamStats{Holding: throttle.ByConcurrency, Phase: throttle.PhaseSteady, InFlight: 4, Limit: 4, Rate: rate.Inf}},
		{want: progress.LimitConcurrency, words: "more at once gains nothing", pressed: true, // it is the rate that it refuses
			stats: throttle.UpstreamStats{Holding: throttle.ByConcurrency, Phase: throttle.PhaseSteady, InFlight: 4, Limit: 4, Rate: 10}},
		{want: progress.NoLimit, words: "waiting for the last 3 answers",
			stats: throttle.UpstreamStats{InFlight: 3, Limit: 8}, edit: func(r *run) { r.whole = true }},
		{want: progress.NoLimit, words: "waiting for the last answer",
			stats: throttle.UpstreamStats{InFlight: 1, Limit: 8}, edit: func(r *run) { r.whole = true }},
		{want: progress.NoLimit, words: "waiting for the last 8 answers", limits: throttle.Limits{InFlight: 8},
			stats: throttle.UpstreamStats{InFlight: 8, Limit: 8}, edit: func(r *run) { r.whole = true }},
		{want: progress.NoLimit, words: "sending the last file",
			stats: throttle.UpstreamStats{InFlight: 1, Limit: 8}, edit: func(r *run) {
				r.whole = true
				r.moving.jobs = map[*job]way{{}: {conn: &stallConn{}, name: "a", size: 38 << 20}}
			}},
		{want: progress.NoLimit, words: "sending the 12 files", // there are no others
			stats: throttle.UpstreamStats{InFlight: 12, Limit: 12}, edit: func(r *run) {
				r.whole, r.read = true, 12
				r.moving.jobs = map[*job]way{{}: {conn: &stallConn{}, name: "a", size: 38 << 20}}
			}},
		{want: progress.NoLimit, words: "", // answers take that long
			stats: throttle.UpstreamStats{InFlight: 3, Limit: 8, Latency: 10 * time.Second}, edit: func(r *run) { r.heard = now.Add(-12 * time.Second) }},
		{want: progress.LimitDown, words: "no answer for 12 s",
			stats: throttle.UpstreamStats{Holding: throttle.ByRate, InFlight: 3, Limit: 8}, edit: func(r *run) { r.heard = now.Add(-12 * time.Second) }},
		{want: progress.NoLimit, words: "waiting for standard input",
			stats: throttle.UpstreamStats{InFlight: 3, Limit: 8}, edit: func(r *run) { r.Found.Partial = true }},
		{want: progress.NoLimit, words: "", stats: throttle.UpstreamStats{InFlight: 3, Limit: 8}},
	} {
		onFakeTime(t, 0, nil, func(w *world) {
			w.Limits = c.limits
			r := newRun(w.Options)
			if c.edit != nil {
				c.edit(r)
			}
			limit, words := r.holding(view{UpstreamStats: c.stats, wrong: c.wrong, untold: c.untold, unproven: c.untold, reached: c.reached, pressed: c.pressed}, now)
			if limit != c.want || words != c.words {
				t.Errorf("%q, %q, want %q, %q", limit, words, c.want, c.words)
			}
			if len(words) > 79 && !strings.Contains(words, "; ") { // a line of 80 columns
				t.Errorf("%q is too long", words)
			}
			_ = r.pool.Drain(w.Context())
		})
	}
}

func TestLearned(t *testing.T) {
	for _, c := range []struct {
		want  progress.Learned
		stats throttle.UpstreamStats
	}{
		{progress.Learned{Rate: 9.877, InFlight: 5}, throttle.UpstreamStats{Learned: true, Rate: 9.87654, Limit: 5, Phase: throttle.PhaseSteady}},
		{progress.Learned{InFlight: 5}, throttle.UpstreamStats{Learned: true, Rate: rate.Inf, Limit: 5, Phase: throttle.PhaseHoldingBack}},
		{progress.Learned{Rate: 9.8}, throttle.UpstreamStats{Learned: true, Rate: 9.8, Limit: 4, Phase: throttle.PhaseStarting}},
		{progress.Learned{}, throttle.UpstreamStats{Rate: rate.Inf, Limit: 4, Phase: throttle.PhaseStarting}},
		{progress.Learned{}, throttle.UpstreamStats{Learned: true, Rate: rate.Inf, Limit: 1, Phase: throttle.PhaseDown}},
		{progress.Learned{}, throttle.UpstreamStats{Learned: true, Rate: 3.96, Limit: math.MaxInt, Phase: throttle.PhaseSteady, Limits: throttle.Limits{Rate: 4}}},
		{progress.Learned{}, throttle.UpstreamStats{Learned: true, Rate: 3.96, Limit: mostInFlight, Phase: throttle.PhaseSteady, Limits: throttle.Limits{Rate: 4}}},
		{progress.Learned{}, throttle.UpstreamStats{Learned: true, Rate: rate.Inf, Limit: 5, Phase: throttle.PhaseSteady, Limits: throttle.Limits{InFlight: 8}}},
	} {
		if got := learned(c.stats); got != c.want {
			t.Errorf("of %+v: %+v, want %+v", c.stats, got, c.want)
		}
	}
}

// The log says in plain words what the throttle does.
func TestChangesOfPaceInWords(t *testing.T) {
	const few = 8
	for _, c := range []struct {
		e      throttle.Event
		want   string
		before limits
	}{
		{throttle.Event{Phase: throttle.PhaseStarting, Limit: 2, Rate: rate.Inf, Reason: "accepted again"}, "s: trying out what it takes: at most 2 in flight (it accepts again)", limits{}},
		{throttle.Event{Phase: throttle.PhaseSteady, Limit: few, Rate: 3.96, Reason: "trim"}, "s: pace adjusted: at most 8 in flight, 3.96 req/s (to waste fewer requests)", limits{}},
		{throttle.Event{Phase: throttle.PhaseDown, Limit: math.MaxInt32, Rate: rate.Inf, Reason: "overloaded"},
			"s: one request at a time until it accepts again: no limit (it was overloaded or could not be reached)", limits{}},
		{throttle.Event{Phase: throttle.PhaseSteady, Limit: few, Rate: rate.Inf, Reason: "a reason of later"}, "s: pace adjusted: at most 8 in flight (a reason of later)", limits{}},
		{throttle.Event{Phase: throttle.PhaseFixed, Limit: few, Rate: rate.Inf}, "s: fixed: at most 8 in flight", limits{}},
		{throttle.Event{Phase: throttle.PhaseSteady, Limit: mostInFlight, Rate: 5, Reason: "throttled"}, "s: pace adjusted: 5 req/s (it refused: too many requests)", limits{mostInFlight, 6}},
		{throttle.Event{Phase: throttle.PhaseSteady, Limit: mostInFlight, Rate: 5, Reason: "throttled"}, "s: pace adjusted: 5 req/s (trying more)", limits{mostInFlight, 4}},
		{throttle.Event{Phase: throttle.PhaseSteady, Limit: few, Rate: 5, Reason: "quota"}, "s: pace adjusted: at most 8 in flight, 5 req/s (by the quota that it states)", limits{few, 4}},
		{throttle.Event{Phase: throttle.PhaseSteady, Limit: few, Rate: rate.Inf, Reason: "overloaded"}, "s: pace adjusted: at most 8 in flight (trying more)", limits{few - 1, rate.Inf}},
		{throttle.Event{Phase: throttle.PhaseSteady, Limit: few, Rate: 4, Reason: "overloaded"}, "s: pace adjusted: at most 8 in flight, 4 req/s (it was overloaded or could not be reached)", limits{few - 1, 5}},
	} {
		var b strings.Builder
		r := &run{Options: Options{Log: slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug}))}}
		r.servers = map[string]*server{"s": {limits: c.before}}
		c.e.Key = "s"
		r.changed(c.e)
		if got := b.String(); !strings.HasSuffix(got, fmt.Sprintf(" msg=%q\n", c.want)) {
			t.Errorf("it says %q, want %q", got, c.want)
		}
	}
}

// A server that flaps is not said to be down and, in the same second, to answer again.
func TestTellsDown(t *testing.T) {
	now := time.Date(2026, 3, 1, 22, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		down, told time.Duration // ago
		probe      time.Duration // until the next; 0: it is on its way
		want       bool
	}{
		{down: time.Second, told: time.Hour, probe: time.Second},
		{down: 2 * time.Second, told: time.Hour, want: true},
		{down: 9 * time.Second, told: 20 * time.Second, probe: 5 * time.Second},
		{down: 10 * time.Second, told: 20 * time.Second, probe: 5 * time.Second, want: true},
		{down: 10 * time.Second, told: 20 * time.Second, probe: 300 * time.Millisecond},
		{down: 10 * time.Second, told: 20 * time.Second},
		{down: 12 * time.Second, told: 20 * time.Second, want: true},
	} {
		stats := throttle.UpstreamStats{Phase: throttle.PhaseDown, Changed: now.Add(-c.down)}
		if c.probe > 0 {
			stats.Probe = now.Add(c.probe)
		}
		if got := tellsDown(stats, now.Add(-c.told), now); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
