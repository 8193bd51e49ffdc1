package lab

import (
	"math/rand/v2"
	"testing"
	"time"
)

// The peak against its definition: every half-open span that starts with an arrival.
func TestPeakModel(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		p := peak{span: 10}
		var all []time.Duration
		now := time.Duration(0)
		for range 100 {
			now += time.Duration(rnd.IntN(1 + rnd.IntN(12))) // often 0, sometimes a pause
			all = append(all, now)
			p.add(now)
		}
		want := 0
		for i, from := range all {
			n := 0
			for _, t := range all[i:] {
				if t < from+10 {
					n++
				}
			}
			want = max(want, n)
		}
		if p.max != want {
			t.Fatalf("seed %d: %d, want %d", seed, p.max, want)
		}
		if cap(p.recent) > 3*want+16 {
			t.Fatalf("seed %d: room for %d instants, with %d at most", seed, cap(p.recent), want)
		}
	}
}

func TestPeakOutOfOrder(t *testing.T) {
	p := peak{span: 10}
	for _, t := range []time.Duration{5, 4, 14, 15} {
		p.add(t)
	}
	if p.max != 3 { // 4 counts as 5: [5, 15) has 5, 5, 14
		t.Errorf("%d, want 3", p.max)
	}
}
