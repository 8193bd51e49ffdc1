package bulk

import (
	"github.com/penstock/penstock/internal/lazy"

	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/penstock/penstock/internal/curl"
)

// print returns the script.
func (t *translation) print() string {
	var b strings.Builder
	for _, a := range t.c.Assignments {
		name, value, _ := strings.Cut(a, "=")
		fmt.Fprintf(&b, "%s=%s\n", name, word(value))
	}
	for _, w := range t.written {
		format := `%s\n`
		if w.text {
			format = "%s"
		}
		fmt.Fprintf(&b, "(umask 077 && printf '%s'", format)
		for _, line := range w.lines {
			b.WriteString(" " + word(line))
		}
		fmt.Fprintf(&b, " >%s)\n", word(w.name))
	}
	if t.record != "" {
		b.WriteString(t.manifest())
	}
	for _, e := range t.environment {
		fmt.Fprintf(&b, "%s=%s \\\n", e.name, word(e.value))
	}
	b.WriteString("penstock send")
	for _, f := range t.flags {
		b.WriteString(" \\\n  " + f.name)
		if f.value != "" {
			b.WriteString(" " + word(f.value))
		}
	}
	if t.record == "" {
		b.WriteString(" \\\n  " + word(pathWord(t.file.path)))
	}
	b.WriteByte('\n')
	for _, note := range t.notes {
		b.WriteString(comment(note))
	}
	b.WriteString(comment("First see what it would do: add --dry-run."))
	return b.String()
}

// manifest writes the manifest, with the one line of the example.
func (t *translation) manifest() string {
	end := "END"
	for strings.Contains(t.record, end) {
		end += "_"
	}
	text, quotedEnd := t.record, "'"+end+"'"
	if strings.Contains(text, curl.Mark) {
		pieces := strings.Split(text, curl.Mark)
		for i := range pieces {
			if i%2 == 0 {
				pieces[i] = strings.NewReplacer(`\`, `\\`, "$", `\$`, "`", "\\`").Replace(pieces[i])
			}
		}
		text, quotedEnd = strings.Join(pieces, ""), end
	}
	write := "cat >" + manifestName
	if presigned.MatchString(t.record) {
		write = "(umask 077 && " + write + ")"
	}
	return fmt.Sprintf("%s <<%s\n%s\n%s\n", write, quotedEnd, text, end)
}

// pathWord is a path as penstock takes it: a name that is no pattern, and no flag.
func pathWord(path string) string {
	if strings.HasPrefix(path, "-") {
		path = "./" + path
	}
	if !strings.ContainsAny(path, "*?[{") || strings.Contains(path, curl.Mark) {
		return path
	}
	return globSigns.ReplaceAllString(path, `\$0`)
}

var globSigns = lazy.MustCompile(`[*?\[\]{}\\]`)

var bare = lazy.MustCompile(`^[A-Za-z0-9_./:@%+,=-]+$`)

// word returns a text as one word of a POSIX shell. What is between Marks is left to the shell.
func word(s string) string {
	if !strings.Contains(s, curl.Mark) {
		if bare.MatchString(s) {
			return s
		}
		return quoted(s)
	}
	pieces := strings.Split(s, curl.Mark)
	simple := true
	for i, p := range pieces {
		if i%2 == 0 && (strings.ContainsAny(p, "\\\"$`!") || strings.ContainsFunc(p, hidden) ||
			!utf8.ValidString(p)) {
			simple = false
		}
	}
	var b strings.Builder
	for i, p := range pieces {
		next := ""
		if i+1 < len(pieces) {
			next = pieces[i+1]
		}
		switch {
		case i%2 == 1 && simple:
			b.WriteString(expansion(p, next))
		case i%2 == 1:
			b.WriteString(`"` + expansion(p, "") + `"`)
		case simple:
			b.WriteString(p)
		case p != "":
			b.WriteString(quoted(p))
		}
	}
	if simple {
		return `"` + b.String() + `"`
	}
	return b.String()
}

var plainVariable = lazy.MustCompile(`^\$[A-Za-z_][A-Za-z0-9_]*$`)

// expansion is what the shell fills in, before a text.
func expansion(raw, next string) string {
	if plainVariable.MatchString(raw) && next != "" && (nameByte(next[0]) && next[0] != '-') {
		return "${" + raw[1:] + "}"
	}
	return raw
}

// hidden reports whether a terminal would not show r, but for line breaks and tabs.
func hidden(r rune) bool { return !unicode.IsPrint(r) && r != '\n' && r != '\t' }

// quoted quotes a text for a shell, with what a terminal would not show as octal numbers.
func quoted(s string) string {
	if s == "" {
		return "''"
	}
	if !strings.ContainsFunc(s, hidden) && utf8.ValidString(s) {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1, hidden(r):
			b.WriteString(`"$(printf '`)
			for _, c := range []byte(s[:n]) {
				fmt.Fprintf(&b, `\%03o`, c)
			}
			b.WriteString(`')"`)
		default:
			n = strings.IndexFunc(s, hidden)
			if n < 0 {
				n = len(s)
			}
			if valid := validPrefix(s[:n]); valid < n {
				n = valid
			}
			b.WriteString("'" + strings.ReplaceAll(s[:n], "'", `'\''`) + "'")
		}
		s = s[n:]
	}
	return b.String()
}

// validPrefix is the length of the text up to the first byte that is no UTF-8.
func validPrefix(s string) int {
	for i, r := range s {
		if _, n := utf8.DecodeRuneInString(s[i:]); r == utf8.RuneError && n == 1 {
			return i
		}
	}
	return len(s)
}

// comment returns a text as a comment, in lines that a terminal need not break.
func comment(text string) string {
	const most = 80
	var b strings.Builder
	line := "#"
	for _, word := range strings.Fields(text) {
		if n := utf8.RuneCountInString(line); n+1+utf8.RuneCountInString(word) > most && n > 3 {
			b.WriteString(line + "\n")
			line = "#  "
		}
		line += " " + word
	}
	return b.String() + line + "\n"
}

// oneLine returns a text for a comment.
func oneLine(s string) string {
	s = strings.ReplaceAll(s, curl.Mark, "")
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool {
		return r == ' ' || r == '\n' || r == '\t' || !unicode.IsPrint(r)
	}), " ")
}
