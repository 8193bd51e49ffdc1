package report

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
)

func count(n int64) string { return humanize.Comma(n) }

func size(bytes int64) string { return humanize.IBytes(uint64(max(bytes, 0))) }

func perSecond(rate float64) string {
	switch {
	case rate >= 99.95:
		return humanize.Comma(int64(rate+0.5)) + "/s"
	case rate >= 0.995 || rate == 0:
		return strconv.FormatFloat(rate, 'f', 1, 64) + "/s"
	default:
		return strconv.FormatFloat(rate, 'g', 2, 64) + "/s"
	}
}

// Pace writes a limit of requests a second, with more digits than a measurement:
// "4 req/s", "3.96 req/s". It rounds down: what is a little less than a round
// number is not to look like it.
func Pace(rate float64) string {
	var text string
	switch {
	case rate < 1:
		text = strconv.FormatFloat(rate, 'g', 2, 64)
	case rate < 10:
		text = humanize.FtoaWithDigits(rate, 2)
	case rate < 1000:
		text = humanize.FtoaWithDigits(rate, 1)
	default:
		text = humanize.Comma(int64(rate))
	}
	return text + " req/s"
}

// span writes a duration with as many digits as a person reads.
func span(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < 9950*time.Microsecond:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1000)
	case d < 999500*time.Microsecond:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1000)
	case d < 9995*time.Millisecond:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d < 59950*time.Millisecond:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return Clock(d)
}

// Clock writes a duration in whole seconds or coarser, for what changes while
// one looks at it.
func Clock(d time.Duration) string {
	s := int64(max(d, 0).Round(time.Second) / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case s < 48*3600:
		return fmt.Sprintf("%dh%02dm", s/3600, s/60%60)
	default:
		return fmt.Sprintf("%dd%02dh", s/86400, s/3600%24)
	}
}

// Printable makes a text safe for a terminal, on one line.
func Printable(s string) string { return printable(s) }

// printable makes a text safe for a terminal: file names and answers may hold
// escape sequences. White space becomes a plain space, any other control or
// format character (bidirectional overrides) a question mark.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return '?'
		}
		return r
	}, s)
}

// cut shortens s to at most n bytes without splitting a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
