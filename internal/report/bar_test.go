package report

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func TestBarText(t *testing.T) {
	paced := Snapshot{
		Total: 60, KnownTotal: true, Delivered: 31, Bytes: 124 << 10, DeliveredBytes: 124 << 10, TotalBytes: 240 << 10, InFlight: 5,
		Rate: 4, Limit: LimitRate, Holding: "held by your --rps 4", ETA: 7 * time.Second,
	}
	large := Snapshot{
		Total: 200_000, KnownTotal: true, Delivered: 131_072, Failed: 2, Unknown: 3, Deferred: 1000, Bytes: 512 << 20, DeliveredBytes: 512 << 20, TotalBytes: 1200 << 20,
		InFlight: 64, InFlightLimit: 64, Learned: Learned{InFlight: 64}, Rate: 512.3, Limit: LimitConcurrency, Holding: "more at once gains nothing", ETA: 134 * time.Second,
	}
	trimmed := paced
	trimmed.Holding = "4 → 3.96 req/s: the server refuses at 4"
	learned := paced
	learned.Limit, learned.Holding, learned.Learned = LimitCoolDown, "paused 12 s: Retry-After", Learned{9.84, 5}
	paused := paced
	paused.Limit, paused.Holding, paused.Failed = LimitCoolDown, "paused 12 s: Retry-After from bücher.example\x1b[2J", 2
	listing := paced
	listing.KnownTotal, listing.ETA, listing.Total = false, 0, 500
	stdin := listing
	stdin.Total = 0
	var b strings.Builder
	for _, tt := range []struct {
		name string
		s    Snapshot
	}{
		{"beginning", Snapshot{Total: 60, KnownTotal: true}}, {"paced", paced}, {"large", large}, {"paused", paused}, {"trimmed", trimmed},
		{"learned", learned},
		{"still listing", listing}, {"from stdin", stdin}, {"no items", Snapshot{KnownTotal: true}},
	} {
		fmt.Fprintf(&b, "# %s\n", tt.name)
		for _, width := range []int{199, 119, 79, 59, 39, 23, 9} {
			fmt.Fprintf(&b, "%4d |%s\n", width, barText(tt.s, width))
		}
	}
	golden(t, "bar.txt", b.String())
}

// However narrow the terminal, the line does not wrap.
func TestBarTextFits(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	number := func() int64 { return rnd.Int64N(1 << rnd.IntN(50)) }
	for range 300 {
		s := Snapshot{
			Total: number(), KnownTotal: rnd.IntN(2) > 0, Delivered: number(), Failed: number(), Unknown: number(), Skipped: number(),
			Deferred: number(), DeliveredBytes: number(), TotalBytes: number(), InFlight: int(number()), Rate: float64(number()) / 1000,
			Limit: []Limit{LimitRate, LimitDown}[rnd.IntN(2)], ETA: time.Duration(number()),
			Holding: strings.Repeat("größe → 漢字\x1b", rnd.IntN(4)), Learned: Learned{Optional(rnd.IntN(2)), Optional(rnd.IntN(2) * 1000)},
		}
		for width := -1; width < 130; width++ {
			got := barText(s, width)
			if len(got) > max(width, 0) {
				t.Fatalf("%d columns for a width of %d: %q", len(got), width, got)
			}
			for _, r := range got {
				if r < ' ' || r > '~' {
					t.Fatalf("%q is not one column wide: %q", r, got)
				}
			}
		}
	}
}
