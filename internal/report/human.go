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

// sizes writes two sizes in the unit of the second, such as "238/458 MiB".
func sizes(done, total int64) string {
	text := size(total)
	number, unit, _ := strings.Cut(text, " ")
	whole, err := strconv.ParseFloat(number, 64)
	if err != nil || whole <= 0 || done >= total {
		return number + "/" + text
	}
	scaled := float64(max(done, 0)) / float64(total) * whole
	digits := 0
	if scaled < 9.95 && unit != "B" {
		digits = 1
	}
	return strconv.FormatFloat(scaled, 'f', digits, 64) + "/" + text
}

// speed writes bytes a second.
func speed(perSecond float64) string { return size(int64(perSecond)) + "/s" }

// percent is how much of total is done, 100 only if all of it is.
func percent(done, total int64) int64 {
	if total <= 0 {
		return 100
	}
	return int64(100 * min(1, max(0, float64(done)/float64(total))))
}

// perSecond writes a measured rate of what has that name.
func perSecond(rate float64, name string) string {
	var text string
	switch {
	case rate >= 99.95:
		text = humanize.Comma(int64(rate + 0.5))
	case rate >= 0.995 || rate == 0:
		text = strconv.FormatFloat(rate, 'f', 1, 64)
	default:
		text = strconv.FormatFloat(rate, 'g', 2, 64)
	}
	if name != "" {
		text += " " + name
	}
	return text + "/s"
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

// Span writes a duration for a sentence or a table, with no more digits than a person reads: "12 ms", "2.84 s",
// "2 m 5 s", "1 h".
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

// Clock writes a duration for the progress, which changes while one looks at it: in whole seconds or coarser, and with both
// units even if the second is 0, so that its length stays: "12 s", "2 m 5 s", "1 h 0 m", "2 d 3 h".
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

// wrap breaks a line at blanks so that it fits width columns, 0 being any. What follows is indented.
func wrap(s string, width int) string {
	const indent = "  "
	if width <= 2*len(indent) {
		return s
	}
	var words []string
	for _, word := range strings.Split(s, " ") {
		if n := len(words); n > 0 && unit(words[n-1], word) {
			words[n-1] += " " + word
		} else {
			words = append(words, word)
		}
	}
	var b strings.Builder
	column := 0
	for i, word := range words {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case column+1+n > width && column > len(indent):
			b.WriteString("\n" + indent)
			column = len(indent)
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += n
	}
	return b.String()
}

// unit reports whether word is what the number before it is of: "1 s", "12 %".
func unit(number, word string) bool {
	return number != "" && number[len(number)-1] >= '0' && number[len(number)-1] <= '9' && len(word) <= 5 && !strings.ContainsAny(word, "0123456789")
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

// Those names a number of items: "the failed one", "the 1,200 failed".
func Those(n int64, what string) string {
	if n == 1 {
		return "the " + what + " one"
	}
	return "the " + humanize.Comma(n) + " " + what
}
