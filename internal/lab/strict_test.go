package lab

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

func TestStrict(t *testing.T) {
	tests := []struct {
		name, params string
		steps        []step
	}{
		{"defaults", "", []step{
			{0, 201}, {39, 429}, // due at 50, 10 too early is allowed
			{40, 201}, {89, 429}, // which does not move what is due: 100
			{90, 201}, {141, 201}, {190, 201}, // due 200, then 250
			{1000, 201}, {1000, 429}, {1039, 429}, {1040, 201}, // a pause saves nothing up
		}},
		{"no tolerance", "rps=20&tolerance=0s", []step{
			{0, 201}, {49, 429}, {50, 201}, {100, 201}, {149, 429}, {151, 201}, {200, 429}, {201, 201},
		}},
		{"less than one a second", "rps=0.5", []step{
			{0, 201}, {1989, 429}, {1990, 201}, {3989, 429}, {4000, 201},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				newBench(t, "strict", tt.params).run(tt.steps)
			})
		})
	}
}

func TestStrictVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "strict", "")
		for i := range 60 {
			b.at(time.Duration(i) * time.Second / 20)
			b.put("/x", "")
		}
		b.put("/y", "") // one too early
		b.want("verdict", b.Stats().Verdict()[0],
			"lab strict: 61 requests, 60 accepted, 1 refused; at most 21 in any second, 3 in any 100 ms, 1 in flight")
	})
}

// A client that rounds its schedule to nanoseconds is not refused without any
// tolerance.
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

// The algorithm against its definition: no n of the requests accepted may be
// closer together than (n-1) intervals less the tolerance.
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
				t.Fatalf("seed %d: at %d: accepted is %v, want %v; before: %v, tolerance %d", seed, now, got, want, accepted, s.tolerance)
			}
			if want {
				accepted = append(accepted, now)
			}
		}
	}
}
