// Package shell quotes words for a shell, and splits what it has quoted. It does not parse other
// command lines.
package shell

import (
	"fmt"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const windows = runtime.GOOS == "windows"

// Quote makes a text a word of a shell of this system, printable whatever is in it.
func Quote(s string) string { return quote(s, windows) }

// Split reads the words that Quote has written on this system, with blanks between them.
func Split(text string) []string { return split(text, windows) }

// quote makes an argument a word of a POSIX shell, in a form that PowerShell and cmd also take
// where there is one. On Windows a backslash is no escape.
func quote(s string, windows bool) string {
	special := "\"$`!"
	if !windows {
		special += `\`
	}
	switch {
	case strings.ContainsFunc(s, notShown) || !utf8.ValidString(s):
		return quoteBytes(s)
	case bare(s, windows):
		return s
	case !strings.ContainsAny(s, special):
		if windows && strings.HasSuffix(s, `\`) {
			s += `\` // one alone would escape the quote
		}
		return `"` + s + `"`
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func notShown(r rune) bool { return !unicode.IsPrint(r) }

// bare reports whether no shell sees anything special in s. PowerShell does in commas and braces.
func bare(s string, windows bool) bool {
	for i, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		case strings.ContainsRune("_-./:+%", r):
		case r == '=' && i > 0, r == '\\' && windows:
		case r >= utf8.RuneSelf && unicode.In(r, unicode.L, unicode.N):
		default:
			return false
		}
	}
	return s != ""
}

// quoteBytes writes what is not printable, or no UTF-8, as octal escapes: a terminal would obey it
// or lose it.
func quoteBytes(s string) string {
	var b strings.Builder
	b.WriteString("$'")
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1, notShown(r):
			for _, c := range []byte(s[i : i+n]) {
				fmt.Fprintf(&b, `\%03o`, c)
			}
		case r == '\'' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		default:
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	b.WriteByte('\'')
	return b.String()
}

// shellWord is a word as quote writes it.
var shellWord = regexp.MustCompile(`(?:"[^"]*"|\$'(?:\\.|[^'\\])*'|'[^']*'|\\'|[^\s"'])+`)

var escape = regexp.MustCompile(`\\([0-7]{3}|.)`)

func split(text string, windows bool) (words []string) {
	for _, word := range shellWord.FindAllString(text, -1) {
		switch {
		case strings.HasPrefix(word, "$'"):
			word = escape.ReplaceAllStringFunc(word[2:len(word)-1], func(s string) string {
				if n, err := strconv.ParseUint(s[1:], 8, 8); err == nil && len(s) == 4 {
					return string([]byte{byte(n)})
				}
				return s[1:]
			})
		case strings.HasPrefix(word, `"`):
			word = word[1 : len(word)-1]
			if windows && strings.HasSuffix(word, `\`) {
				word = word[:len(word)-1]
			}
		case strings.HasPrefix(word, "'"):
			word = strings.ReplaceAll(word[1:len(word)-1], `'\''`, "'")
		}
		words = append(words, word)
	}
	return words
}
