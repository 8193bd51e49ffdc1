package main

import (
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/penstock/penstock/internal/report"
)

const hidden = "***"

// shownCommand is the command line with these arguments, for people to read and
// to paste into a shell. What may be secret is ***: values of headers, and in
// URLs the user, the password and the values of the query.
func shownCommand(args []string) string {
	var b strings.Builder
	b.WriteString("penstock")
	before := ""
	for _, arg := range args {
		b.WriteByte(' ')
		b.WriteString(quote(shownArgument(before, arg), runtime.GOOS == "windows"))
		before = arg
	}
	return b.String()
}

// shownArgument looks only at the argument before, not at what that one means:
// what follows "--header" is hidden also where both are names of files.
func shownArgument(before, arg string) string {
	flag, value, given := strings.Cut(arg, "=")
	given = given && strings.HasPrefix(flag, "--")
	if given {
		arg = flag + "=" + shownValue(flag, value)
	}
	switch before {
	case "--header", "--to", "--proxy":
		return shownValue(before, arg)
	}
	if given {
		return arg
	}
	return shownURL(arg)
}

func shownValue(flag, value string) string {
	switch flag {
	case "--header":
		return shownHeader(value)
	case "--to":
		if isLab(value) && !strings.Contains(value, "://") {
			return value // its parameters are no secret
		}
		return shownTemplate(value)
	case "--proxy":
		return nested(report.Redact(value))
	}
	return shownURL(value)
}

var headerName = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")

func shownHeader(line string) string {
	if name, _, ok := strings.Cut(line, ":"); ok && headerName.MatchString(strings.TrimSpace(name)) {
		return name + ": " + hidden
	}
	return hidden
}

var scheme = regexp.MustCompile(`(?i)[a-z][a-z0-9+.-]*://|^https?:`)

// shownURL redacts from the first URL in the text on. A URL may stand in the
// path of another, where Redact takes it for a path.
func shownURL(s string) string {
	at := scheme.FindStringIndex(s)
	if at == nil {
		if strings.Contains(s, "://") {
			return hidden
		}
		return s
	}
	return s[:at[0]] + nested(report.Redact(s[at[0]:]))
}

func nested(shown string) string {
	at := scheme.FindStringIndex(shown)
	if at == nil || at[0] != 0 || !strings.Contains(shown[at[1]:], "://") {
		return shown
	}
	return shown[:at[1]] + shownURL(shown[at[1]:])
}

var variable = regexp.MustCompile(`\{[A-Za-z0-9_.-]+\}`)

// shownTemplate redacts a URL, but for variables in its query: those hold no secret.
func shownTemplate(s string) string {
	shown := report.Redact(s)
	head, _, ok := strings.Cut(shown, "?")
	if !ok {
		return nested(shown)
	}
	raw, _, _ := strings.Cut(s, "#")
	_, query, _ := strings.Cut(raw, "?")
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		// Without a value, the key may itself be a secret.
		if key, value, _ := strings.Cut(pair, "="); strings.Trim(value, "=") != "" {
			pairs[i] = key + "=" + shownQueryValue(value)
		} else {
			pairs[i] = shownQueryValue(pair)
		}
	}
	return nested(head) + "?" + strings.Join(pairs, "&")
}

func shownQueryValue(s string) string {
	var b strings.Builder
	mask := func(text string) {
		if text != "" {
			b.WriteString(hidden)
		}
	}
	last := 0
	for _, at := range variable.FindAllStringIndex(s, -1) {
		mask(s[last:at[0]])
		b.WriteString(s[at[0]:at[1]])
		last = at[1]
	}
	mask(s[last:])
	return b.String()
}

// quote makes an argument a word of a POSIX shell, in a form that PowerShell and
// cmd also take where there is one. On Windows a backslash is no escape.
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

// bare reports whether no shell sees anything special in s. PowerShell does in
// commas and braces.
func bare(s string, windows bool) bool {
	for i, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("_-./:+%", r):
		case r == '=' && i > 0, r == '\\' && windows:
		case r >= utf8.RuneSelf && unicode.In(r, unicode.L, unicode.N):
		default:
			return false
		}
	}
	return s != ""
}

// quoteBytes writes what is not printable, or no UTF-8, as octal escapes: a
// terminal would obey it or lose it.
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
