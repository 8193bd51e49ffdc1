package lab

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

func TestWindow(t *testing.T) {
	tests := []struct {
		name, params string
		steps        []step
	}{
		{"fixed", "n=2&window=1s", []step{
			{900, 201}, {950, 201}, {999, 429},
			{1000, 201}, {1100, 201}, {1200, 429}, {1999, 429},
			{2000, 201},
		}},
		{"fixed, refusals count for nothing", "n=1&window=1s&count-refused=on", []step{
			{0, 201}, {900, 429}, {999, 429}, {1000, 201},
		}},
		{"sliding", "n=2&window=1s&kind=sliding", []step{
			{900, 201}, {950, 201}, {999, 429}, {1000, 429},
			{1899, 429}, {1900, 201}, {1949, 429}, {1950, 201}, {2000, 429},
		}},
		{"sliding, refusals count", "n=2&window=1s&kind=sliding&count-refused=on", []step{
			{0, 201}, {100, 201}, {200, 429}, {1000, 429}, // 100 and 200 are there still
			{1200, 201}, // 1000 and the one just now
			{1999, 429}, {2998, 201}, {2999, 201},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				newBench(t, "window", tt.params).run(tt.steps)
			})
		})
	}
}

func TestWindowHeaders(t *testing.T) {
	type heads struct{ Policy, Quota, Limit, Remaining, Reset, RetryAfter string }
	synctest.Test(t, func(t *testing.T) {
		fixed := newBench(t, "window", "n=2&window=10s&headers=true")
		sliding := newBench(t, "window", "n=2&window=10s&headers=true&kind=sliding&retry-after=off")
		for _, tt := range []struct {
			at             time.Duration
			fixed, sliding heads
		}{
			{3500 * time.Millisecond,
				heads{`"default";q=2;w=10`, `"default";r=1;t=7`, "2", "1", "7", ""},
				heads{`"default";q=2;w=10`, `"default";r=1;t=10`, "2", "1", "10", ""}},
			{4 * time.Second,
				heads{`"default";q=2;w=10`, `"default";r=0;t=6`, "2", "0", "6", ""},
				heads{`"default";q=2;w=10`, `"default";r=0;t=10`, "2", "0", "10", ""}},
			{9 * time.Second,
				heads{`"default";q=2;w=10`, `"default";r=0;t=1`, "2", "0", "1", "1"},
				heads{`"default";q=2;w=10`, `"default";r=0;t=5`, "2", "0", "5", ""}},
		} {
			for b, want := range map[*bench]heads{fixed: tt.fixed, sliding: tt.sliding} {
				b.at(tt.at)
				h := b.put("/x", "").header
				b.want(tt.at.String(), heads{h.Get("RateLimit-Policy"), h.Get("RateLimit"),
					h.Get("X-RateLimit-Limit"), h.Get("X-RateLimit-Remaining"), h.Get("X-RateLimit-Reset"), h.Get("Retry-After")}, want)
			}
		}
	})
}

// Both windows against their definitions: counting all that was before.
func TestWindowModel(t *testing.T) {
	// Spans that divide a second, so that windows begin with each multiple of
	// them since 1970 too.
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
			now = now.Add(time.Duration(rnd.IntN(1+rnd.IntN(int(span)/n+1)) / 100 * 100)) // sometimes 0, sometimes a round distance

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
			if end := span - time.Duration(now.UnixNano()%int64(span)); ok != want || left != n-used || reset != end {
				t.Fatalf("seed %d, fixed: at %v: %v, %d left, %v; want %v, %d, %v", seed, now.Sub(start), ok, left, reset, want, n-used, end)
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
				t.Fatalf("seed %d, sliding: at %v: %v, %d left; want %v, %d", seed, now.Sub(start), ok, left, want, max(0, n-used-1))
			}
			// One is free when all but n-1 of those that count are old.
			if k := len(inSliding) - n; k >= 0 && left == 0 {
				if want := inSliding[k].Add(span).Sub(now); reset != want {
					t.Fatalf("seed %d, sliding: at %v: free in %v, want %v", seed, now.Sub(start), reset, want)
				}
			}
			if len(sliding.counted.buf) > 16 && len(sliding.counted.buf) > 2*n {
				t.Fatalf("seed %d: room for %d instants, %d are enough", seed, len(sliding.counted.buf), n)
			}
		}
	}
}
