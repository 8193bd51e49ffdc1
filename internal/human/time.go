package human

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// Span writes a duration for a sentence or a table, with no more digits than a person reads: "12
// ms", "2.84 s", "2 m 5 s", "1 h".
func Span(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < 9950*time.Microsecond:
		return humanize.Ftoa(1000*d.Round(100*time.Microsecond).Seconds()) + " ms"
	case d < 999500*time.Microsecond:
		return fmt.Sprintf("%.0f ms", 1000*d.Seconds())
	case d < 9995*time.Millisecond:
		return humanize.Ftoa(d.Round(10*time.Millisecond).Seconds()) + " s"
	case d < 59950*time.Millisecond:
		return humanize.Ftoa(d.Round(100*time.Millisecond).Seconds()) + " s"
	}
	text := Clock(d)
	for _, none := range []string{" 0 s", " 0 m", " 0 h"} {
		text = strings.TrimSuffix(text, none)
	}
	return text
}

// Exact writes a duration that was given, to the last digit: "1 h 20 s", "1.5 s", "250 ms".
func Exact(d time.Duration) string {
	d = max(d, 0)
	if d < time.Second {
		return humanize.Ftoa(1000*d.Seconds()) + " ms"
	}
	var parts []string
	if h := d / time.Hour; h > 0 {
		parts = append(parts, fmt.Sprintf("%d h", h))
	}
	if m := d % time.Hour / time.Minute; m > 0 {
		parts = append(parts, fmt.Sprintf("%d m", m))
	}
	if s := d % time.Minute; s > 0 {
		parts = append(parts, humanize.Ftoa(s.Seconds())+" s")
	}
	return strings.Join(parts, " ")
}

// Clock writes a duration for the progress, which changes while one looks at it: in whole seconds
// or coarser, and with both units even if the second is 0, so that its length stays: "12 s", "2 m 5
// s", "1 h 0 m", "2 d 3 h".
func Clock(d time.Duration) string {
	s := int64(max(d, 0).Round(time.Second) / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d m %d s", s/60, s%60)
	case s < 48*3600:
		return fmt.Sprintf("%d h %d m", s/3600, s/60%60)
	default:
		return fmt.Sprintf("%d d %d h", s/86400, s/3600%24)
	}
}

// Until writes the time until an instant, which is not over before it is.
func Until(until, now time.Time) string { return Clock(until.Sub(now) + time.Second/2 - 1) }

// When writes an instant as people speak of it.
func When(t, now time.Time) string {
	t, now = t.Local(), now.Local()
	clock := t.Format("15:04")
	days := func(t time.Time) int64 {
		_, offset := t.Zone()
		return (t.Unix() + int64(offset)) / (24 * 3600)
	}
	switch days(now) - days(t) {
	case 0:
		return "today " + clock
	case 1:
		return "yesterday " + clock
	}
	return t.Format("2006-01-02 15:04")
}

// Instant writes an instant to the minute, as briefly as it is clear.
func Instant(t, now time.Time) string {
	t, now = t.Local(), now.Local()
	if t.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return t.Format("15:04")
	}
	return t.Format("2006-01-02 15:04")
}

// InstantSeconds is Instant to the second.
func InstantSeconds(t, now time.Time) string { return Instant(t, now) + t.Local().Format(":05") }

// Seconds returns a duration of so many seconds, or the longest one if it is too many.
func Seconds(s float64) time.Duration {
	// As a float64 the longest duration is one too many.
	if s *= float64(time.Second); s < math.MaxInt64 {
		return time.Duration(s)
	}
	return math.MaxInt64
}
