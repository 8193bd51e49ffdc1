package curl

import (
	"github.com/penstock/penstock/internal/lazy"

	"strings"
)

var cmdSigns = lazy.MustCompile(`\^[ \t]*\n|\^"|^\s*curl\.exe\s`)

// isCmd reports whether a text is for cmd of Windows: its lines go on with a ^, or its quotes have
// one, as browsers write them.
func isCmd(text string) bool { return cmdSigns.MatchString(text) && !strings.Contains(text, "'") }

// splitCmd splits a text as cmd and then a program of Windows do: ^ takes the meaning of the next
// character, only double quotes quote, and a backslash is an escape only before one of them.
func splitCmd(text string) ([]statement, error) {
	var plain strings.Builder
	quoted := false
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '^' && !quoted {
			rest := strings.TrimLeft(text[i+1:], " \t")
			if strings.HasPrefix(rest, "\n") {
				i = len(text) - len(rest)
				plain.WriteByte(' ')
				continue
			}
			if i++; i < len(text) {
				plain.WriteByte(text[i])
			}
			continue
		}
		if c == '"' {
			quoted = !quoted
		}
		plain.WriteByte(c)
	}
	text = plain.String()
	st := statement{text: strings.TrimSpace(text)}
	var b strings.Builder
	started := false
	quoted = false
	endWord := func() {
		if started {
			st.words = append(st.words, b.String())
		}
		b.Reset()
		started = false
	}
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\\' && strings.HasPrefix(text[i+1:], `"`):
			b.WriteByte('"')
			started = true
			i++
		case c == '"':
			quoted, started = !quoted, true
		case !quoted && (c == ' ' || c == '\t' || c == '\n'):
			endWord()
		default:
			b.WriteByte(c)
			started = true
		}
	}
	if quoted {
		return nil, (&lexer{s: text}).unclosed(strings.LastIndexByte(text, '"'))
	}
	endWord()
	return []statement{st}, nil
}
