//go:build linux || darwin

package suspend

import (
	"testing"
	"time"
)

// The time suspended is that by which the clock that always runs is ahead of the other. A reading
// between whose two ends the thread had to wait is made again.
func TestTotal(t *testing.T) {
	const slept = time.Hour
	for _, test := range []struct {
		name  string
		waits []time.Duration // between two readings
		reads int
	}{
		{"at once", nil, 3},
		{"a short wait", []time.Duration{0, time.Millisecond}, 3},
		{"a long wait before the clock that always runs", []time.Duration{time.Second}, 6},
		{"a long wait after it", []time.Duration{0, time.Second}, 6},
		{"two long waits", []time.Duration{time.Second, 0, 0, time.Second}, 9},
	} {
		now, reads := time.Minute, 0
		got := total(func(clock int32) time.Duration {
			at := now
			if clock == always {
				at += slept
			}
			if reads < len(test.waits) {
				now += test.waits[reads]
			}
			reads++
			return at
		})
		if got < slept || got > slept+100*time.Millisecond || reads != test.reads {
			t.Errorf("%s: %v after %d readings, want %v after %d", test.name, got, reads, slept,
				test.reads)
		}
	}
}

// The machine has both clocks.
func TestClocks(t *testing.T) {
	for _, clock := range []int32{running, always} {
		if at := read(clock); at <= 0 {
			t.Errorf("clock %d: %v", clock, at)
		}
	}
}
