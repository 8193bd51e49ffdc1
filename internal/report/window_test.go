package report

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// naiveMax counts, for each instant, how many others lie less than a second after it.
func naiveMax(instants []int64) int {
	most := 0
	for _, from := range instants {
		n := 0
		for _, t := range instants {
			if t >= from && t < from+second {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

func TestWindowEqualsNaiveModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Steps around zero, around a second and beyond make windows that fill, drain and end
		// exactly on an instant; lateness makes disorder.
		step := rapid.OneOf(
			rapid.Int64Range(0, 3),
			rapid.Int64Range(0, second/50),
			rapid.Int64Range(second-2, second+2),
			rapid.Just(second/4),
			rapid.Int64Range(0, 4*second),
		)
		late := rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(0, second/2),
			rapid.Int64Range(second-2, second-1))
		var w window
		var all []int64
		newest := int64(-1 << 62)
		now := int64(0)
		for range rapid.IntRange(1, 60).Draw(t, "n") {
			now += step.Draw(t, "step")
			at := max(now-late.Draw(t, "late"), newest-second+1)
			newest = max(newest, at)
			all = append(all, at)
			w.add(at)
			if got, want := w.max, naiveMax(all); got != want {
				t.Fatalf("max is %d, want %d of %v", got, want, all)
			}
		}
	})
}

func TestWindowMemoryFollowsTheRate(t *testing.T) {
	var w window
	for i := range int64(1_000_000) {
		w.add(i * second / 100)
	}
	if w.max != 100 {
		t.Errorf("max is %d, want 100", w.max)
	}
	if len(w.ring) > 256 {
		t.Errorf("%d instants are kept of a run at 100 a second", len(w.ring))
	}
}

func TestWindowIgnoresWhatIsASecondLate(t *testing.T) {
	var w window
	for _, at := range []int64{0, 5 * second, 4 * second, 3 * second, 4*second + 1} {
		w.add(at)
	}
	if w.max != 2 {
		t.Errorf("max is %d, want 2", w.max)
	}
}

// The order in which goroutines report must not matter.
func TestWindowAnyOrderWithinASecond(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		instants := make([]int64, 60)
		for i := range instants {
			instants[i] = rnd.Int64N(second)
		}
		var w window
		for _, at := range instants {
			w.add(at)
		}
		if w.max != len(instants) {
			t.Fatalf("max is %d, want %d", w.max, len(instants))
		}
		kept := make([]int64, w.n)
		for i := range kept {
			kept[i] = *w.at(i)
		}
		if !slices.IsSorted(kept) {
			t.Fatal("the ring is not sorted")
		}
	}
}
