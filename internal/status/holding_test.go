package status

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/internal/upstream"
	"github.com/penstock/penstock/internal/wire"
	"github.com/penstock/penstock/throttle"
)

// [progress] At every moment a run says in plain words what holds it back.
func TestHolding(t *testing.T) {
	now := time.Date(2026, 3, 1, 22, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		want   progress.Limit
		words  string
		given  throttle.Limits
		stats  throttle.UpstreamStats
		wrong  string
		untold bool
		edit   func(*Facts)

		reached, pressed bool
	}{
		{want: progress.LimitRate, words: "held by your --rps 4",
			given: throttle.Limits{Rate: 4},
			stats: throttle.UpstreamStats{Holding: throttle.HoldingRate, Rate: 4}},
		{want: progress.LimitRate, words: "4 → 3.96 req/s: the server refuses at 4",
			given: throttle.Limits{Rate: 4},
			stats: throttle.UpstreamStats{Holding: throttle.HoldingRate, Rate: 3.96}},
		{want: progress.LimitRate, words: "the server takes no higher rate",
			stats: throttle.UpstreamStats{Holding: throttle.HoldingRate, Rate: 9.8, Learned: true}},
		// A mere outage does not accuse a limit.
		{want: progress.LimitRate, words: "held by your --rps 10", untold: true,
			given: throttle.Limits{Rate: 10},
			stats: throttle.UpstreamStats{Holding: throttle.HoldingRate, Rate: 9.95}},
		{want: progress.LimitRate, words: "10 → 5 req/s: slower after an outage", untold: true,
			given: throttle.Limits{Rate: 10},
			stats: throttle.UpstreamStats{Holding: throttle.HoldingRate, Rate: 5}},
		{want: progress.LimitRate, words: "slower after an outage", untold: true,
			stats: throttle.UpstreamStats{Holding: throttle.HoldingRate, Rate: 9.8, Learned: true}},
		{want: progress.LimitConcurrency, words: "8 → 5 in flight: fewer after an outage",
			untold: true,
			given:  throttle.Limits{InFlight: 8},
			stats:  throttle.UpstreamStats{Holding: throttle.HoldingConcurrency, Limit: 5}},
		{want: progress.LimitConcurrency, words: "looking for the pace: 1 in flight", untold: true,
			stats: throttle.UpstreamStats{Holding: throttle.HoldingConcurrency,
				Phase: throttle.PhaseSteady, InFlight: 1, Limit: 1}},
		{want: progress.LimitRate, words: "the quota allows no more",
			stats: throttle.UpstreamStats{Holding: throttle.HoldingRate, Rate: 9.8, Learned: true,
				Reason: "quota"}},
		{want: progress.NoLimit, words: "",
			stats: throttle.UpstreamStats{Holding: throttle.HoldingRate, Rate: rate.Inf}},
		{want: progress.LimitConcurrency, words: "held by your --concurrency 8",
			given: throttle.Limits{InFlight: 8},
			stats: throttle.UpstreamStats{Holding: throttle.HoldingConcurrency, Limit: 8}},
		// with as many workers none waits
		{want: progress.LimitConcurrency, words: "held by your --concurrency 8",
			given: throttle.Limits{InFlight: 8},
			stats: throttle.UpstreamStats{InFlight: 8, Limit: 8}},
		{want: progress.LimitConcurrency, words: "8 → 5 in flight: the server refuses more",
			given: throttle.Limits{InFlight: 8},
			stats: throttle.UpstreamStats{Holding: throttle.HoldingConcurrency, Limit: 5}},
		{want: progress.LimitConcurrency, words: "looking for the pace: 16 in flight",
			stats: throttle.UpstreamStats{Holding: throttle.HoldingConcurrency,
				Phase: throttle.PhaseStarting, InFlight: 16, Limit: 16}},
		{want: progress.LimitConcurrency, words: "more requests at once do not help",
			stats: throttle.UpstreamStats{Holding: throttle.HoldingConcurrency,
				Phase: throttle.PhaseSteady, InFlight: 5, Limit: 5}},
		{want: progress.LimitConcurrency, words: "256 in flight, the most without --concurrency",
			stats: throttle.UpstreamStats{Holding: throttle.HoldingConcurrency,
				Phase: throttle.PhaseStarting, InFlight: 256, Limit: 256}},
		{want: progress.LimitConcurrency, words: "holding back after 503",
			stats: throttle.UpstreamStats{Holding: throttle.HoldingDown,
				Phase: throttle.PhaseHoldingBack}, wrong: "503"},
		// another file was accepted
		{want: progress.LimitConcurrency, words: "holding back after a refusal",
			stats: throttle.UpstreamStats{Holding: throttle.HoldingDown,
				Phase: throttle.PhaseHoldingBack, Reason: "overloaded"}},
		{want: progress.LimitDown, words: "server down (connection refused): next try within 8 s",
			wrong: "connection refused",
			stats: throttle.UpstreamStats{Holding: throttle.HoldingDown, Phase: throttle.PhaseDown,
				Probe: now.Add(7100 * time.Millisecond)}},
		{want: progress.LimitDown, words: "holding back after 503: next try within 2 s",
			stats: throttle.UpstreamStats{Holding: throttle.HoldingDown, Phase: throttle.PhaseDown,
				Probe: now.Add(2 * time.Second), Changed: now}, wrong: "503"},
		{want: progress.LimitDown, words: "server down (503): trying it now",
			stats: throttle.UpstreamStats{Holding: throttle.HoldingDown, Phase: throttle.PhaseDown},
			wrong: "503"},
		{want: progress.LimitDown,
			words: "reached again: sending one file to try it, gives up at 22:59",
			wrong: "connection refused", reached: true,
			stats: throttle.UpstreamStats{Holding: throttle.HoldingDown, Phase: throttle.PhaseDown,
				InFlight: 1},
			edit: func(f *Facts) {
				f.GivesUpAt = now.Add(59*time.Minute + 50*time.Second)
			}},
		{want: progress.LimitDown,
			words: "server down (connection refused): next try within 8 s, gives up at 22:59",
			wrong: "connection refused",
			stats: throttle.UpstreamStats{Holding: throttle.HoldingDown, Phase: throttle.PhaseDown,
				Probe: now.Add(7100 * time.Millisecond)},
			edit: func(f *Facts) {
				f.GivesUpAt = now.Add(59*time.Minute + 50*time.Second)
			}},
		// the others were accepted
		{want: progress.LimitDown, words: "the last 3 files: 503, next try within 8 s",
			wrong: "503",
			stats: throttle.UpstreamStats{Holding: throttle.HoldingDown, Phase: throttle.PhaseDown,
				Waiting: 3, Probe: now.Add(7100 * time.Millisecond)},
			edit: func(f *Facts) { f.Leftovers = true }},
		{want: progress.LimitCoolDown, words: "paused 12 s: Retry-After",
			stats: throttle.UpstreamStats{Holding: throttle.HoldingCoolDown,
				Paused: now.Add(12 * time.Second), PauseSource: "retry-after"}},
		{want: progress.LimitCoolDown, words: "paused 1 s: 429",
			stats: throttle.UpstreamStats{Holding: throttle.HoldingCoolDown,
				Paused: now.Add(time.Second)}, wrong: "429"},
		{want: progress.LimitBandwidth, words: "held by your --bandwidth 10 MiB/s",
			given: throttle.Limits{Bandwidth: 10 << 20},
			stats: throttle.UpstreamStats{Holding: throttle.HoldingBandwidth}},
		{want: progress.LimitQuota, words: "waits for its share of the quota",
			stats: throttle.UpstreamStats{Holding: throttle.HoldingQuota}},
		{want: progress.LimitQuota, words: "waits for its share of the quota partner-a",
			stats: throttle.UpstreamStats{Holding: throttle.HoldingQuota},
			edit:  func(f *Facts) { f.Quota = "partner-a" }},
		{want: progress.LimitConcurrency, words: "held by your --workers 2",
			stats: throttle.UpstreamStats{InFlight: 2, Limit: 8},
			edit:  func(f *Facts) { f.Workers = 2 }},
		{want: progress.LimitBackoff,
			words: "2 files to be tried again: 500",
			wrong: "500",
			stats: throttle.UpstreamStats{Limit: 8}, edit: func(f *Facts) { f.Backoff = 2 }},
		// A reason is given once.
		{want: progress.LimitBackoff,
			words: "1 file to be tried again: the file changed while it was sent; " +
				"a is sent again from its beginning",
			wrong: "the file changed while it was sent",
			stats: throttle.UpstreamStats{Limit: 8}, edit: func(f *Facts) {
				f.Backoff = 1
				f.Fallen, f.Because = "a", "the file changed while it was sent"
			}},
		{want: progress.LimitBackoff,
			words: "1 file to be tried again: 503; " +
				"a is sent again from its beginning (connection lost)",
			wrong: "503",
			stats: throttle.UpstreamStats{Limit: 8}, edit: func(f *Facts) {
				f.Backoff = 1
				f.Fallen, f.Because = "a", "connection lost"
			}},
		{want: progress.LimitConcurrency, words: "more at once is refused", pressed: true,
			stats: throttle.UpstreamStats{Holding: throttle.HoldingConcurrency,
				Phase: throttle.PhaseSteady, InFlight: 4, Limit: 4, Rate: rate.Inf}},
		// it is the rate that it refuses
		{want: progress.LimitConcurrency, words: "more requests at once do not help", pressed: true,
			stats: throttle.UpstreamStats{Holding: throttle.HoldingConcurrency,
				Phase: throttle.PhaseSteady, InFlight: 4, Limit: 4, Rate: 10}},
		{want: progress.NoLimit, words: "waiting for the last 3 answers",
			stats: throttle.UpstreamStats{InFlight: 3, Limit: 8},
			edit:  func(f *Facts) { f.Whole = true }},
		{want: progress.NoLimit, words: "waiting for the last answer",
			stats: throttle.UpstreamStats{InFlight: 1, Limit: 8},
			edit:  func(f *Facts) { f.Whole = true }},
		{want: progress.NoLimit, words: "waiting for the last 8 answers",
			given: throttle.Limits{InFlight: 8},
			stats: throttle.UpstreamStats{InFlight: 8, Limit: 8},
			edit:  func(f *Facts) { f.Whole = true }},
		{want: progress.NoLimit, words: "sending the last file",
			stats: throttle.UpstreamStats{InFlight: 1, Limit: 8}, edit: func(f *Facts) {
				f.Whole = true
				f.Underway = []wire.Upload{{Name: "a", Size: 38 << 20}}
			}},
		{want: progress.NoLimit, words: "sending the 12 files", // there are no others
			stats: throttle.UpstreamStats{InFlight: 12, Limit: 12}, edit: func(f *Facts) {
				f.Whole, f.Total = true, 12
				f.Underway = []wire.Upload{{Name: "a", Size: 38 << 20}}
			}},
		{want: progress.NoLimit, words: "", // answers take that long
			stats: throttle.UpstreamStats{InFlight: 3, Limit: 8, Latency: 10 * time.Second}},
		{want: progress.LimitDown, words: "no answer for 12 s",
			stats: throttle.UpstreamStats{Holding: throttle.HoldingRate, InFlight: 3, Limit: 8},
			edit:  func(f *Facts) { f.Heard = now.Add(-12 * time.Second) }},
		{want: progress.NoLimit, words: "", // an answer was never so fast
			stats: throttle.UpstreamStats{InFlight: 3, Limit: 8, Latency: 10 * time.Second},
			edit:  func(f *Facts) { f.Heard = now.Add(-12 * time.Second) }},
		{want: progress.NoLimit, words: "", // bytes move
			stats: throttle.UpstreamStats{InFlight: 3, Limit: 8}, edit: func(f *Facts) {
				f.Heard = now.Add(-12 * time.Second)
				f.Underway = []wire.Upload{{Name: "a", Done: 1, Size: 38 << 20}}
			}},
		{want: progress.NoLimit, words: "waiting for standard input",
			stats: throttle.UpstreamStats{InFlight: 3, Limit: 8},
			edit:  func(f *Facts) { f.Reading = "standard input" }},
		{want: progress.NoLimit, words: "", stats: throttle.UpstreamStats{InFlight: 3, Limit: 8}},
	} {
		f := Facts{Overview: upstream.Overview{
			UpstreamStats: c.stats, Trouble: c.wrong, Untold: c.untold, Unproven: c.untold,
			Reached: c.reached, Pressed: c.pressed,
		}, Now: now, Given: c.given}
		if c.edit != nil {
			c.edit(&f)
		}
		limit, words := f.Holding()
		if limit != c.want || words != c.words {
			t.Errorf("%q, %q, want %q, %q", limit, words, c.want, c.words)
		}
		if len(words) > 79 && !strings.Contains(words, "; ") { // a line of 80 columns
			t.Errorf("%q is too long", words)
		}
	}
}

// What is unlimited, or not known, is not shown as a number.
func TestShow(t *testing.T) {
	now := time.Date(2026, 3, 1, 22, 0, 0, 0, time.UTC)
	stats := throttle.UpstreamStats{InFlight: 1, Waiting: 2, Limit: math.MaxInt32, Rate: rate.Inf,
		Phase: throttle.PhaseStarting, Latency: time.Second}
	f := Facts{Overview: upstream.Overview{UpstreamStats: stats}, Now: now, Total: 9,
		Reading:  "standard input",
		Underway: []wire.Upload{{Name: "a", Done: 1, Size: 2, Origin: "http://h"}}}
	f.Learned = upstream.Learned{Rate: 9.8, Trying: true}
	shown := func() (s progress.Snapshot) {
		f.Show(&s)
		return s
	}
	want := progress.Snapshot{Total: 9, InFlight: 1, Waiting: 2, Latency: time.Second,
		Adaptive: true, Growing: true, Learned: progress.Learned{Rate: 9.8, Trying: true},
		Holding:  "waiting for standard input",
		Underway: []progress.Underway{{Name: "a", Done: 1, Size: 2}}}
	if got := shown(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	f.Whole, f.Name, f.Underway = true, "h", nil
	f.Rate, f.Limit, f.Given.InFlight, f.Paused = 4, 3, 3, now.Add(time.Minute)
	want = progress.Snapshot{Total: 9, KnownTotal: true, InFlight: 1, Waiting: 2,
		Latency: time.Second, Ceiling: 4, InFlightLimit: 3, Limit: progress.LimitCoolDown,
		Pause: time.Minute, Holding: shown().Holding}
	if got := shown(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}
