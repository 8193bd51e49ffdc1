package human

import (
	"math"
	"strconv"
	"testing"
	"time"
)

// FuzzParse reads limits as they may be typed. What is taken is a number that means something, and
// reads the same again.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"", "0", "-0", "4", "0.5", "3000/min", "1/d", "5e-324/day", "1e308", "1e309", "NaN",
		"inf", "Infinity/s", "-1", "0x1p-1074", "1_000", " 4 / min ",
		"10MiB/s", "500kB/s", "1.5GB", "18446744073709551615B", "16EiB", "9223372036854775808 B",
		"0.4B", "1,000kB", "-1MB", "NaNMB", "1e3MB", "10Mb/s", "MB",
		"1", "9223372036854775807", "9223372036854775808", "+7", "auto", "１", "10000", "10001",
		"90s", "1h30m", "2d", "1e-20d", "36500d", "1e300d", "NaNd", "infd", "-2d", "0d", "0.1ns",
		"2562047h47m16.854775807s", "1d2h", "d",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		finite := func(what string, v float64) {
			if !(v > 0) || math.IsInf(v, 0) {
				t.Errorf("%s %q is %v", what, s, v)
			}
		}
		if pace, err := ParseRate(s); err == nil {
			finite("rate", pace)
			again, err := ParseRate(strconv.FormatFloat(pace, 'g', -1, 64))
			if err != nil || again != pace || pace < slowest || pace > fastest {
				t.Errorf("rate %q is %v, and that is %v, %v", s, pace, again, err)
			}
		}
		if bytes, err := ParseBandwidth(s); err == nil {
			finite("bandwidth", bytes)
			again, err := ParseBandwidth(strconv.FormatFloat(bytes, 'f', 0, 64) + "B/s")
			if err != nil || again != bytes || bytes < 1 {
				t.Errorf("bandwidth %q is %v, and that is %v, %v", s, bytes, again, err)
			}
		}
		if d, err := ParseDuration(s); err == nil {
			finite("time", float64(d))
			again, err := ParseDuration(d.String())
			if err != nil || again != d || d > math.MaxInt64/2 {
				t.Errorf("time %q is %v, and that is %v, %v", s, d, again, err)
			}
		}
	})
}

func TestParseAtTheEnds(t *testing.T) {
	for _, s := range []string{"5e-324/d", "1e-9", "1e10", "1/d"} {
		if pace, err := ParseRate(s); (err == nil) != (s == "1/d") {
			t.Errorf("%s: %v, %v", s, pace, err)
		}
	}
	for _, s := range []string{"1e-20d", "36501d", "900000h", "1e-5d", "100000h"} {
		d, err := ParseDuration(s)
		if (err == nil) != (s == "1e-5d" || s == "100000h") {
			t.Errorf("%s: %v, %v", s, d, err)
		}
	}
	for s, want := range map[string]string{
		"2days": "write 2d", "1 day": "write 1d", "1.5 Hours": "write 1.5h", "5min": "write 5m",
		"10sec": "write 10s", "3s ago": "", "1week": "", "days": "", "-2days": "", "0min": "",
		"2 d": "write 2d", "5min2": "", "1e9days": "",
	} {
		if want == "" {
			want = "want a time, more than 0, such as 30s, 5m, 2h or 7d"
		}
		if _, err := ParseDuration(s); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", s, err, want)
		}
	}
	if d, err := ParseDuration("1.5d"); d != 36*time.Hour || err != nil {
		t.Errorf("1.5d: %v, %v", d, err)
	}
}
