package main

import (
	"math"
	"strconv"
	"testing"

	"golang.org/x/time/rate"
)

// FuzzValues reads values as they may be typed. A flag is what was read last, and says so; of
// several rates the slowest holds.
func FuzzValues(f *testing.F) {
	for _, s := range []string{
		"", "0", "-1", "+7", "auto", "１", "10000", "10001", "9223372036854775808", "4", "0.5",
		"3000/min",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, most := range []int{maxWorkers, math.MaxInt} {
			read := wholeNumber(most, "auto")
			n, err := read(s)
			if err != nil || s == "auto" {
				continue
			}
			if again, err := read(strconv.Itoa(n)); err != nil || again != n || n < 1 || n > most {
				t.Errorf("%q is %d, and that is %d, %v", s, n, again, err)
			}
		}
		var pace rate.Limit
		v := severalValues(&pace, "R", readPace)
		if v.Set(s) != nil {
			if pace != 0 || v.String() != "" {
				t.Errorf("the flag %q is refused, and %v", s, pace)
			}
			return
		}
		if now := pace; v.String() != s || v.Set(v.String()) != nil || pace != now {
			t.Errorf("the flag %q says %q and is %v, then %v", s, v, now, pace)
		}
		if slower, err := readPace(pace/2, s); err != nil || slower != pace/2 {
			t.Errorf("of %v and %q %v holds, %v", pace/2, s, slower, err)
		}
	})
}
