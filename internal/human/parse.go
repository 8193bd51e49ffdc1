package human

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/dustin/go-humanize"
)

// perTime are the units of time that a pace may be given in.
var perTime = map[string]float64{
	"s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60,
	"h": 3600, "hour": 3600, "d": 86400, "day": 86400,
}

const (
	slowest = 1.0 / (366 * 86400) // requests a second
	fastest = 1e9
)

// ParseRate reads requests a second: "4", "0.5" or "3000/min".
func ParseRate(s string) (float64, error) {
	number, unit, given := strings.Cut(s, "/")
	per := 1.0
	if given {
		var ok bool
		if per, ok = perTime[strings.TrimSpace(unit)]; !ok {
			return 0, fmt.Errorf("%q is no unit of time: use s, min, h or d, as in 3000/min", unit)
		}
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || !(n > 0) {
		return 0, errors.New("want requests a second, more than 0, such as 4, 0.5 or 3000/min")
	}
	switch pace := n / per; {
	case pace < slowest:
		return 0, errors.New("that is less than one request in a year")
	case pace > fastest:
		return 0, errors.New("that is more than a thousand million requests a second: " +
			"leave it out for no limit")
	default:
		return pace, nil
	}
}

// ParseBandwidth reads bytes a second: "10MiB/s". A number alone could be bits, bytes or mebibytes,
// so it is refused.
func ParseBandwidth(s string) (float64, error) {
	size := strings.TrimSuffix(s, "/s")
	if _, err := strconv.ParseFloat(size, 64); err == nil {
		return 0, errors.New("give a unit, such as 10MiB/s, 500kB/s or 100B/s")
	}
	if strings.HasSuffix(size, "b") {
		return 0, errors.New("that may mean bits: give bytes, with a capital B, such as 10MB/s")
	}
	n, err := humanize.ParseBytes(size)
	if err != nil || n == 0 || n > math.MaxInt64 || strings.Contains(size, "/") {
		return 0, errors.New("want bytes a second, more than 0, such as 10MiB/s or 500kB/s")
	}
	return float64(n), nil
}

// ParseSize reads bytes: "64MiB", "1GB", "0".
func ParseSize(s string) (int64, error) {
	if s == "0" {
		return 0, nil
	}
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return 0, errors.New("give a unit, such as 64MiB, 500kB or 100B")
	}
	n, err := humanize.ParseBytes(s)
	if err != nil || n > math.MaxInt64 || strings.HasSuffix(s, "b") {
		return 0, errors.New("want bytes, such as 64MiB or 500kB")
	}
	return int64(n), nil
}

const maxDays = 36500

// ParseDuration reads "90s", "1h30m" or "2d".
func ParseDuration(s string) (time.Duration, error) {
	if n, err := strconv.ParseFloat(s, 64); err == nil && n > 0 && n <= maxDays {
		return 0, fmt.Errorf("give a unit, such as %ss or %sm", s, s)
	}
	d, err := time.ParseDuration(s)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var n float64
		if n, err = strconv.ParseFloat(days, 64); n < maxDays {
			d = time.Duration(n * 24 * float64(time.Hour))
		}
	}
	if err == nil && d > 0 && d <= maxDays*24*time.Hour {
		return d, nil
	}
	if short := shortUnit(s); short != s {
		if _, err := ParseDuration(short); err == nil {
			return 0, errors.New("write " + short)
		}
	}
	return 0, errors.New("want a time, more than 0, such as 30s, 5m, 2h or 7d")
}

// shortUnit returns a number with a unit of time, such as "2 days", with the unit in one letter and
// without blanks. What else there is it returns as it is.
func shortUnit(s string) string {
	i := max(strings.IndexFunc(s, unicode.IsLetter), 0)
	unit := strings.ToLower(s[i:])
	for _, unit := range []string{unit, strings.TrimSuffix(unit, "s")} {
		if perTime[unit] > 0 {
			return strings.TrimSpace(s[:i]) + unit[:1]
		}
	}
	return s
}
