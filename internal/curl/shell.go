package curl

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Mark stands, in the words of a command, before and after what a shell fills in: $TOKEN, ${TOKEN},
// $(date) or `date`, as it is written. No argument of a program can contain it.
const Mark = "\x00"

// A statement is one command of a shell script.
type statement struct {
	words   []string
	text    string // as it is written
	end     string // the operator behind it: "|", "&&", ";" and the like; "" at the end of a line
	input   *input
	outputs []string // redirections of its output
}

// An input is what a statement's standard input is redirected from: a file, or the text of a
// here-document.
type input struct{ file, text string }

// A lexer splits a text as a POSIX shell does, with $'…' as bash has it. It expands nothing.
//
// It is lenient where people's pastes are not meant as a shell takes them: a backslash, a ^ or a `
// with nothing but blanks behind it in its line continues the line, and <file> is a placeholder.
type lexer struct {
	s     string
	i     int
	docs  []*document // whose text begins with the next line
	stmts []statement
}

// A document is a here-document whose text is still to come.
type document struct {
	end    string
	quoted bool // nothing in it is expanded
	tabs   bool // leading tabs are dropped
	stmt   int  // index of its statement
}

var errNUL = errors.New("the command has a NUL byte")

// split returns the statements of a script.
func split(text string) ([]statement, error) {
	if strings.Contains(text, Mark) {
		return nil, errNUL
	}
	text = strings.ReplaceAll(text, "\r\n", "\n")
	if isCmd(text) {
		return splitCmd(text)
	}
	l := &lexer{s: text}
	for l.i < len(l.s) {
		if err := l.statement(); err != nil {
			return nil, err
		}
	}
	if len(l.docs) > 0 {
		return nil, fmt.Errorf("the here-document has no end: a line %s", l.docs[0].end)
	}
	return l.stmts, nil
}

// statement reads up to the end of a line or an operator.
func (l *lexer) statement() error {
	st, start := statement{}, l.i
	done := func(next int) {
		st.text = strings.TrimSpace(l.s[start:l.i])
		st.end = strings.TrimSpace(l.s[l.i:next])
		l.i = next
		if len(st.words) > 0 || st.input != nil || st.end != "" {
			l.stmts = append(l.stmts, st)
		}
	}
	for l.i < len(l.s) {
		c := l.s[l.i]
		switch {
		case c == ' ' || c == '\t':
			l.i++
		case c == '\n':
			done(l.i + 1)
			return l.documents()
		case l.continued():
		case c == '#':
			l.i += lineEnd(l.s[l.i:])
		case c == '<' && placeholder(l.s[l.i:]) == 0, c == '>', l.descriptor() > 0:
			if err := l.redirection(&st); err != nil {
				return err
			}
		case c == '|' || c == '&' || c == ';':
			n := 1
			if l.i+1 < len(l.s) && l.s[l.i+1] == c {
				n = 2
			}
			if c == '&' && strings.HasPrefix(l.s[l.i+1:], ">") {
				l.i++ // as 2>&1 with >
				continue
			}
			done(l.i + n)
			return nil
		case c == '(' || c == ')':
			return fmt.Errorf("a %c outside quotes: quote it, or give the curl command alone", c)
		default:
			word, err := l.word()
			if err != nil {
				return err
			}
			st.words = append(st.words, word)
		}
	}
	done(l.i)
	return l.documents()
}

// descriptor is the length of the number before a redirection, such as 2>.
func (l *lexer) descriptor() int {
	n := 0
	for l.i+n < len(l.s) && l.s[l.i+n] >= '0' && l.s[l.i+n] <= '9' {
		n++
	}
	if n > 0 && strings.HasPrefix(l.s[l.i+n:], ">") {
		return n
	}
	return 0
}

// continued skips what continues a line, and reports whether it did.
func (l *lexer) continued() bool {
	if !strings.ContainsRune("\\^`", rune(l.s[l.i])) {
		return false
	}
	rest := strings.TrimLeft(l.s[l.i+1:], " \t")
	if strings.HasPrefix(rest, "\n") {
		l.i = len(l.s) - len(rest) + 1
		return true
	}
	if rest == "" && l.s[l.i] == '\\' { // the end of the text
		l.i = len(l.s)
		return true
	}
	return false
}

func (l *lexer) redirection(st *statement) error {
	start := l.i
	l.i += l.descriptor()
	operator := l.s[l.i : l.i+1+strings.IndexFunc(l.s[l.i+1:]+" ",
		func(r rune) bool { return !strings.ContainsRune("<>&|-", r) })]
	if strings.HasPrefix(operator, "<") && strings.HasSuffix(operator, "-") && operator != "<<-" {
		operator = operator[:len(operator)-1]
	}
	l.i += len(operator)
	for l.i < len(l.s) && (l.s[l.i] == ' ' || l.s[l.i] == '\t') {
		l.i++
	}
	from := l.i
	word := ""
	if l.i < len(l.s) && l.s[l.i] != '\n' {
		var err error
		if word, err = l.word(); err != nil {
			return err
		}
	}
	if word == "" {
		return fmt.Errorf("nothing follows the %s", operator)
	}
	switch operator {
	case "<":
		st.input = &input{file: word}
	case "<<<":
		st.input = &input{text: word + "\n"}
	case "<<", "<<-":
		st.input = &input{}
		quoted := strings.ContainsAny(l.s[from:l.i], `'"\`)
		l.docs = append(l.docs, &document{word, quoted, operator == "<<-", len(l.stmts)})
	default:
		st.outputs = append(st.outputs, l.s[start:l.i])
	}
	return nil
}

// documents reads the here-documents that were announced in the line before.
func (l *lexer) documents() error {
	for len(l.docs) > 0 {
		d := l.docs[0]
		var text strings.Builder
		for ended := false; !ended; {
			if l.i >= len(l.s) {
				return fmt.Errorf("the here-document has no end: a line %s", d.end)
			}
			n := lineEnd(l.s[l.i:])
			line := l.s[l.i : l.i+n]
			l.i = min(l.i+n+1, len(l.s))
			if d.tabs {
				line = strings.TrimLeft(line, "\t")
			}
			if ended = line == d.end; !ended {
				text.WriteString(line + "\n")
			}
		}
		l.docs = l.docs[1:]
		in := text.String()
		if !d.quoted {
			inner := &lexer{s: in}
			var b strings.Builder
			if err := inner.expanded(&b, 0); err != nil {
				return err
			}
			in = b.String()
		}
		if d.stmt < len(l.stmts) {
			l.stmts[d.stmt].input.text = in
		}
	}
	return nil
}

func lineEnd(s string) int {
	if n := strings.IndexByte(s, '\n'); n >= 0 {
		return n
	}
	return len(s)
}

// placeholder is the length of a placeholder such as <file> or <your token>; 0 if s begins with
// none.
func placeholder(s string) int {
	n := strings.IndexByte(s, '>')
	if n < 2 || s[0] != '<' || s[n-1] == ' ' || n > 60 {
		return 0
	}
	for i, r := range s[1:n] {
		if !unicode.IsLetter(r) && (i == 0 || !strings.ContainsRune(" _-.:/0123456789", r)) {
			return 0
		}
	}
	return n + 1
}

// word reads a word, which begins here.
func (l *lexer) word() (string, error) {
	var b strings.Builder
	if strings.HasPrefix(l.s[l.i:], "~/") {
		b.WriteString(Mark + "$HOME" + Mark)
		l.i++
	}
	for l.i < len(l.s) {
		c := l.s[l.i]
		switch {
		case c == '\\' || c == '^' || c == '`':
			if l.continued() {
				continue
			}
			if c == '\\' {
				b.WriteByte(l.s[l.i+1]) // there is one: else the line would be continued
				l.i += 2
			} else if c == '^' {
				b.WriteByte(c)
				l.i++
			} else if err := l.backquoted(&b); err != nil {
				return "", err
			}
		case c == '\'':
			n := strings.IndexByte(l.s[l.i+1:], '\'')
			if n < 0 {
				return "", l.unclosed(l.i)
			}
			b.WriteString(l.s[l.i+1 : l.i+1+n])
			l.i += n + 2
		case c == '"':
			if err := l.doubleQuoted(&b); err != nil {
				return "", err
			}
		case c == '$':
			if err := l.dollar(&b, false); err != nil {
				return "", err
			}
		case c == '<' && placeholder(l.s[l.i:]) > 0:
			n := placeholder(l.s[l.i:])
			b.WriteString(l.s[l.i : l.i+n])
			l.i += n
		case strings.IndexByte(" \t\n|&;<>()", c) >= 0:
			return b.String(), nil
		default:
			r, n := utf8.DecodeRuneInString(l.s[l.i:])
			if strings.ContainsRune("“”„‘’", r) {
				return "", fmt.Errorf("a typographic quote (%c): replace it by \" or '", r)
			}
			if b.Len() == 0 && (r == '–' || r == '—') {
				return "", fmt.Errorf("a typographic dash (%c): replace it by - or --", r)
			}
			b.WriteString(l.s[l.i : l.i+n])
			l.i += n
		}
	}
	return b.String(), nil
}

func (l *lexer) unclosed(at int) error {
	line := 1 + strings.Count(l.s[:at], "\n")
	return fmt.Errorf("the quote %c in line %d has no end", l.s[at], line)
}

func (l *lexer) doubleQuoted(b *strings.Builder) error {
	at := l.i
	l.i++
	if err := l.expanded(b, '"'); err != nil {
		return err
	}
	if l.i >= len(l.s) {
		return l.unclosed(at)
	}
	l.i++
	return nil
}

// expanded reads text in which the shell expands $ and `, up to a character that it leaves, or to
// the end.
func (l *lexer) expanded(b *strings.Builder, until byte) error {
	for l.i < len(l.s) && (until == 0 || l.s[l.i] != until) {
		switch c := l.s[l.i]; {
		case c == '\\' && l.i+1 < len(l.s):
			switch next := l.s[l.i+1]; {
			case next == '\n':
			case strings.IndexByte("$`\\", next) >= 0, next == until:
				b.WriteByte(next)
			default:
				b.WriteString(l.s[l.i : l.i+2])
			}
			l.i += 2
		case c == '$':
			if err := l.dollar(b, true); err != nil {
				return err
			}
		case c == '`':
			if err := l.backquoted(b); err != nil {
				return err
			}
		default:
			b.WriteByte(c)
			l.i++
		}
	}
	return nil
}

// A Program is one program of a pipeline.
type Program struct {
	Words []string
	Input string // the file after <
}

// Pipeline reads a text in which programs follow one another with | between them.
func Pipeline(text string) (programs []Program, err error) {
	stmts, err := split(text)
	for i, st := range stmts {
		if len(st.words) == 0 || st.end != "|" && i < len(stmts)-1 {
			return nil, err
		}
		p := Program{Words: st.words}
		if st.input != nil {
			p.Input = st.input.file
		}
		programs = append(programs, p)
	}
	return programs, err
}
