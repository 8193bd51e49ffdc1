package lab

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func TestStrictVerdict(t *testing.T) {
	bubble(t, "strict", "", func(t *testing.T, b *bench) {
		for i := range 60 {
			b.at(time.Duration(i) * time.Second / 20)
			b.put("/x", "")
		}
		b.put("/y", "") // one too early
		b.want("verdict", b.Stats().Verdict()[0],
			"lab strict: 61 requests, 60 accepted, 1 refused; at most 21 in any second, 3 in "+
				"any 100 ms, 1 in flight")
	})
}

// A client that rounds its schedule to nanoseconds is not refused without any tolerance.
func TestStrictRounding(t *testing.T) {
	for _, rate := range []float64{3, 7, 20, 333.3, 9999} {
		v := values{text: map[string]string{"rps": fmt.Sprint(rate)}}
		s := strict{interval: v.interval("rps")}
		start := time.Now()
		for i := range 10_000 {
			if !s.take(start.Add(time.Duration(math.Round(float64(i) / rate * 1e9)))) {
				t.Fatalf("at %v a second, request %d was refused", rate, i)
			}
		}
	}
}

// The algorithm against its definition: no n of the requests accepted may be closer together than
// (n-1) intervals less the tolerance.
func TestStrictModel(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		s := strict{interval: 10, tolerance: time.Duration(rnd.IntN(25))}
		start := time.Now()
		var accepted []time.Duration
		now := time.Duration(0)
		for range 200 {
			now += time.Duration(rnd.IntN(1 + rnd.IntN(40)))
			want := true
			for i, a := range accepted {
				if now-a < time.Duration(len(accepted)-i)*s.interval-s.tolerance {
					want = false
				}
			}
			if got := s.take(start.Add(now)); got != want {
				t.Fatalf("seed %d: at %d: accepted is %v, want %v; before: %v, tolerance %d",
					seed, now, got, want, accepted, s.tolerance)
			}
			if want {
				accepted = append(accepted, now)
			}
		}
	}
}
