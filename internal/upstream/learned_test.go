package upstream

import (
	"math"
	"slices"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock/throttle"
)

// A number in flight is learned where more was refused, or where all of it was in use for a time;
// not where the files or a rate were the limit.
func TestCrowd(t *testing.T) {
	type step struct {
		lasts    time.Duration
		limit    int
		accepted int // in all that time
		refusals int64
		idle     bool // the number did not hold the run back
	}
	const s = time.Second
	for _, row := range []struct {
		name  string
		rate  rate.Limit // that was found; 0: none was
		given rate.Limit
		steps []step
		want  int
	}{
		{name: "the start", steps: []step{{lasts: s, limit: 94, accepted: 600}}},
		{name: "few seconds in use", steps: []step{{lasts: 9 * s, limit: 7, accepted: 600}}},
		{name: "in use", steps: []step{{lasts: 11 * s, limit: 7, accepted: 600}}, want: 7},
		{name: "in use, and probed", steps: []step{{lasts: 4 * s, limit: 7, accepted: 60},
			{lasts: s, limit: 8, accepted: 60}, {lasts: 7 * s, limit: 7, accepted: 60}}, want: 7},
		{name: "not in use", steps: []step{{lasts: 30 * s, limit: 7, accepted: 600, idle: true}}},
		{name: "one large file", steps: []step{{lasts: 30 * s, limit: 128, accepted: 1}}},
		{name: "more is refused", steps: []step{{lasts: s, limit: 8, accepted: 20},
			{lasts: s, limit: 4, accepted: 20, refusals: 4}}, want: 4},
		{name: "few were accepted since",
			steps: []step{{lasts: s, limit: 8, accepted: 20},
				{lasts: s, limit: 4, accepted: 9, refusals: 4}}},
		{name: "more is refused again", steps: []step{{lasts: s, limit: 8, accepted: 20},
			{lasts: s, limit: 4, accepted: 20, refusals: 4}, {lasts: s, limit: 5, accepted: 5},
			{lasts: s, limit: 4, accepted: 5, refusals: 1}}, want: 4},
		{name: "it takes fewer now", steps: []step{{lasts: s, limit: 8, accepted: 20},
			{lasts: s, limit: 4, accepted: 20, refusals: 4},
			{lasts: s, limit: 2, accepted: 5, refusals: 4}}},
		{name: "it takes more now", steps: []step{{lasts: s, limit: 8, accepted: 20},
			{lasts: s, limit: 4, accepted: 20, refusals: 4}, {lasts: s, limit: 9, accepted: 20}}},
		{name: "it takes a little more now",
			steps: []step{{lasts: 11 * s, limit: 19, accepted: 600},
				{lasts: s, limit: 21, accepted: 20, idle: true}}},
		{name: "more was tried", steps: []step{{lasts: 11 * s, limit: 19, accepted: 600},
			{lasts: s, limit: 20, accepted: 20, idle: true}}, want: 19},
		{name: "one alone is refused", steps: []step{{lasts: s, limit: 8, accepted: 20},
			{lasts: s, limit: 1, accepted: 9, refusals: 1},
			{lasts: s, limit: 1, accepted: 20, refusals: 1}}},
		{name: "a rate is refused", rate: 9.8,
			steps: []step{{lasts: s, limit: 8, accepted: 20},
				{lasts: 30 * s, limit: 1, accepted: 300, refusals: 4, idle: true}}},
		{name: "the rate that was given is refused", rate: 14.9, given: 40,
			steps: []step{{lasts: s, limit: 8, accepted: 20},
				{lasts: 30 * s, limit: 1, accepted: 300, refusals: 4, idle: true}}},
		{name: "a rate was given and is not refused", rate: 40, given: 40,
			steps: []step{{lasts: s, limit: 8, accepted: 20},
				{lasts: s, limit: 4, accepted: 20, refusals: 4}}, want: 4},
	} {
		server := testServer(throttle.Limits{}, "s")
		stats := throttle.UpstreamStats{Learned: true, Phase: throttle.PhaseSteady, Rate: rate.Inf}
		stats.Limits.Rate = row.given
		if row.rate > 0 {
			stats.Rate = row.rate
		}
		now, accepted := time.Unix(0, 0), 0.0
		for _, step := range row.steps {
			stats.Limit, stats.MaxInFlight, stats.Holding = step.limit,
				max(stats.MaxInFlight, step.limit), throttle.HoldingConcurrency
			if step.idle {
				stats.Holding = throttle.HoldingNone
			}
			stats.Throttled += step.refusals
			server.pressed.told = stats.Throttled > 0
			for range step.lasts / tick {
				now = now.Add(tick)
				accepted += float64(step.accepted) / float64(step.lasts/tick)
				stats.Succeeded = int64(accepted + 1e-6)
				server.accepted = stats.Succeeded
				server.learn(stats, now)
			}
		}
		if got := int(server.learned.InFlight); got != row.want {
			t.Errorf("%s: it learned %d in flight, want %d", row.name, got, row.want)
		}
	}
}

// The progress calls a rate learned only if the server has shown that it takes it.
func TestTriedRateIsNotLearned(t *testing.T) {
	for _, c := range []struct {
		found, rate float64
		reason      string
		trying      bool
	}{
		{0, 5.74, "throttled", true},
		{5.74, 5.74, "throttled", false},
		{5.74, 5.8, "throttled", false}, // about the same
		{5.74, 16.8, "throttled", true},
		{0, 5.74, "quota", false}, // the server states it
	} {
		s := testServer(throttle.Limits{}, "s")
		s.pace.found = c.found
		l := s.found(throttle.UpstreamStats{Learned: true, Rate: rate.Limit(c.rate),
			Limit: math.MaxInt, Phase: throttle.PhaseSteady, Reason: c.reason})
		if l.Trying != c.trying || l.Rate == 0 {
			t.Errorf("%+v: %+v", c, l)
		}
	}
}

func TestPlateau(t *testing.T) {
	type step struct {
		lasts    time.Duration
		rate     float64
		share    float64 // of it that is used
		refusals int64
	}
	for _, row := range []struct {
		name  string
		steps []step
		found float64
	}{
		{"long enough", []step{{11 * time.Second, 4, 1, 0}}, 4},
		{"too short", []step{{9 * time.Second, 4, 1, 0}}, 0},
		{"too few", []step{{30 * time.Second, 0.3, 1, 0}}, 0},
		{"not used", []step{{30 * time.Second, 4, 0.5, 0}}, 0},
		{"refused meanwhile", []step{{6 * time.Second, 4, 1, 0}, {6 * time.Second, 4, 1, 1}}, 0},
		{"refused afterwards", []step{{11 * time.Second, 4, 1, 0}, {time.Second, 3.9, 1, 1}}, 0},
		{"more is refused", []step{{11 * time.Second, 4, 1, 0}, {time.Second, 5, 1, 0},
			{time.Second, 4.1, 1, 1}}, 4},
		{"it grows without end", []step{{6 * time.Second, 4, 1, 0}, {6 * time.Second, 5, 1, 0},
			{6 * time.Second, 6, 1, 0}}, 0},
		{"less, for another reason", []step{{11 * time.Second, 4, 1, 0}, {time.Second, 3, 1, 0}},
			0},
		{"no rate any more", []step{{11 * time.Second, 4, 1, 0}, {time.Second, 0, 1, 0}}, 0},
	} {
		var p plateau
		var s throttle.UpstreamStats
		now, accepted := time.Unix(0, 0), 0.0
		for _, step := range row.steps {
			s.Throttled += step.refusals
			for range step.lasts / tick {
				now = now.Add(tick)
				accepted += step.rate * step.share * tick.Seconds()
				s.Succeeded = int64(accepted)
				p.look(step.rate, s, now)
			}
		}
		if p.found != row.found {
			t.Errorf("%s: %v, want %v", row.name, p.found, row.found)
		}
	}
}

func TestLearned(t *testing.T) {
	for _, c := range []struct {
		want  Learned
		stats throttle.UpstreamStats
	}{
		{Learned{Rate: 9.877, InFlight: 5},
			throttle.UpstreamStats{Learned: true, Rate: 9.87654, Limit: 5,
				Phase: throttle.PhaseSteady}},
		{Learned{InFlight: 5}, throttle.UpstreamStats{Learned: true, Rate: rate.Inf, Limit: 5,
			Phase: throttle.PhaseHoldingBack}},
		{Learned{Rate: 9.8}, throttle.UpstreamStats{Learned: true, Rate: 9.8, Limit: 4,
			Phase: throttle.PhaseStarting}},
		{Learned{}, throttle.UpstreamStats{Rate: rate.Inf, Limit: 4,
			Phase: throttle.PhaseStarting}},
		{Learned{}, throttle.UpstreamStats{Learned: true, Rate: rate.Inf, Limit: 1,
			Phase: throttle.PhaseDown}},
		{Learned{}, throttle.UpstreamStats{Learned: true, Rate: 3.96, Limit: math.MaxInt,
			Phase: throttle.PhaseSteady, Limits: throttle.Limits{Rate: 4}}},
		{Learned{}, throttle.UpstreamStats{Learned: true, Rate: 3.96, Limit: MostInFlight,
			Phase: throttle.PhaseSteady, Limits: throttle.Limits{Rate: 4}}},
		{Learned{}, throttle.UpstreamStats{Learned: true, Rate: rate.Inf, Limit: 5,
			Phase: throttle.PhaseSteady, Limits: throttle.Limits{InFlight: 8}}},
	} {
		if got := learned(c.stats); got != c.want {
			t.Errorf("of %+v: %+v, want %+v", c.stats, got, c.want)
		}
	}
}

// The pace of each server is found by its own counts, however they differ; an outage does not show
// that a server takes less than the rate that was given.
func TestSlower(t *testing.T) {
	given := throttle.Limits{Rate: 10}
	set := testSet(given)
	now := time.Unix(0, 0)
	stats := map[string]*throttle.UpstreamStats{
		"a": {Rate: 4, Throttled: 3, Limits: given}, "b": {Rate: 8, Throttled: 7, Limits: given},
	}
	for i := range 15 * time.Second / tick {
		now = now.Add(tick)
		for key, stats := range stats {
			stats.Succeeded = int64(float64(stats.Rate) * float64(i) * tick.Seconds())
			s := set.Of(key)
			s.accepted = stats.Succeeded
			s.learn(*stats, now)
		}
	}
	for _, c := range []struct {
		given float64
		want  []Slower
	}{
		{0, nil},
		{4, nil},
		{4.04, nil}, // a server may count strictly
		{10, []Slower{{"b", 8}, {"a", 4}}},
	} {
		if got, _ := set.Slower(c.given); !slices.Equal(got, c.want) {
			t.Errorf("of %v: %v, want %v", c.given, got, c.want)
		}
	}
	for _, s := range set.All() {
		s.shaken = true
	}
	set.Of("a").pressed.told = true
	if got, alone := set.Slower(10); !slices.Equal(got, []Slower{{"a", 4}}) || alone {
		t.Errorf("after an outage of b: %v", got)
	}
	for key, at := range stats {
		at.Learned, at.Limits, at.Limit = true, throttle.Limits{}, math.MaxInt
		set.Of(key).shaken = false
		set.Of(key).learn(*at, now)
		if got := set.Of(key).Learned(); got != (Learned{Rate: float64(at.Rate)}) {
			t.Errorf("of %s it learned %+v", key, got)
		}
	}
}
