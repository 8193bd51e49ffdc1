// Package human writes numbers, times and texts as people read them.
package human

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
)

// Count writes a number with commas between thousands.
func Count[N int | int64](n N) string { return humanize.Comma(int64(n)) }

// Size writes a number of bytes with a binary unit: "4.0 KiB". A negative one is written as 0.
func Size(bytes int64) string { return humanize.IBytes(uint64(max(bytes, 0))) }

// Sizes writes two sizes in the unit of the second, such as "238/458 MiB".
func Sizes(done, total int64) string {
	text := Size(total)
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

// Speed writes bytes a second.
func Speed(perSecond float64) string { return Size(int64(perSecond)) + "/s" }

// Percent is how much of total is done, 100 only if all of it is.
func Percent(done, total int64) int64 {
	if total <= 0 {
		return 100
	}
	return int64(100 * min(1, max(0, float64(done)/float64(total))))
}

// Wrap breaks a line at blanks so that it fits width columns, 0 being any. What follows is
// indented.
func Wrap(s string, width int) string {
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
	const digits = "0123456789"
	return number != "" && strings.IndexByte(digits, number[len(number)-1]) >= 0 &&
		len(word) <= 5 && !strings.ContainsAny(word, digits)
}

// Printable makes a text safe for a terminal, on one line: file names and answers may hold escape
// sequences. White space becomes a plain space, any other control or format character
// (bidirectional overrides) a question mark.
func Printable(s string) string {
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

// Cut shortens s to at most n bytes without splitting a character.
func Cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// Some writes a number of items: "3 failed", or "" if there are none.
func Some[N int | int64](n N, what string) string {
	if n == 0 {
		return ""
	}
	return Count(n) + " " + what
}

// Join is [strings.Join] for those of the texts that are not empty.
func Join(separator string, texts ...string) string {
	empty := func(text string) bool { return text == "" }
	return strings.Join(slices.DeleteFunc(texts, empty), separator)
}

// Those names a number of items: "the failed one", "the 1,200 failed".
func Those(n int64, what string) string {
	if n == 1 {
		return "the " + what + " one"
	}
	return "the " + Count(n) + " " + what
}

// Plural writes a number of what has that name: "1 file", "2 files".
func Plural[N int | int64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return Count(int64(n)) + " " + noun + "s"
}
