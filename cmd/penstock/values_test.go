package main

import (
	"math"
	"strconv"
	"testing"
	"time"

	"golang.org/x/time/rate"
)

// FuzzLimits reads limits as they may be typed. What is taken is a number that means
// something, and reads the same again.
func FuzzLimits(f *testing.F) {
	for _, s := range []string{
		"", "0", "-0", "4", "0.5", "3000/min", "1/d", "5e-324/day", "1e308", "1e309", "NaN", "inf", "Infinity/s", "-1", "0x1p-1074", "1_000", " 4 / min ",
		"10MiB/s", "500kB/s", "1.5GB", "18446744073709551615B", "16EiB", "9223372036854775808 B", "0.4B", "1,000kB", "-1MB", "NaNMB", "1e3MB", "10Mb/s", "MB",
		"1", "9223372036854775807", "9223372036854775808", "+7", "auto", "１", "10000", "10001",
		"90s", "1h30m", "2d", "1e-20d", "36500d", "1e300d", "NaNd", "infd", "-2d", "0d", "0.1ns", "2562047h47m16.854775807s", "1d2h", "d",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		finite := func(what string, v float64) {
			if !(v > 0) || math.IsInf(v, 0) {
				t.Errorf("%s %q is %v", what, s, v)
			}
		}
		if pace, err := readPace(0, s); err == nil {
			finite("pace", float64(pace))
			again, err := readPace(0, strconv.FormatFloat(float64(pace), 'g', -1, 64))
			if err != nil || again != pace || pace < slowest || pace > fastest {
				t.Errorf("pace %q is %v, and that is %v, %v", s, pace, again, err)
			}
			if slower, err := readPace(pace/2, s); err != nil || slower != pace/2 {
				t.Errorf("of %v and %q %v holds, %v", pace/2, s, slower, err)
			}
		}
		if bytes, err := readBandwidth(0, s); err == nil {
			finite("bandwidth", float64(bytes))
			again, err := readBandwidth(0, strconv.FormatFloat(float64(bytes), 'f', 0, 64)+"B/s")
			if err != nil || again != bytes || bytes < 1 {
				t.Errorf("bandwidth %q is %v, and that is %v, %v", s, bytes, again, err)
			}
		}
		for what, read := range map[string]func(int, string) (int, error){"count": readCount, "workers": readWorkers, "concurrency": readConcurrency} {
			n, err := read(0, s)
			if err != nil || s == "auto" {
				continue
			}
			if again, err := read(0, strconv.Itoa(n)); err != nil || again != n || n < 1 || what == "workers" && n > maxWorkers {
				t.Errorf("%s %q is %d, and that is %d, %v", what, s, n, again, err)
			}
		}
		if d, err := readDuration(0, s); err == nil {
			finite("time", float64(d))
			if again, err := readDuration(0, d.String()); err != nil || again != d || d > math.MaxInt64/2 {
				t.Errorf("time %q is %v, and that is %v, %v", s, d, again, err)
			}
		}
		// A flag is what was read last, and says so.
		var pace rate.Limit
		v := newValue(&pace, "R", readPace)
		if v.Set(s) == nil {
			if now := pace; v.String() != s || v.Set(v.String()) != nil || pace != now {
				t.Errorf("the flag %q says %q and is %v, then %v", s, v, now, pace)
			}
		} else if pace != 0 || v.String() != "" {
			t.Errorf("the flag %q is refused, and %v", s, pace)
		}
	})
}

func TestLimitsAtTheirEnds(t *testing.T) {
	for _, s := range []string{"5e-324/d", "1e-9", "1e10", "1/d"} {
		if pace, err := readPace(0, s); (err == nil) != (s == "1/d") {
			t.Errorf("%s: %v, %v", s, pace, err)
		}
	}
	for _, s := range []string{"1e-20d", "36501d", "900000h", "1e-5d", "100000h"} {
		d, err := readDuration(0, s)
		if (err == nil) != (s == "1e-5d" || s == "100000h") {
			t.Errorf("%s: %v, %v", s, d, err)
		}
	}
	if d, err := readDuration(0, "1.5d"); d != 36*time.Hour || err != nil {
		t.Errorf("1.5d: %v, %v", d, err)
	}
}
