package model

import (
	"math/rand/v2"
	"testing"
	"time"
)

// Both windows against their definitions: counting all that was before.
func TestWindowModel(t *testing.T) {
	// Spans that divide a second, so that windows begin with each multiple of them since 1970 too.
	spans := []time.Duration{1, 2, 5, 8, 20, 25}
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		n, span := 1+rnd.IntN(8), spans[rnd.IntN(len(spans))]*time.Millisecond
		countRefused := rnd.IntN(2) == 0
		fixed := &fixedWindow{n: n, span: span}
		sliding := &slidingWindow{n: n, span: span, countRefused: countRefused}
		var inFixed, inSliding []time.Time

		start := time.Unix(1_800_000_000, int64(rnd.IntN(1e9)))
		now := start
		for range 300 {
			// sometimes 0, sometimes a round distance
			now = now.Add(time.Duration(rnd.IntN(1+rnd.IntN(int(span)/n+1)) / 100 * 100))

			used := 0
			for _, a := range inFixed {
				if a.UnixNano()/int64(span) == now.UnixNano()/int64(span) {
					used++
				}
			}
			want := used < n
			if want {
				inFixed = append(inFixed, now)
				used++
			}
			ok, left, reset := fixed.take(now)
			if end := span - time.Duration(now.UnixNano()%int64(span)); ok != want ||
				left != n-used || reset != end {
				t.Fatalf("seed %d, fixed: at %v: %v, %d left, %v; want %v, %d, %v", seed,
					now.Sub(start), ok, left, reset, want, n-used, end)
			}

			used = 0
			for _, a := range inSliding {
				if now.Sub(a) < span {
					used++
				}
			}
			want = used < n
			if want || countRefused {
				inSliding = append(inSliding, now)
			}
			ok, left, reset = sliding.take(now)
			if ok != want || left < 0 || left != max(0, n-used-1) {
				t.Fatalf("seed %d, sliding: at %v: %v, %d left; want %v, %d", seed,
					now.Sub(start), ok, left, want, max(0, n-used-1))
			}
			// One is free when all but n-1 of those that count are old.
			if k := len(inSliding) - n; k >= 0 && left == 0 {
				if want := inSliding[k].Add(span).Sub(now); reset != want {
					t.Fatalf("seed %d, sliding: at %v: free in %v, want %v", seed, now.Sub(start),
						reset, want)
				}
			}
			if c := cap(sliding.counted); c > 16 && c > 3*n {
				t.Fatalf("seed %d: room for %d instants, %d are enough", seed, c, n)
			}
		}
	}
}
