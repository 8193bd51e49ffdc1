package hint

import (
	"math"
	"strings"
	"time"
)

// From these on a number is a Unix time, in seconds or in milliseconds.
const (
	unixSeconds = 1e9
	unixMillis  = 1e12
)

// longest reads the values of a header that holds one wait, in units of unit, as a number or a
// clock time. More than one, as several lines or joined by a comma on the way, is outside the
// grammar; the longest is the safe reading. Without a usable one it is -1.
func (r *reader) longest(values []string, unit time.Duration) time.Duration {
	if len(values) == 0 {
		return -1
	}
	longest := time.Duration(-1)
	for _, line := range values {
		for part := range strings.SplitSeq(line, ",") {
			part = trim(part)
			// The comma inside an HTTP-date parts it from its weekday, which is redundant: a wrong
			// one spoils nothing.
			if part == "" || isWeekday(part) {
				continue
			}
			if wait, ok := r.wait(part, unit); ok {
				longest = max(longest, wait)
			} else {
				r.hints.Malformed = true
			}
		}
	}
	if longest < 0 {
		r.hints.Malformed = true
	}
	return longest
}

// wait reads one number or, where seconds are asked for, one clock time, and for quotas a duration
// with its units.
func (r *reader) wait(s string, unit time.Duration) (time.Duration, bool) {
	if whole, frac, ok := number(s); ok {
		return r.span(whole, frac, unit), true
	}
	if unit == time.Second {
		if t, ok := clock(s, r.ref); ok {
			return r.until(t), true
		}
	}
	// In Retry-After only standard forms count, and a sign is no part of a delay.
	if d, err := time.ParseDuration(s); err == nil && r.quota && isDigit(s[0]) {
		return roundUp(d), true
	}
	return 0, false
}

// span is a number of units, seconds or milliseconds, and a fraction of one in billionths, as a
// wait. A big number is a Unix time; what is below that always fits a Duration.
func (r *reader) span(whole int64, frac, unit time.Duration) time.Duration {
	switch {
	case whole >= unixMillis:
		return r.until(time.UnixMilli(whole).Add(scale(frac, time.Millisecond)))
	case whole >= unixSeconds && unit == time.Second:
		return r.until(time.Unix(whole, 0).Add(frac))
	}
	return roundUp(time.Duration(whole)*unit + scale(frac, unit))
}

// scale turns billionths of a unit into time, rounded up.
func scale(frac, unit time.Duration) time.Duration {
	per := time.Second / unit
	return (frac + per - 1) / per
}

// until is the wait for an instant; one that is past asks for none.
func (r *reader) until(t time.Time) time.Duration {
	r.dated = true
	return roundUp(max(t.Sub(r.ref), 0)) // Sub saturates
}

// roundUp rounds up to a whole millisecond: rounded down, a wait ends too early.
func roundUp(d time.Duration) time.Duration {
	if d > never-time.Millisecond {
		return never
	}
	return (d + time.Millisecond - 1) / time.Millisecond * time.Millisecond
}

// number reads digits and perhaps a fraction, which is outside the grammar of every header here but
// is sent, and nothing else: no sign, exponent, unit or NaN, which strconv.ParseFloat would take. A
// whole part that does not fit is math.MaxInt64, for it is too long, not absent. The fraction comes
// in billionths, rounded up, so it may be a whole.
func number(s string) (whole int64, frac time.Duration, ok bool) {
	i := 0
	for ; i < len(s) && isDigit(s[i]); i++ {
		if d := int64(s[i] - '0'); whole > (math.MaxInt64-d)/10 {
			whole = math.MaxInt64
		} else {
			whole = whole*10 + d
		}
	}
	if i == 0 || i == len(s) {
		return whole, 0, i > 0
	}
	if s[i] != '.' || i+1 == len(s) {
		return 0, 0, false
	}
	rest := time.Duration(0)
	place := time.Second
	for i++; i < len(s); i++ {
		if !isDigit(s[i]) {
			return 0, 0, false
		}
		d := time.Duration(s[i] - '0')
		if place /= 10; place > 0 {
			frac += d * place
		} else if d > 0 {
			rest = 1
		}
	}
	return whole, frac + rest, true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// The dates of RFC 9110 section 5.6.7 without their weekday and with a numeric zone, asctime's,
// which has neither zone nor comma, and RFC 3339's, which is seen where a Unix time is usual.
const (
	imfFixdate = "2 Jan 2006 15:04:05 -0700"
	rfc850     = "2-Jan-06 15:04:05 -0700"
)

var layouts = [...]string{imfFixdate, rfc850, time.ANSIC, time.RFC3339}

// The shortest and the longest text that is tried as a clock time.
const (
	minClock = len("1-Jan-06 1:04:05 GMT")
	maxClock = len("2006-01-02T15:04:05.000000000+00:00")
)

// clock reads a clock time whose offset is sure: GMT, UTC or a number. Of other zones'
// abbreviations [time.Parse] invents the offset.
func clock(s string, ref time.Time) (time.Time, bool) {
	if len(s) < minClock || len(s) > maxClock {
		return time.Time{}, false
	}
	if zone := s[len(s)-4:]; zone == " GMT" || zone == " UTC" {
		s = s[:len(s)-4] + " +0000"
	}
	var leap time.Duration
	// the grammar has leap seconds, time.Parse has not
	if i := strings.LastIndex(s, ":60"); i >= 3 && s[i-3] == ':' {
		s = s[:i] + ":59" + s[i+3:]
		leap = time.Second
	}
	for _, layout := range layouts {
		t, err := time.Parse(layout, s)
		if err != nil {
			continue
		}
		if layout == rfc850 {
			t = inCentury(t, ref)
		}
		return t.Add(leap), true
	}
	return time.Time{}, false
}

// inCentury gives a date with a two-digit year its century: the latest in which it is not more than
// 50 years ahead (RFC 9110 section 5.6.7).
func inCentury(t, ref time.Time) time.Time {
	horizon := ref.AddDate(50, 0, 0)
	ahead := (horizon.Year() - t.Year()) % 100
	if ahead < 0 {
		ahead += 100
	}
	t = t.AddDate(horizon.Year()-ahead-t.Year(), 0, 0)
	if t.After(horizon) {
		t = t.AddDate(-100, 0, 0)
	}
	return t
}

func isWeekday(s string) bool {
	if len(s) < 3 || len(s) > len("Wednesday") {
		return false
	}
	for day := time.Sunday; day <= time.Saturday; day++ {
		if name := day.String(); strings.EqualFold(s, name) || strings.EqualFold(s, name[:3]) {
			return true
		}
	}
	return false
}

// trim takes off the optional white space that RFC 9110 section 5.6.3 allows, and no other.
func trim(s string) string { return strings.Trim(s, " \t") }
