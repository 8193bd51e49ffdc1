package seconds

import (
	"math"
	"testing"
	"time"
)

func TestDuration(t *testing.T) {
	for _, test := range []struct {
		s    float64
		want time.Duration
	}{
		{0, 0},
		{1.5, 1500 * time.Millisecond},
		{-2, -2 * time.Second},
		{9223372036, 9223372036 * time.Second},
		{float64(math.MaxInt64) / 1e9, math.MaxInt64},
		{1e300, math.MaxInt64},
		{math.Inf(1), math.MaxInt64},
	} {
		if got := Duration(test.s); got != test.want {
			t.Errorf("%v seconds are %v, want %v", test.s, got, test.want)
		}
	}
}
