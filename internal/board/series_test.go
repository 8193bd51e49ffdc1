package board

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Whatever happens when, a chart has all of the last minutes that was seen, each in its column.
func TestSeries(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		begun := time.Date(2026, 3, 1, 22, 0, 0, 0, time.UTC)
		u := Upstream{Sent: 7, Accepted: 7}
		second := rapid.IntRange(0, 9).Draw(t, "first")
		first := second
		s := newSeries(second, u, begun)
		var at time.Duration
		model := map[int]Sample{}
		for range rapid.IntRange(0, 300).Draw(t, "looks") {
			gap := rapid.SampledFrom([]int{0, 1, 1, 1, 1, 2, 7, 60, 700}).Draw(t, "gap")
			second += gap
			passed := time.Duration(gap)*time.Second + 300*time.Millisecond
			at += passed
			accepted := rapid.Int64Range(0, 9).Draw(t, "accepted")
			refused := rapid.Int64Range(0, 9).Draw(t, "refused")
			before := u
			u.Sent += accepted + refused
			u.Accepted += accepted
			u.TimedOut += refused
			// A server that was forgotten is counted anew, which shows if it has fewer then.
			less := func(n, before int64) bool { return n < before || before == 0 }
			if rapid.IntRange(0, 99).Draw(t, "anew") == 0 && less(accepted, before.Accepted) &&
				less(refused, before.TimedOut) && less(accepted+refused, before.Sent) {
				u = Upstream{Sent: accepted + refused, Accepted: accepted, TimedOut: refused}
			}
			u.InFlight = int(accepted)
			s.add(second, u, begun.Add(at))
			m := model[second]
			model[second] = Sample{Seconds: m.Seconds + passed.Seconds(),
				Sent: m.Sent + accepted + refused, Accepted: m.Accepted + accepted,
				Refused: m.Refused + refused, InFlight: max(m.InFlight, int(accepted))}
		}
		step := 1
		if second-first >= 120 {
			step = 5
		}
		c := s.chart()
		if c.Step != time.Duration(step)*time.Second || len(c.Samples) != 120 {
			t.Fatalf("%d samples of %v", len(c.Samples), c.Step)
		}
		last := second / step // the column of now
		for i, got := range c.Samples {
			column := last - 119 + i
			var want Sample
			for in := column * step; in < (column+1)*step; in++ {
				if in > second-600 {
					want.add(model[in])
				}
			}
			if got != want {
				t.Fatalf("column %d: %+v, want %+v", i, got, want)
			}
		}
	})
}

// A pause and an outage are shown, and no pace that would be allowed meanwhile.
func TestPaused(t *testing.T) {
	now := time.Date(2026, 3, 1, 22, 0, 0, 0, time.UTC)
	s := newSeries(0, Upstream{}, now)
	for i := range 5 {
		now = now.Add(time.Second)
		s.add(1+i, Upstream{Rate: 4, Paused: i == 1 || i == 2, Down: i == 3}, now)
	}
	c := s.chart()
	for _, p := range []struct{ name, got, want string }{
		{"paused", c.area(paused, 1), "M0 100H116V0H118V100H120V100z"},
		{"down", c.area(down, 1), "M0 100H118V0H119V100H120V100z"},
		{"pace", c.line(pace, 4), "M115 0H116M119 0H120"},
	} {
		if p.got != p.want {
			t.Errorf("%s: %s", p.name, p.got)
		}
	}
}
