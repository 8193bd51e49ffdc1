package workers

import (
	"testing"

	"github.com/penstock/penstock/internal/upstream"
	"github.com/penstock/penstock/throttle"
)

func TestWorkersGrowFor(t *testing.T) {
	type stats = throttle.UpstreamStats
	for _, c := range []struct {
		name            string
		given, queued   int
		grew, refusing  bool
		backoff, parked int
		stats           stats
		grows           bool
		want            int // 0: unchanged
	}{
		{name: "a token that nobody waits for", queued: 1, grows: true, want: 13},
		{name: "a token that nobody waited for", queued: 1, stats: stats{Waiting: 1, Unclaimed: 1},
			grows: true, want: 13},
		{name: "no other", queued: 1, stats: stats{Waiting: 1}, want: 8},
		{name: "none that was late before it grew last", queued: 1, grew: true,
			stats: stats{Waiting: 1, Unclaimed: 1}, want: 8},
		{name: "no server that takes nothing", queued: 1, refusing: true, want: 8},
		{name: "no line that is full", queued: 1, stats: stats{Holding: throttle.HoldingBandwidth},
			want: 8},
		{name: "no reason when told how many there are", given: 2, queued: 1},
		{name: "no reason without work"},
		{name: "those that wait for their next attempt", queued: 1, backoff: 3,
			stats: stats{Waiting: 1}, want: 11},
		{name: "few of them while servers refuse", queued: 1, backoff: 30, refusing: true,
			stats: stats{Waiting: 1}, want: 16},
		{name: "stand-ins for a closed server's", queued: 1, parked: 4, stats: stats{Waiting: 4},
			want: 13},
	} {
		w := New(c.given, throttle.Limits{Rate: 1})
		w.grew = c.grew
		for range c.backoff {
			w.Wait(new(Backoff), false)
		}
		begin := w.grown
		v := upstream.Overview{UpstreamStats: c.stats, Parked: c.parked}
		got := w.Grow(c.queued, v, c.refusing, 0)
		if got != c.want || w.grown > begin != c.grows {
			t.Errorf("%s: %d workers, want %d; grown from %d to %d", c.name, got, c.want, begin,
				w.grown)
		}
	}
}

func TestWorkersToBeginWith(t *testing.T) {
	for _, c := range []struct {
		given  int
		limits throttle.Limits
		want   int
	}{
		{0, throttle.Limits{}, someWorkers},
		{3, throttle.Limits{Rate: 100, InFlight: 50}, 3},
		{0, throttle.Limits{InFlight: 5}, 5},
		{0, throttle.Limits{InFlight: 1e6}, maxWorkers},
		{0, throttle.Limits{Rate: 1}, 8},
		{0, throttle.Limits{Rate: 60}, 32},
		{0, throttle.Limits{Rate: 60, InFlight: 4}, 4},
	} {
		if w := New(c.given, c.limits); w.ToBegin() != c.want {
			t.Errorf("%+v: %d", c, w.grown)
		}
	}
}

func TestWorkersCount(t *testing.T) {
	var w Need
	var a, b Backoff
	for _, step := range []struct {
		name                       string
		do                         func()
		backoff, changing, retried int
	}{
		{"a changed", func() { w.Wait(&a, true) }, 1, 1, 1},
		{"a waits already", func() { w.Wait(&a, false) }, 1, 1, 1},
		{"b waits", func() { w.Wait(&b, false) }, 2, 1, 2},
		{"a goes on", func() { w.GoOn(&a) }, 1, 0, 2},
		{"a went on already", func() { w.GoOn(&a) }, 1, 0, 2},
		{"a waits again", func() { w.Wait(&a, false) }, 2, 0, 2},
		{"a ends after an attempt", func() { w.GoOn(&a); w.End(&a) }, 1, 0, 1},
		{"a had ended", func() { w.End(&a) }, 1, 0, 1},
		{"b ends while it waits", func() { w.End(&b) }, 0, 0, 0},
		{"a is tried anew", func() { w.Wait(&a, true) }, 1, 1, 1},
	} {
		step.do()
		if backoff, changing, retried := w.Counts(); backoff != step.backoff ||
			changing != step.changing || retried != step.retried {
			t.Errorf("%s: %d wait, %d changed, %d retried", step.name, backoff, changing, retried)
		}
	}
}
